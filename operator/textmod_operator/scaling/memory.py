"""What the law is asked with, what it answers, and what it remembers in between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

HOURS = 24
DAY_KEPT = 0.7
"""The part of an hour's peak that is remembered a day later."""
MOST_LEARNED = 1e12
"""Messages per second, or seconds: more was not learned here, and could not be computed with."""

Condition = Literal["LagUnknown", "AtMaximum", "HotPartition"]


@dataclass(frozen=True)
class Policy:
    """What the user asked for, and what is known of the installation. Times in seconds."""

    min_replicas: int
    max_replicas: int
    partitions: int
    max_seconds_behind: float | None = None
    messages_per_replica: int | None = None
    """The simple threshold; used when `max_seconds_behind` is None."""
    prior_rate: float | None = None
    """Messages/s of one busy replica, used until its members tell theirs or one is learned."""
    idle_seconds: float = 300.0
    """Without arrivals and lag for this long, scale to zero (only when `min_replicas` is 0)."""
    metric_seconds: float = 20.0
    """From an arrival until more is asked for: a decision, and the HPA's sync of 15 s."""
    start_seconds: float = 20.0
    """From the HPA's write until the pods are ready; used until it has been measured."""
    rebalance_seconds: float = 5.0
    """The group's pause when members come or go."""


@dataclass(frozen=True)
class Workload:
    """The replicas that were asked for, and how many of them are ready (None: not known)."""

    replicas: int
    ready: int | None = None


@dataclass(frozen=True)
class Rates:
    """Messages a second: arriving, read, and read by one busy replica (None: not known yet)."""

    in_per_second: float
    out_per_second: float
    per_replica_per_second: float | None


@dataclass(frozen=True)
class Decision:
    """`reason` is one sentence for `status.scaling.reason`."""

    desired: int
    reason: str
    condition: Condition | None = None
    rates: Rates | None = None
    seconds_behind: float | None = None
    """As measured, else estimated as max(Lᵢ/λᵢ); None when neither can be had."""


@dataclass(frozen=True)
class Sample:
    """Offsets of every partition at one moment, and the replicas that were ready then."""

    at: float
    ends: tuple[int, ...]
    reads: tuple[int, ...]
    ready: int
    asked: int
    age: float | None = None
    peak: float = 0.0
    """The highest λ that was remembered then."""


@dataclass(frozen=True)
class Trial:
    """What would have become of the stream, had this been its size all along. Times in seconds."""

    replicas: int
    delay: float = 0.0
    """How long the newest message would wait."""
    failed_at: float = -math.inf
    """When it last would have broken the promise, or come so near that the law adds replicas."""
    gap: float | None = None
    """Between its last two failures that were further apart than the window of rule 3."""
    surge: float = 0.0
    """The longest delay of the surge that goes on: the law would add replicas; 0 without one."""
    crest: float = 0.0
    """The longest delay of the surges that passed without breaking the promise."""
    survived: int = 0
    """So many of them, in a row."""
    doubt: int = 0
    """How often it was relied on, and messages waited longer than its trial said."""
    left_rate: float = 0.0
    """The lowest λ, over the last LEFT_SECONDS, at which the law left it for a larger size."""
    left_at: float = -math.inf


@dataclass(frozen=True)
class Memory:
    """All that one decision hands to the next."""

    samples: tuple[Sample, ...] = ()
    """Oldest first, over WINDOW_SECONDS."""
    ends: tuple[tuple[float, int], ...] = ()
    """(time, sum of the end offsets) of the last three readings."""
    rate: float | None = None
    """μ as learned."""
    start_seconds: float | None = None
    """From asked to ready, as measured."""
    asked: int | None = None
    asked_at: float = 0.0
    """When `asked` was seen to change."""
    growing: bool = False
    """`asked` went up and not all of it is ready yet."""
    settled_at: float = 0.0
    """When the number of ready replicas was last seen to change."""
    peak: float = 0.0
    """The highest λ seen recently, faded since `peak_at`."""
    hot_peak: float = 0.0
    """The same of the busiest partition alone."""
    peak_at: float = 0.0
    usual: float | None = None
    """λ over the last USUAL_SECONDS."""
    hour: int | None = None
    """The hour that `busiest` is of, counted from 1970."""
    busiest: float = 0.0
    """The highest λ of this hour."""
    hours: tuple[float, ...] = ()
    """The highest λ of each hour of the day (UTC), as the days before have shown it."""
    trials: tuple[Trial, ...] = ()
    """One for each size worth having."""
    tried_at: float | None = None
    """The reading that they were last tried on."""
    needs: tuple[tuple[float, int], ...] = ()
    """(time, replicas needed), falling in replicas: the running maximum of the shrink window."""
    known_since: float | None = None
    """Since when lag has been read without a gap."""
    idle_since: float | None = None

    @classmethod
    def empty(cls) -> Memory:
        return cls()

    def learned(self) -> dict[str, Any]:
        """What is worth keeping over a restart of the operator: JSON-able, some 200 bytes, and
        rounded, so that it changes seldom."""
        figures: dict[str, Any] = {
            "rate": self.rate and _rounded(self.rate),
            "startSeconds": self.start_seconds and _rounded(self.start_seconds),
            "hours": [_stepped(peak) for peak in self.hours_so_far()],
        }
        return {key: value for key, value in figures.items() if value}

    def hours_so_far(self) -> tuple[float, ...]:
        """The highest λ of each hour of the day, this one's as far as it has gone."""
        if self.hour is None or not (self.hours or self.busiest):
            return self.hours
        hours = list(self.hours or (0.0,) * HOURS)
        now = self.hour % HOURS
        hours[now] = max(self.busiest, DAY_KEPT * hours[now])
        return tuple(hours)

    @classmethod
    def from_learned(cls, figures: dict[str, Any]) -> Memory:
        """The reverse of `learned`. Values that are missing, not numbers, not positive or above
        MOST_LEARNED are left unknown: the annotation they come from is open to anybody's edit."""
        hours = figures.get("hours")
        if not isinstance(hours, list) or len(hours) != HOURS:
            hours = []
        return cls(
            rate=_positive(figures.get("rate")),
            start_seconds=_positive(figures.get("startSeconds")),
            hours=tuple(_positive(peak) or 0.0 for peak in hours),
        )


@dataclass(frozen=True)
class Verdict:
    """The size, how it goes on with it, and what to remember."""

    desired: int
    outlook: str
    memory: Memory


def _stepped(value: float) -> float:
    """Up to the next of steps of a tenth: the noise of a rate hardly ever takes one."""
    return _rounded(1.1 ** math.ceil(math.log(value, 1.1))) if value > 0 else 0.0


def _rounded(value: float) -> float:
    """To two figures."""
    return float(f"{value:.2g}")


def _positive(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 < value <= MOST_LEARNED else None
    return None
