"""Remember answers for a bounded time, a bounded number of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")
MAX_ANSWERS = 10_000


class Remembered(Generic[Value]):
    """Answers by key, forgotten after `seconds`; an error is never remembered."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._answers: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()
        self._lock = Lock()

    def last(self, key: Hashable) -> Value | None:
        """Return the answer that is kept, however old; None if there is none."""
        with self._lock:
            known = self._answers.get(key)
        return None if known is None else known[1]

    def get(self, key: Hashable, ask: Callable[[], Value]) -> Value:
        """Return the remembered answer, else `ask()`; what that raises is raised."""
        now = self._clock()
        with self._lock:
            known = self._answers.get(key)
        if known is not None and now - known[0] < self._seconds:
            return known[1]
        value = ask()
        with self._lock:
            self._answers.pop(key, None)
            self._answers[key] = (now, value)
            while len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
        return value
