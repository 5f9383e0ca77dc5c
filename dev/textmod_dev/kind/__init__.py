"""A real kind cluster, also where no image can be pulled.

`engine` reaches a Docker engine or starts a private one, `container_images` builds the project's
images, `node_image` the node's, `cluster` creates the cluster and loads images into it, and
`guardian` takes down whatever was put up, however the process that put it up ends.
"""
