"""Who scores next: the stream before synchronous calls, and calls a little at a time.

A call gives its turn back after each slice, and takes it again only when the stream does not want
to score. Beside a stream calls have a scorer of their own, in another process (`scorer_process`),
so that the stream waits for none.
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
Of the worst kind known (apostrophes) that takes 25 to 40 ms of a core, of most less than 1 ms.
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
    """Who scores: the stream at once, or after one slice of a call; calls one at a time.

    A scorer serves one thread. Where calls have one of their own (`apart`) the stream never waits
    for them, and they begin no slice while it scores; otherwise it waits for the slice at hand,
    which a text of the worst kind makes 25 ms long.
    """

    def __init__(self, *, apart: bool = False) -> None:
        self._apart = apart
        lock = threading.Lock()
        self._for_stream, self._for_calls = threading.Condition(lock), threading.Condition(lock)
        self._called = False
        self._stream_wants = False

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Score a batch."""
        with self._for_stream:
            self._stream_wants = True
            while self._called and not self._apart:
                self._for_stream.wait()
        try:
            yield
        finally:
            with self._for_calls:
                self._stream_wants = False
                self._for_calls.notify()

    @contextmanager
    def call(self, deadline: float) -> Iterator[None]:
        """Score a slice; `deadline` by time.monotonic(). Raises BusyError."""
        with self._for_calls:
            while self._called or self._stream_wants:
                if not self._for_calls.wait(deadline - time.monotonic()):
                    self._for_calls.notify()  # it may have been this one's turn
                    raise BusyError("the stream keeps the model busy; try again later.")
            self._called = True
        try:
            yield
        finally:
            with self._for_calls:
                self._called = False
                self._for_stream.notify()
                self._for_calls.notify()


def slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut a call's texts into parts of at most SLICE_CHARACTERS; a longer text is alone."""
    start = size = 0
    for index, text in enumerate(texts):
        if index > start and size + len(text) > SLICE_CHARACTERS:
            yield texts[start:index]
            start, size = index, 0
        size += len(text)
    yield texts[start:]
