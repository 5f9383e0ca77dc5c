"""When the end of a partition was at which offset: ages without a request. Pure."""

from __future__ import annotations

from array import array
from typing import Final

HISTORY_POINTS: Final = 96
"""Per partition, 16 bytes each."""


class ArrivalHistory:
    """When the end of one partition was at which offset: points (time, end), both ascending.

    Sparse: a flat stretch is two points, and when it is full every other point of its older half
    goes, so that a fixed size reaches back further and further at a falling resolution.
    """

    def __init__(self, limit: int = HISTORY_POINTS) -> None:
        self._times = array("d")
        self._ends = array("q")
        self._limit = limit

    def add(self, at: float, end: int) -> None:
        """Note that the end was seen at `end` at the time `at` (seconds). Going back in offsets,
        as a topic made anew does, forgets everything before; going back in time is ignored."""
        if self._ends and end < self._ends[-1]:
            del self._times[:], self._ends[:]
        if self._times and at <= self._times[-1]:
            return
        if len(self._ends) > 1 and self._ends[-1] == self._ends[-2] == end:
            self._times[-1] = at
            return
        self._times.append(at)
        self._ends.append(end)
        if len(self._times) > self._limit:
            self._thin()

    def reach_back(self, at: float, offset: int) -> None:
        """Note that the record at `offset` was written at `at`, before all that is known."""
        if self._ends and offset < self._ends[0]:
            self._times.insert(0, min(at, self._times[0]))
            self._ends.insert(0, offset)

    def arrived_at(self, offset: int) -> float | None:
        """When the record at `offset` arrived, interpolated; None when that was before all that is
        known, or has not happened yet."""
        if not self._ends or offset < self._ends[0] or offset >= self._ends[-1]:
            return None
        low, high = 0, len(self._ends) - 1  # end[low] <= offset < end[high]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._ends[middle] <= offset else (low, middle)
        done = (offset - self._ends[low]) / (self._ends[high] - self._ends[low])
        return self._times[low] + done * (self._times[high] - self._times[low])

    def __len__(self) -> int:
        return len(self._times)

    def _thin(self) -> None:
        half = len(self._times) // 2
        keep = [i for i in range(len(self._times)) if i >= half or i % 2 == 0]
        self._times = array("d", (self._times[i] for i in keep))
        self._ends = array("q", (self._ends[i] for i in keep))
