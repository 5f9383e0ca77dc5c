"""A value that is costly to read: kept for a while, and read again by one thread at a time."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from textmod_console.errors import RecordError

log = logging.getLogger(__name__)
COST: Final = 20
"""Reading what is kept takes no more than one part in so many of the time."""
T = TypeVar("T")


def here(work: Callable[[], None]) -> None:
    """Run the work in the thread of the caller."""
    work()


def in_a_thread(work: Callable[[], None]) -> None:
    """Run the work in a thread of its own."""
    threading.Thread(target=work, name="refresh", daemon=True).start()


class Kept(Generic[T]):
    """A value that is read again once it is old; meanwhile other callers get the old one.

    It is old after `seconds`, or after `COST` times as long as reading it took. May be used from
    several threads.

    Args:
        seconds: how long a value that is read quickly is kept.
        read: reads the value; raises RecordError.
        monotonic: seconds.
        run: where an old value is read again.
    """

    def __init__(
        self,
        seconds: float,
        read: Callable[[], T],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], None]], None] = here,
    ) -> None:
        self._seconds = seconds
        self._read = read
        self._monotonic = monotonic
        self._run = run
        self._lock = threading.Lock()
        self._held: tuple[float, T] | None = None
        """When it gets old, and the value. Written under the lock."""

    def value(self) -> T:
        """Return the value; only callers that find none at all wait. Raises RecordError."""
        held = self._held
        if held is None:
            with self._lock:
                if self._held is None:
                    self._held = self._new()
                return self._held[1]
        if self._monotonic() >= held[0] and self._lock.acquire(blocking=False):
            self._run(self._refresh)
        return (self._held or held)[1]

    def _refresh(self) -> None:
        """Replace the value. If that fails there is none: the next call reads, and raises."""
        try:
            self._held = self._new()
        except RecordError as error:
            log.warning("could not refresh a kept value: %s", error)
            self._held = None
        except BaseException:
            self._held = None  # an old value is not given for ever
            raise
        finally:
            self._lock.release()

    def _new(self) -> tuple[float, T]:
        began = self._monotonic()
        value = self._read()
        ended = self._monotonic()
        return ended + max(self._seconds, COST * (ended - began)), value
