"""What is remembered of one object's input between two reads of its lag, and what follows from it.

Pure: offsets go in, a `LagReading` comes out; whether a request is worth it is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median_low
from typing import Final

from textmod_operator.kafka.history import ArrivalHistory
from textmod_operator.kafka.offsets import Committed
from textmod_operator.state import LagReading, LagUnknown, PartitionLag

IDLE_REFRESH_SECONDS: Final = 300.0
"""How often the committed offsets of an idle group are read again: somebody may have reset them."""
STANDSTILL_SECONDS: Final = 10.0
"""A lag that has not moved for this long is looked at: residue, or a group that rebalances?"""
DESCRIBE_SECONDS: Final = 10.0
"""A group that stands still is asked this often whether it rebalances."""

MOST_RATE: Final = 1e6
"""Messages/s. No consumer reports a higher one in earnest."""
_RATE: Final = re.compile(r"rate=(\d{1,7}(?:\.\d{1,6})?)(?:;.*)?", re.ASCII)


def reported_rate(notes: Iterable[str]) -> float | None:
    """Return the messages/s of one busy consumer: the median of what committers wrote beside their
    offsets (``rate=812.5``). Anyone who may commit may write anything there: whatever is not a
    positive number that a process can reach is ignored."""
    rates = [float(found[1]) for note in notes if (found := _RATE.fullmatch(note))]
    return median_low(rates) if (rates := [r for r in rates if 0 < r <= MOST_RATE]) else None


@dataclass
class Backlog:
    """The input of one object; dictionaries are by partition, times in Unix seconds."""

    topic: str
    group: str
    ends: dict[int, int] = field(default_factory=dict)
    committed: dict[int, int] | None = None
    """None: not read yet. A partition that is missing has no committed offset."""
    committed_at: float = 0.0
    """When `committed` was read."""
    reported_rate: float | None = None
    """Messages/s of one busy consumer, as the consumers report it."""
    moved_at: float = 0.0
    """When an end or a committed offset was last seen to move."""
    progressed_at: float = 0.0
    """When a committed offset was last seen to move, or nothing waited."""
    arrivals: dict[int, ArrivalHistory] = field(default_factory=dict)
    residue: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The (position, end) between which a probe found no record."""
    probed: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    """The (position, end) of the last probe, and when it may be tried again."""
    rebalancing: bool = False
    described_at: float = 0.0
    """When the group was last asked whether it rebalances."""

    def start_again(self) -> None:
        """Forget everything: the topic was deleted and made again under its old name."""
        vars(self).update(vars(Backlog(self.topic, self.group)))

    def note_end(self, partition: int, end: int, now: float) -> bool:
        """Note an end offset; returns whether it went back, as in a topic that was made again."""
        known = self.ends.get(partition)
        if known != end:
            self.moved_at = now
        self.ends[partition] = end
        self.arrivals.setdefault(partition, ArrivalHistory()).add(now, end)
        return known is not None and end < known

    def note_committed(self, found: Mapping[int, Committed], now: float) -> None:
        """Note the group's committed offsets."""
        self.reported_rate = reported_rate(one.metadata for one in found.values())
        committed = {partition: one.offset for partition, one in found.items()}
        if committed != self.committed:
            self.moved_at = self.progressed_at = now
        self.committed, self.committed_at = committed, now

    def expired(self, found: Mapping[int, Committed]) -> dict[int, int]:
        """Return the offsets that were committed and are not any more, where they still are within
        the log. Kafka deletes the offsets of a group without members after offsets.retention."""
        return {
            partition: offset
            for partition, offset in (self.committed or {}).items()
            if partition not in found and offset <= self.ends.get(partition, -1)
        }

    def may_have_moved(self, now: float) -> bool:
        """Return whether the committed offsets are worth a request."""
        if self.committed is None or self.moved_at >= self.committed_at:
            return True
        if now - self.committed_at >= IDLE_REFRESH_SECONDS:
            return True
        return any(
            self.committed.get(partition, 0) < end
            and self.residue.get(partition, (0, -1))[1] != end
            for partition, end in self.ends.items()
        )

    def lags(
        self,
        partitions: tuple[int, ...],
        ends: Mapping[int, int | str],
        starts: Mapping[int, int],
        now: float,
    ) -> tuple[PartitionLag, ...] | LagUnknown:
        """Return the lag of every partition; unknown as soon as one partition's is."""
        if self.committed is None:
            return LagUnknown(now, f"Consumer group {self.group} has not been read yet.")
        lags = []
        for partition in partitions:
            where = f"Partition {partition} of topic {self.topic}"
            end = ends.get(partition, "no answer")
            if isinstance(end, str):
                return LagUnknown(now, f"{where} can't be read: {end}.")
            if partition not in starts:
                return LagUnknown(now, f"{where} can't be read: its first offset is not known.")
            committed = self.committed.get(partition)
            if committed is not None and committed > end:
                committed = None  # of an earlier topic of this name: consumers start again
            lag = PartitionLag(partition, min(starts[partition], end), end, committed)
            lags.append(self.less_residue(lag))
        if not any(lag.messages for lag in lags):
            self.progressed_at = now
        return tuple(lags)

    def less_residue(self, lag: PartitionLag) -> PartitionLag:
        """Return the lag without what a probe has shown to hold no records."""
        if self.residue.get(lag.partition) != (lag.position, lag.end):
            return lag
        return replace(lag, residue=lag.end - lag.position)

    def arrived_at(self, lag: PartitionLag) -> float | None:
        """Return when the next unread record arrived, if that is known."""
        history = self.arrivals.get(lag.partition)
        return history.arrived_at(lag.position) if history else None

    def wants_probe(self, lag: PartitionLag, now: float) -> bool:
        """Return whether the next unread record should be read: its arrival is not known, or the
        lag stands still, and this was not tried just now."""
        position, end, again_at = self.probed.get(lag.partition, (-1, -1, 0.0))
        if (position, end) == (lag.position, lag.end) and now < again_at:
            return False
        still = now - self.moved_at >= STANDSTILL_SECONDS
        return bool(lag.messages) and (still or self.arrived_at(lag) is None)

    def wants_description(self, now: float) -> bool:
        """Return whether to ask if the group rebalances: it has work and makes no progress."""
        if now - self.progressed_at < STANDSTILL_SECONDS:
            self.rebalancing = False
            return False
        return now - self.described_at >= DESCRIBE_SECONDS

    def reading(self, lags: tuple[PartitionLag, ...], now: float) -> LagReading:
        """Return what the law gets. A probe may have found residue since `lags` was made."""
        lags = tuple(self.less_residue(lag) for lag in lags)
        arrivals = [self.arrived_at(lag) for lag in lags if lag.messages]
        known = [at for at in arrivals if at is not None]
        behind = None
        if len(known) == len(arrivals):
            behind = max((max(0.0, now - at) for at in known), default=0.0)
        return LagReading(now, lags, behind, self.rebalancing, self.reported_rate)
