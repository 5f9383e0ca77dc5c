"""All that one decision looks at, and the arithmetic of sizes on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from textmod_operator.scaling.memory import Memory, Policy, Workload
from textmod_operator.scaling.rates import (
    arrival_rate,
    arrivals_between,
    by_partition,
    rise,
    sample_before,
    steep_rise,
    throughput,
    top_and_rest,
)
from textmod_operator.state import LagReading

MARGIN = 0.75
"""d/D. The rest is for what the law can't see: commits are some seconds old when they are read."""
ACT_SECONDS = 5.0
LEAST_PART = 0.3
"""Rules 1 and 2 leave at least ACT_SECONDS of D, but no less than LEAST_PART of D to act on: a
commit, a reading of the lag and a rebalance take the same seconds, however short D is."""
SHRINK_REACTIONS = 2.0
SHRINK_SECONDS = (45.0, 60.0)
"""A smaller size must fit every need of a window so many times R, within these bounds: what pods
bring back quickly need not be kept for long."""
RISE_MOST = 1.3
"""A steady rise is believed to go on to so many times λ at most."""
STEEP_SECONDS = 16.0
STEEP_MOST = 2.0
"""A steep rise is believed to go on for as long as it was seen, and to so many times λ."""
NEW_PART = 1.1
"""λ is new when it is so many times the highest that was remembered."""
NEARLY = 1.1
"""What is at most so much slower than the best is good enough where nothing is good."""
HOT = 0.95
"""A partition that takes more than this part of one replica's speed is faster than one."""


def levels(partitions: int, smallest: int, largest: int) -> list[int]:
    """The sizes worth having, ascending: {⌈P/k⌉}, within `smallest` ≥ 1 and `largest`.

    >>> levels(13, 1, 13)
    [1, 2, 3, 4, 5, 7, 13]
    """
    smallest = max(1, smallest)
    largest = max(smallest, min(largest, partitions))
    spread = {math.ceil(partitions / k) for k in range(1, partitions + 1)}
    return sorted({max(smallest, n) for n in spread if n <= largest} or {smallest})


@dataclass(frozen=True)
class View:
    """All that one decision looks at."""

    now: float
    asked: int
    ready: int
    sizes: tuple[int, ...]
    """The sizes to choose from, ascending."""
    reserves: bool
    """Replicas are kept only where the start was measured, and not by who scales to zero: that is
    to have chosen to wait for the first replica."""
    promise: float
    """d in seconds."""
    acting: float
    """d as rules 1 and 2 take it."""
    reaction: float
    """R in seconds."""
    coming: float
    """Seconds until the replicas that were already asked for read; 0 when they do."""
    partitions: int
    lag: int
    age: float | None
    """Seconds behind."""
    arriving: float | None
    """λ; None until there are two samples."""
    forecast: float
    """λ when replicas that are asked for now would read, should a rise go on."""
    steady: float
    """λ over the whole window of samples."""
    reading: float
    rate: float | None
    """μ as learned, else the prior; None when there is neither."""
    hot: tuple[int, ...]
    """Partitions that are faster than one replica."""
    top_share: float
    """The largest partition's part of λ; the others have `rest_share` each."""
    rest_share: float
    top_lag: int
    rest_lag: float

    def others(self, replicas: int) -> int:
        """k - 1: the partitions that the busiest replica reads besides the largest one."""
        return math.ceil(self.partitions / replicas) - 1

    def share(self, replicas: int) -> float:
        """The busiest replica's part of λ: the largest partition and k - 1 average ones."""
        return self.top_share + self.others(replicas) * self.rest_share

    def capacity(self, replicas: int) -> float:
        """C(n), the arrivals a second that n replicas keep up with; 0 for none."""
        return (self.rate or 0.0) / self.share(replicas) if replicas > 0 else 0.0

    def top_speed(self, replicas: int) -> float:
        """Messages a second that are read of the largest partition when it is behind: a consumer
        turns to its partitions in turn, so that the smaller ones get all that they need first."""
        if replicas == 0:
            return 0.0
        return self._speed_beside(replicas, self.rest_share * self.forecast)

    def hot_speed(self, replicas: int, arriving: float, hot: float) -> float:
        """The same of a partition that gets `hot` of `arriving`, when the others are even."""
        each = max(0.0, arriving - hot) / max(1, self.partitions - 1)
        return self._speed_beside(replicas, each)

    def _speed_beside(self, replicas: int, each: float) -> float:
        """Speed of a partition that is behind, when the replica's others get `each` a second."""
        rate, others = self.rate or 0.0, self.others(replicas)
        return max(rate - others * each, rate / (others + 1))

    def falling_behind(self, replicas: int) -> float:
        """Seconds by which new messages of the largest partition wait longer each second, ≥ 0."""
        return max(0.0, 1 - self.top_speed(replicas) / max(self.top_share * self.forecast, 1e-9))

    def wait(self, replicas: int, lead: float) -> float:
        """Seconds that the newest message waits once `replicas` read, `lead` seconds from now: on
        the busiest replica behind all that waits there, or on the largest partition."""
        gathered = max(0.0, self.forecast - self.capacity(self.ready)) * lead
        grown = self.falling_behind(self.ready) * self.top_share * self.forecast * lead
        waiting = self.backlog(replicas) + self.share(replicas) * gathered
        top = (self.top_lag + grown) / max(self.top_speed(replicas), 1e-9)
        return max(top, waiting / (self.rate or 1e-9))

    def backlog(self, replicas: int) -> float:
        """Messages that wait for the busiest replica."""
        return self.top_lag + self.others(replicas) * self.rest_lag

    def best_effort(self, lead: float) -> int:
        """When no size will do: the smallest that is hardly slower than the largest. A partition
        that is faster than one replica is given nearly one of its own, and no more than that."""
        least = self.wait(self.sizes[-1], lead)
        return next(n for n in self.sizes if self.wait(n, lead) <= NEARLY * least)

    def hardly_slower(self) -> int:
        """The smallest size that reads the largest partition hardly slower than the largest does,
        backlog or not."""
        most = self.top_speed(self.sizes[-1])
        return next(n for n in self.sizes if NEARLY * self.top_speed(n) >= most)

    def smallest_for(self, rate: float) -> int:
        """The smallest size that keeps up with this rate, else the largest."""
        fits = (n for n in self.sizes if rate <= self.capacity(n))
        return next(fits, self.sizes[-1])

    @property
    def late(self) -> float:
        """The part of a rush that has to be carried beforehand, 1 - d/R; 0 while R ≤ d."""
        return max(0.0, 1 - self.promise / self.reaction)

    @property
    def shrink_seconds(self) -> float:
        """The window of rule 3."""
        shortest, longest = SHRINK_SECONDS
        return min(longest, max(shortest, SHRINK_REACTIONS * self.reaction))


def look(
    reading: LagReading, workload: Workload, policy: Policy, memory: Memory, now: float
) -> View:
    count = len(reading.partitions)
    lags = [p.messages for p in reading.partitions]
    rate = memory.rate or policy.prior_rate
    first, last = memory.samples[0], memory.samples[-1]
    arriving, reads, arrivals = None, 0.0, [0.0] * count
    steady = 0.0
    if len(memory.samples) > 1:
        arriving = arrival_rate(memory)
        reads = throughput(first, last)
        steady = arrivals_between(first, last)
        arrivals = by_partition(memory.samples)
    hot = hot_partitions(arrivals, rate)
    total = sum(arrivals)
    top, rest = top_and_rest(arrivals)
    top_lag, rest_lag = top_and_rest([float(n) for n in lags])
    start = policy.start_seconds if memory.start_seconds is None else memory.start_seconds
    until_read = start + policy.rebalance_seconds
    reaction = policy.metric_seconds + until_read
    promise = MARGIN * (policy.max_seconds_behind or 0.0)
    coming = 0.0
    if last.ready < workload.replicas:
        coming = max(policy.rebalance_seconds, until_read - (now - memory.asked_at))
    return View(
        now=now,
        asked=workload.replicas,
        ready=last.ready,
        sizes=tuple(levels(count, policy.min_replicas, policy.max_replicas)),
        reserves=memory.start_seconds is not None and policy.min_replicas > 0,
        promise=promise,
        acting=acting(policy.max_seconds_behind or 0.0),
        reaction=reaction,
        coming=coming,
        partitions=count,
        lag=sum(lags),
        age=_age(reading, lags, arrivals),
        arriving=arriving,
        forecast=_forecast(memory, arriving or 0.0, reaction, promise),
        reading=reads,
        steady=steady,
        rate=rate,
        hot=tuple(reading.partitions[i].partition for i in hot),
        top_share=top / total if total > 0 else 1 / count,
        rest_share=rest / total if total > 0 else 1 / count,
        top_lag=int(top_lag),
        rest_lag=rest_lag,
    )


def _forecast(memory: Memory, arriving: float, reaction: float, promise: float) -> float:
    """λ when replicas that are asked for now would read, as far as that is trusted.

    Where R > d a steep rise is believed too, but only to rates beyond all that were remembered when
    it began: what comes back after a fall, such as a rate that flips, is for rules 3 to 5.
    """
    forecast = min(arriving + rise(memory.samples) * reaction, RISE_MOST * arriving)
    if (
        reaction > promise
        and arriving > NEW_PART * sample_before(memory.samples, STEEP_SECONDS).peak
    ):
        steep = arriving + steep_rise(memory.samples) * min(reaction, STEEP_SECONDS)
        forecast = max(forecast, min(steep, STEEP_MOST * arriving))
    return forecast


def acting(promise: float) -> float:
    """d as rules 1 and 2 take it, for this D; both in seconds."""
    return min(MARGIN * promise, max(LEAST_PART * promise, promise - ACT_SECONDS))


def hot_partitions(arrivals: list[float], rate: float | None) -> list[int]:
    """Partitions that no number of replicas helps: faster than one replica, and than the others.
    (Where all are faster, there is simply too much.)"""
    if rate is None:
        return []
    fast = max(HOT * rate, 2 * sum(arrivals) / len(arrivals))
    return [i for i, arriving in enumerate(arrivals) if arriving > fast]


def _age(reading: LagReading, lags: list[int], arrivals: list[float]) -> float | None:
    """Seconds behind: measured, else max(Lᵢ/λᵢ), else None."""
    if not any(lags):
        return 0.0
    if reading.seconds_behind is not None:
        return reading.seconds_behind
    return max((n / a for n, a in zip(lags, arrivals, strict=True) if a > 0), default=None)
