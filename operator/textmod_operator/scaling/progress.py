"""Does a consumer group make progress where messages wait? Pure.

A group that reads nothing looks, by its lag alone, like one that is too slow: more replicas don't
help it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from textmod_operator.state import LagReading

LEAST_SECONDS = 10.0
"""A rebalance or a long batch takes less."""
MOST_SECONDS = 120.0
SHARE_OF_PROMISE = 0.6
"""Reported well within the promise, with time left to act."""
SUSPICIOUS_SECONDS = 4.0
"""Two reads of the lag without progress: worth asking the pods why."""


def patience(max_seconds_behind: float | None) -> float:
    """How long a partition may stand still with messages waiting, in seconds."""
    promise = 30.0 if max_seconds_behind is None else float(max_seconds_behind)
    return min(MOST_SECONDS, max(LEAST_SECONDS, SHARE_OF_PROMISE * promise))


@dataclass(frozen=True)
class Progress:
    """Where the group stood in every partition, and since when."""

    positions: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    """Partition → (offset that is read next, when it was first seen there or last had nothing to
    read)."""
    served_since: float | None = None
    """Since when a replica serves; None: none does."""

    def after(self, reading: LagReading, now: float, *, served: bool) -> Progress:
        """What is known after another reading.

        Args:
            now: seconds of the clock that all readings are timed by.
            served: whether a replica serves that could read.
        """
        positions = {}
        for lag in reading.partitions:
            before, since = self.positions.get(lag.partition, (-1, now))
            moved = lag.position != before or lag.messages == 0
            positions[lag.partition] = (lag.position, now if moved else since)
        since_served = (
            (self.served_since if self.served_since is not None else now) if served else None
        )
        return Progress(positions, since_served)

    def standing(self, now: float) -> dict[int, float]:
        """Partition → seconds that it has stood still with messages waiting, while a replica
        served that could have read."""
        if self.served_since is None:
            return {}
        return {
            partition: now - max(since, self.served_since)
            for partition, (_, since) in self.positions.items()
            if now > max(since, self.served_since)
        }


@dataclass(frozen=True)
class Expired:
    """How far messages are known to have been deleted before the group read them."""

    counted: Mapping[int, int] = field(default_factory=dict)
    """Partition → the offset up to which they have been counted."""

    def after(self, reading: LagReading) -> tuple[Expired, int]:
        """What is known after another reading, and how many messages went unread since the last.

        Offsets that held no record (transaction markers) count too: nobody can tell any more.
        """
        counted, lost = dict(self.counted), 0
        for lag in reading.partitions:
            if lag.committed is None or lag.log_start is None:
                continue
            known = max(lag.committed, counted.get(lag.partition, 0))
            if lag.log_start > known:
                lost += lag.log_start - known
                counted[lag.partition] = lag.log_start
        return Expired(counted), lost


def unread_and_deleted(reading: LagReading) -> dict[int, int]:
    """Partition → messages that were deleted before the group came to them; nothing where the group
    has gone on since."""
    return {
        lag.partition: lag.log_start - lag.committed
        for lag in reading.partitions
        if lag.committed is not None and lag.log_start is not None and lag.log_start > lag.committed
    }
