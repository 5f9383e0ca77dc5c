"""A node whose containers are local processes: what a kubelet does, without a container engine.

It registers its Nodes and keeps their Leases, starts the pods that the scheduler binds to them,
runs their probes, restarts and stops them by the kubelet's rules, reports their status, and serves
their logs (`kubectl logs`) and CPU figures (`metrics.k8s.io`). It differs from a kubelet in this:

- An image is an entry in a table (`textmod_dev.images`) that names a local command.
- There is no isolation: a container is a process of this user on this machine's file system. Each
  pod gets a loopback address of its own (127.x.y.z) as its IP, told to it as ``POD_IP`` and
  ``TEXTMOD_BIND_ADDRESS``, so that replicas can listen on the same port.
- Volumes are folders of the pod. Nothing is mounted, so where a mount path stands in a value of the
  environment or in an argument, it is replaced by the folder's real path.
- CPU limits hold where a cpu cgroup can be made, else by stopping and continuing the processes;
  memory limits are not enforced.
- The termination message is read from the file that ``TEXTMOD_TERMINATION_LOG`` names.
"""
