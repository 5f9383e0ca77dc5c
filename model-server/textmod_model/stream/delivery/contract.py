"""What the worker asks of either delivery."""

from typing import Protocol

from textmod_model.stream.records import Batch


class Delivery(Protocol):
    """Takes batches and writes them in order."""

    blocked: str | None
    """Why nothing can be written; None while it can."""

    @property
    def busy(self) -> bool:
        """Whether anything submitted is not collected."""
        ...

    @property
    def full(self) -> bool:
        """Whether to collect before the next batch is submitted."""
        ...

    def prepare(self) -> bool:
        """Do what has to be done before the first message is read; False if it's to be tried again.

        Raises StreamError if it never will be.
        """
        ...

    def submit(self, batch: Batch) -> None:
        """Take a batch, to be written by `write`."""
        ...

    def write(self) -> None:
        """Start writing what was submitted, if nothing is on its way."""
        ...

    def collect(self, wait: float) -> list[Batch]:
        """Return batches that are on the broker now; wait up to `wait` seconds for them.

        Raises StreamError if another process has taken this one's place.
        """
        ...

    def forget(self, partitions: set[int]) -> None:
        """Give up what is left of partitions that went to another consumer."""
        ...

    def close(self) -> None:
        """Stop; what is not collected stays unwritten or uncommitted."""
        ...
