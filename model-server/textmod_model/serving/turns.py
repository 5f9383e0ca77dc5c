"""Who scores next: the stream before synchronous calls, and calls a little at a time.

The scorer serves one thread at once. A call gives it back after each slice, and takes it again only
when the stream does not want it, so a call delays the stream by one slice at most.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

SLICE_CHARACTERS = 4 * 1024
"""Of a call's texts, scored before the stream may go on."""

LONGEST_TEXT = 20 * 1024
"""Characters of the longest text that a call may have beside a stream: a text is scored in one go.
Of the worst kind known (apostrophes) that takes 30 ms of a core, of most others less than 1 ms.
Perspective's longest comment, 20,480 bytes, is within it."""

SWITCH_SECONDS = 0.0005
"""How long a thread that computes keeps the interpreter when another wants it, beside a stream. A
turn of the stream gives it up several times; with the default of 5 ms each costs that."""

CALL_SECONDS = 10.0
"""How long a call may wait and score; then it is answered 503."""

CALLS = 8
"""How many calls are read and scored at once; further ones wait, with their bodies unread."""

CALLS_WAITING = 256
"""How many may wait; the next one is answered 503."""


class BusyError(Exception):
    """A call that can't be answered now; the sentence says why."""


class TooLargeError(Exception):
    """A call with a text that is not scored beside a stream; the sentence says why."""


class Places:
    """The places of the calls that are answered at once. For one event loop."""

    def __init__(self, calls: int = CALLS, waiting: int = CALLS_WAITING) -> None:
        self._places = asyncio.Semaphore(calls)
        self._waiting, self._most_waiting = 0, waiting

    @asynccontextmanager
    async def take(self, seconds: float = CALL_SECONDS) -> AsyncIterator[None]:
        """Wait for a place, in order, for at most so many seconds. Raises BusyError."""
        if self._waiting >= self._most_waiting:
            raise BusyError(f"{self._waiting} calls wait already; try again later.")
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            raise BusyError(f"no place came free in {seconds:.0f} s; try again later.") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()


class Turns:
    """A lock whose first user, the stream, never waits for more than one slice of a call."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._taken = False
        self._stream_waits = 0

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Hold the scorer for a batch."""
        with self._free:
            self._stream_waits += 1
            while self._taken:
                self._free.wait()
            self._stream_waits -= 1
            self._taken = True
        try:
            yield
        finally:
            self._give_back()

    @contextmanager
    def call(self, deadline: float) -> Iterator[None]:
        """Hold the scorer for a slice; `deadline` by time.monotonic(). Raises BusyError."""
        with self._free:
            while self._taken or self._stream_waits:
                if not self._free.wait(deadline - time.monotonic()):
                    raise BusyError("the stream keeps the model busy; try again later.")
            self._taken = True
        try:
            yield
        finally:
            self._give_back()

    def _give_back(self) -> None:
        with self._free:
            self._taken = False
            self._free.notify_all()


def slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut a call's texts into parts of at most SLICE_CHARACTERS; a longer text is alone."""
    start = size = 0
    for index, text in enumerate(texts):
        if index > start and size + len(text) > SLICE_CHARACTERS:
            yield texts[start:index]
            start, size = index, 0
        size += len(text)
    yield texts[start:]
