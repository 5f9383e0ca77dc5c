"""Why a container does not start yet; each becomes the waiting reason of its status."""

from __future__ import annotations


class NotYet(Exception):  # noqa: N818 - it is a state that is tried again, not a failure
    """The container waits; `reason` is what `kubectl get pods` shows."""

    reason = "ContainerCreating"


class ContainerConfigError(NotYet):
    """A Secret, ConfigMap or key that the container names is not there."""

    reason = "CreateContainerConfigError"


class ImageError(NotYet):
    """The image is not in the table."""

    reason = "ErrImagePull"


class StartError(NotYet):
    """The command could not be executed."""

    reason = "RunContainerError"
