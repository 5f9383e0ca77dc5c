"""Rate limits: a token bucket for each person (or address), in the memory of this replica."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

MAX_BUCKETS = 10_000  # the oldest is forgotten first, which only refills it


class RateLimit:
    """Allow `per_second` requests a second for each name, and `burst` at once."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def wait(self, name: str) -> float:
        """Take one request of `name`; return 0, or the seconds until the next is allowed."""
        now = self._clock()
        with self._lock:
            left, at = self._buckets.pop(name, (float(self._burst), now))
            left = min(float(self._burst), left + (now - at) * self._per_second)
            allowed = left >= 1
            self._buckets[name] = (left - 1 if allowed else left, now)
            while len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_second
