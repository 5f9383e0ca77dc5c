"""A queue of keys to work on, as controllers want it.

A key that is added many times is handed out once; a key that is added while somebody works on it
is handed out again afterwards; never does one key run twice at the same time. Failures back off
per key. (client-go's workqueue has the same rules; kopf has none for keys.)
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class WorkQueue(Generic[Key]):
    """Not thread-safe: everything happens on one event loop.

    Args:
        base_delay: seconds that a key waits after its first failure; it doubles with each more.
        max_delay: seconds that it waits at most.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        base_delay: float = 0.5,
        max_delay: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._clock = clock
        self._heap: list[tuple[float, int, Key]] = []
        self._due: dict[Key, float] = {}
        self._working: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._order = itertools.count()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Keys that are due or will be."""
        return len(self._due)

    def add(self, key: Key, delay: float = 0.0) -> None:
        """Asks for `key` in `delay` seconds, or earlier if that was asked for already."""
        due = self._clock() + delay
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._order), key))
        self._changed.set()

    def add_after_failure(self, key: Key) -> float:
        """Asks for `key` again after its back-off, and returns that in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self._max_delay, self._base_delay * 2.0 ** min(failures, 32))
        self.add(key, delay)
        return delay

    def succeeded(self, key: Key) -> None:
        """The next failure of `key` counts as its first."""
        self._failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """Drops a key that is gone for good."""
        self._due.pop(key, None)
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """The next key that is due and that nobody works on; `done` must follow."""
        while True:
            wait = self._seconds_to_next()
            if wait == 0:
                return self._take()
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """Nobody works on `key` any more."""
        self._working.discard(key)
        if key in self._due:
            heapq.heappush(self._heap, (self._due[key], next(self._order), key))
            self._changed.set()

    def _seconds_to_next(self) -> float | None:
        """0 when the head can be taken; None when there is nothing to wait for but a change."""
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) != due or key in self._working:
                heapq.heappop(self._heap)  # superseded, or `done` will push it again
                continue
            return max(0.0, due - self._clock())
        return None

    def _take(self) -> Key:
        _, _, key = heapq.heappop(self._heap)
        del self._due[key]
        self._working.add(key)
        if self._heap:
            self._changed.set()
        return key
