"""What the stream has to do when partitions go to another consumer."""

from typing import Protocol


class Revocation(Protocol):
    """What has to happen downstream when partitions go to another consumer."""

    def before_revoke(self, partitions: set[int]) -> None:
        """Finish what is in flight."""
        ...

    def after_revoke(self, partitions: set[int]) -> None:
        """Give up what could not be finished."""
        ...
