"""Detection of partitions that stand still although messages wait. Pure.

It trusts no explanation: whatever the cause, a partition whose position does not change while its
end lies beyond it, and while the consumer has room for its messages, is stalled.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SUSPECT_SECONDS = 20.0
"""Without progress for so long, the end of the partition is looked up and its reading restarted."""

STALLED_SECONDS = 60.0
"""Without progress for so long, liveness fails."""

PASSED_OVER_BYTES = 48 << 20
"""More than librdkafka queues. A consumer that has read so much of other partitions meanwhile, or
has found its queue empty, is not merely too slow to have come to this one."""


@dataclass(slots=True)
class _Mark:
    """The state of a partition when it last made progress."""

    position: int
    since: float
    empty_fetches: int
    bytes_read: int
    restarted: bool = False


class StallDetector:
    """Follows the position of each assigned partition. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.empty_fetches = 0
        """Fetches that found nothing, ever."""
        self.bytes_read = 0
        self._marks: dict[int, _Mark] = {}
        self._reached: dict[int, int] = {}
        """The end of a partition, up to which the consumer has seen that nothing waits."""

    def reached_end(self, partition: int, offset: int) -> None:
        """Note that the consumer reached the end: control records there are not messages."""
        self._reached[partition] = offset

    def update(self, now: float, positions: Mapping[int, int], *, excused: bool = False) -> None:
        """Take the current positions of all partitions that are read.

        `excused`: reading is stopped on purpose, so that none of them could move.
        """
        for partition in self._marks.keys() - positions.keys():
            del self._marks[partition]
            self._reached.pop(partition, None)
        for partition, found in positions.items():
            position = max(0, found)  # a logical offset: read from the beginning
            mark = self._marks.get(partition)
            if mark is not None and position < mark.position:
                self._reached.pop(partition, None)
            if mark is None or mark.position != position or excused:
                self._marks[partition] = self._mark(now, position)

    def suspects(self, now: float) -> list[int]:
        """Return the partitions whose end is worth a lookup."""
        return [p for p in self._marks if self._still(p, now) >= SUSPECT_SECONDS]

    def to_restart(self, ends: Mapping[int, int]) -> list[int]:
        """Return the suspects at which messages wait, each once until it makes progress."""
        waiting = [p for p in self._waiting(ends) if not self._marks[p].restarted]
        for partition in waiting:
            self._marks[partition].restarted = True
        return waiting

    def stalled(self, now: float, ends: Mapping[int, int]) -> dict[int, tuple[int, float]]:
        """Return the stalled partitions: messages waiting at each, and seconds without progress."""
        return {
            p: (ends[p] - self._marks[p].position, self._still(p, now))
            for p in self._waiting(ends)
            if self._still(p, now) >= STALLED_SECONDS
        }

    def settle_idle(self, now: float, ends: Mapping[int, int]) -> None:
        """Reset the time of partitions at which nothing waits."""
        waiting = set(self._waiting(ends))
        for partition in ends.keys() & self._marks.keys() - waiting:
            self._marks[partition] = self._mark(now, self._marks[partition].position)

    def _waiting(self, ends: Mapping[int, int]) -> Iterable[int]:
        for partition, end in ends.items():
            mark = self._marks.get(partition)
            if mark and end > max(mark.position, self._reached.get(partition, -1)):
                yield partition

    def _still(self, partition: int, now: float) -> float:
        """Seconds without progress; 0 if the consumer may not have come to the partition yet."""
        mark = self._marks[partition]
        passed_over = (
            self.empty_fetches > mark.empty_fetches
            or self.bytes_read - mark.bytes_read > PASSED_OVER_BYTES
        )
        return now - mark.since if passed_over else 0.0

    def _mark(self, now: float, position: int) -> _Mark:
        return _Mark(position, now, self.empty_fetches, self.bytes_read)
