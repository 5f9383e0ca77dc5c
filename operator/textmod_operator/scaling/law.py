"""The scaling law: how many replicas keep the promise in seconds, and why.

`decide` is a pure function: no clock, no I/O, no randomness. It is called every few seconds for
each TextModeration; everything it must remember between two calls travels in `Memory`.

Symbols, as in queueing theory:

====  ==========================================================================================
λ     messages a second that arrive
μ     messages a second that one busy replica reads
L     unread messages
P, n  partitions, replicas; the busiest replica reads k = ⌈P/n⌉ partitions, so that more replicas
      help only at the sizes {⌈P/k⌉}
C(n)  messages a second that n replicas keep up with: μ over the busiest replica's share
D     the promise: `max_seconds_behind`; d is D less a margin
R     reaction: seconds from a decision until the replicas that it asked for read
====  ==========================================================================================

The law:

1. Hold. While λ > C, the wait of new messages grows by 1 - C/λ seconds a second. A size is kept as
   long as acting one decision later would still be in time: age + (1 - C/λ)·R ≤ d.
2. Up. Otherwise take the smallest size whose busiest replica keeps up with λ and reads what it has
   waiting, and what gathers during R, within d.
3. Down. When every need of the last window fits a smaller size, take it, but none below
   C = λₚₑₐₖ·(1 - d/R): from less than that, the return of the recent peak could not be answered
   in time, however fast the decision.
4. Reserve. Where R > d, a rush that has never been seen can't be answered in time either. So many
   replicas stand ready as are the middle of what the user allows, √(min·max), the more nearly the
   slower pods start.
5. What is not known (`LagUnknown`) shrinks nothing, and the window of (3) starts anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from textmod_operator.state import LagReading, LagUnknown

Condition = Literal["LagUnknown", "AtMaximum", "HotPartition"]

MARGIN = 0.75
"""d/D. The rest is for what the law can't see: commits are some seconds old when they are read."""
PATIENCE = 1.2
"""A size that was chosen to work off its backlog within d is given this much more to do it, lest a
little noise asks for the next size while its replicas are on their way."""
KEEP_UP = 0.95
"""Busiest replica's utilisation at which a size counts as keeping up when growing to it."""
COMFORT = 0.9
"""The same when shrinking to it; the gap between the two stops flapping."""
LAMBDA_SECONDS = 10.0
"""λ is the difference of end offsets over at least this time."""
SURPRISE = 4.0
"""Standard deviations of independent arrivals beyond which a few seconds' more is no accident."""
WINDOW_SECONDS = 60.0
"""How far back samples are kept: shares of partitions and throughput are differences over it."""
SAMPLE_SECONDS = 4.0
"""Samples are at least this far apart, so that `Memory` stays small however often it is asked."""
SATURATED_SECONDS = 8.0
"""Partitions that are further behind than this, all of them, keep every replica busy. Smaller lags
may only be the time since the last commit (librdkafka's default: every 5 s)."""
SHRINK_REACTIONS = 2.0
SHRINK_SECONDS = (30.0, 60.0)
"""A smaller size must fit every need of a window so many times R, within these bounds: what pods
bring back quickly need not be kept for long."""
PEAK_HALF_LIFE_SECONDS = 600.0
"""The recent peak is forgotten by half in this time."""
NEARLY = 1.1
"""What is at most so much slower than the best is good enough where nothing is good."""
DECISION_SECONDS = 5.0
"""Between two decisions, at most."""
BEHIND = "falling behind"
TOO_SLOW = "catching up too slowly"
LEARN_DOWN_SECONDS = 5.0
LEARN_UP_SECONDS = 30.0
"""Time constants at which μ follows what busy replicas show."""
HOT = 0.95
"""A partition that takes more than this part of one replica's speed is faster than one."""


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
    peak_at: float = 0.0
    needs: tuple[tuple[float, int], ...] = ()
    """(time, replicas needed), falling in replicas: the running maximum of the shrink window."""
    known_since: float | None = None
    """Since when lag has been read without a gap."""
    idle_since: float | None = None

    @classmethod
    def empty(cls) -> Memory:
        return cls()

    def learned(self) -> dict[str, float]:
        """What is worth keeping over a restart of the operator, as JSON-able figures."""
        figures = {"rate": self.rate, "startSeconds": self.start_seconds}
        return {key: round(value, 3) for key, value in figures.items() if value is not None}

    @classmethod
    def from_learned(cls, figures: dict[str, Any]) -> Memory:
        """The reverse of `learned`. What is missing, not a number or not positive is left unknown:
        the annotation it comes from is open to anybody's edit."""
        return cls(
            rate=_positive(figures.get("rate")),
            start_seconds=_positive(figures.get("startSeconds")),
        )


def _positive(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 < value < math.inf else None
    return None


def levels(partitions: int, smallest: int, largest: int) -> list[int]:
    """The sizes worth having, ascending: {⌈P/k⌉}, within `smallest` ≥ 1 and `largest`.

    >>> levels(13, 1, 13)
    [1, 2, 3, 4, 5, 7, 13]
    """
    smallest = max(1, smallest)
    largest = max(smallest, min(largest, partitions))
    spread = {math.ceil(partitions / k) for k in range(1, partitions + 1)}
    return sorted({max(smallest, n) for n in spread if n <= largest} or {smallest})


def reserve(policy: Policy, promise: float, reaction: float) -> int:
    """The smallest size to keep: `min_replicas`, or more where pods start too slowly.

    A rush of which nothing is known but that it needs from min to max replicas, every doubling as
    likely as the next, needs √(min·max) in the middle. `promise` is d and `reaction` R, in seconds:
    nothing is kept in reserve while R ≤ d, all of it from R = 2·d.

    >>> reserve(Policy(1, 64, partitions=64), promise=30.0, reaction=20.0)
    1
    >>> reserve(Policy(1, 64, partitions=64), promise=30.0, reaction=60.0)
    8
    """
    least, most = policy.min_replicas, min(policy.max_replicas, policy.partitions)
    if not 0 < least < most or promise <= 0:
        return least  # who scales to zero has chosen to wait for the first replica
    slowness = min(1.0, max(0.0, reaction / promise - 1))
    return math.ceil(least * math.pow(most / least, slowness / 2))


def decide(
    reading: LagReading | LagUnknown,
    workload: Workload,
    policy: Policy,
    memory: Memory,
    now: float,
) -> tuple[Decision, Memory]:
    """The replicas to ask for now. `now` is Unix time in seconds; calls may come at any rhythm."""
    if isinstance(reading, LagUnknown) or not reading.partitions:
        why = reading.why if isinstance(reading, LagUnknown) else "The topic has no partitions."
        held = replace(memory, known_since=None, idle_since=None)
        return Decision(workload.replicas, why, "LagUnknown"), held
    policy = replace(policy, prior_rate=reading.told_rate or policy.prior_rate)
    memory = _observe(reading, workload, policy, memory, now)
    view = _view(reading, workload, policy, memory, now)
    verdict = _judge(reading, view, policy, _remember_peak(view, memory))
    rates = None
    if view.arriving is not None:
        rates = Rates(view.arriving, view.reading, view.rate)
    decision = Decision(
        verdict.desired, _reason(verdict, view), _condition(verdict, view), rates, view.age
    )
    return decision, verdict.memory


@dataclass(frozen=True)
class _Verdict:
    desired: int
    outlook: str
    memory: Memory


# --- What is known ------------------------------------------------------------------------------


def _observe(
    reading: LagReading, workload: Workload, policy: Policy, memory: Memory, now: float
) -> Memory:
    """Take the reading into memory and learn start time and μ from it."""
    ready = workload.replicas
    if workload.ready is not None:
        ready = min(workload.ready, workload.replicas)  # pods that are stopping read no longer
    sample = Sample(
        at=reading.at,
        ends=tuple(p.end for p in reading.partitions),
        reads=tuple(p.end - p.messages for p in reading.partitions),
        ready=ready,
        asked=workload.replicas,
        age=reading.seconds_behind,
    )
    if memory.asked != workload.replicas:
        grew = memory.asked is not None and workload.replicas > memory.asked
        memory = replace(memory, asked=workload.replicas, asked_at=now, growing=grew)
    if memory.growing and ready >= workload.replicas:
        if workload.ready is not None:
            memory = replace(
                memory, start_seconds=_blend(memory.start_seconds, now - memory.asked_at, 0.5)
            )
        memory = replace(memory, growing=False)

    if memory.samples and memory.samples[-1].ready != ready:
        memory = replace(memory, settled_at=now)
    samples = _kept(memory.samples, sample)
    ends = (*memory.ends[-2:], (reading.at, sum(sample.ends)))
    if len(samples) == 1:
        ends = ends[-1:]
    elif memory.ends and reading.at <= memory.ends[-1][0]:
        ends = memory.ends
    memory = replace(memory, samples=samples, ends=ends)
    if memory.known_since is None:
        memory = replace(memory, known_since=now)
    memory = replace(memory, rate=_learn_rate(memory, policy))
    arrived = len(memory.samples) > 1 and memory.samples[-1].ends != memory.samples[-2].ends
    if arrived or reading.messages > 0:
        return replace(memory, idle_since=None)
    return replace(memory, idle_since=now if memory.idle_since is None else memory.idle_since)


def _kept(samples: tuple[Sample, ...], new: Sample) -> tuple[Sample, ...]:
    """The samples to remember: SAMPLE_SECONDS apart, WINDOW_SECONDS back, the newest always.

    Offsets that went back (a topic made anew) or partitions that were added start afresh.
    """
    if not samples:
        return (new,)
    last = samples[-1]
    if len(last.ends) != len(new.ends) or any(map(int.__gt__, last.ends, new.ends)):
        return (new,)
    if new.at <= last.at:
        return samples
    if len(samples) > 1 and last.at - samples[-2].at < SAMPLE_SECONDS:
        samples = samples[:-1]
    oldest = new.at - WINDOW_SECONDS
    first = max((i for i, s in enumerate(samples) if s.at <= oldest), default=0)
    return (*samples[first:], new)


def _since(samples: tuple[Sample, ...], seconds: float) -> Sample:
    """The newest sample that is at least `seconds` older than the last, else the oldest."""
    until = samples[-1].at - seconds
    return next((s for s in reversed(samples[:-1]) if s.at <= until), samples[0])


def _rate(a: Sample, b: Sample) -> float:
    """Arrivals a second between two samples."""
    return (sum(b.ends) - sum(a.ends)) / (b.at - a.at)


def _arriving(memory: Memory) -> float:
    """λ: over LAMBDA_SECONDS, or what both of the last two readings show beyond chance when that is
    more. One alone may be a batch that somebody sent at once."""
    steady = _rate(_since(memory.samples, LAMBDA_SECONDS), memory.samples[-1])
    if len(memory.ends) < 3:
        return steady
    recent = min((n - m) / (b - a) for (a, m), (b, n) in pairwise(memory.ends))
    chance = math.sqrt(max(recent, 1.0) / (memory.ends[-1][0] - memory.ends[-2][0]))
    return max(steady, recent - SURPRISE * chance)


def _arrivals(a: Sample, b: Sample) -> list[float]:
    """Arrivals a second of each partition between two samples."""
    return [(end - start) / (b.at - a.at) for start, end in zip(a.ends, b.ends, strict=True)]


def _by_partition(samples: tuple[Sample, ...]) -> list[float]:
    """Arrivals a second of each partition: over the whole window, or over the shortest time that
    shows one with more of λ than chance explains."""
    whole, last = _arrivals(samples[0], samples[-1]), samples[-1]
    for near in (samples[-2], _since(samples, LAMBDA_SECONDS)):
        recent, seconds = _arrivals(near, last), last.at - near.at
        scale = sum(recent) / max(sum(whole), 1e-9)
        usual = [max(one * scale, 1 / seconds) for one in whole]
        more = (
            n - m - SURPRISE * math.sqrt(m / seconds) for n, m in zip(recent, usual, strict=True)
        )
        if max(more) > 0:
            return recent
    return whole


def _throughput(a: Sample, b: Sample) -> float:
    """Messages read a second between two samples."""
    return max(0.0, (sum(b.reads) - sum(a.reads)) / (b.at - a.at))


def _blend(old: float | None, new: float, weight: float) -> float:
    return new if old is None else old + weight * (new - old)


def _learn_rate(memory: Memory, policy: Policy) -> float | None:
    """μ, corrected by what the last 20 to 60 s show; unchanged when they show nothing.

    Only while the number of ready replicas stood still. Partitions with a real backlog all the
    while show the speed of busy replicas. If that is all of them, throughput over replicas is μ. If
    some, they are the largest partitions of the busiest replicas: what those read of them, and all
    that came on their other partitions, is μ. Throughput over replicas is a lower bound.
    """
    last, known = memory.samples[-1], memory.rate or policy.prior_rate
    since = memory.settled_at + policy.rebalance_seconds + SAMPLE_SECONDS
    steady = [s for s in memory.samples if s.at >= since]
    if not steady or last.at - steady[0].at < 20 or last.ready < 1:
        return memory.rate
    recent = steady[steady.index(_since(tuple(steady), 20)) :]
    arrivals = _arrivals(recent[0], last)
    step = last.at - memory.samples[-2].at
    bound = _throughput(recent[0], last) / last.ready
    behind = [i for i, a in enumerate(arrivals) if all(_is_behind(s, i, a) for s in recent)]
    arrived = sum(arrivals[i] for i in behind)
    read = _slope([(s.at, sum(s.reads[i] for i in behind)) for s in recent])
    if behind and 0.97 * arrived <= read <= arrived:
        return memory.rate  # late, but in step: slow commits look like that
    if len(behind) == len(arrivals):
        return _learned(known, bound, step) if bound > 0 else memory.rate
    if arrived > 0:
        k = math.ceil(len(arrivals) / last.ready)
        busiest = len(arrivals) - last.ready * (k - 1)  # as many replicas read k partitions
        j = min(k, max(1, round(len(behind) / busiest)))  # of which so many are behind
        top, rest = _top_and_rest(arrivals)
        shown = read / arrived * (top + (j - 1) * rest) + (k - j) * rest
        return max(_learned(known, shown, step), 0.95 * bound)
    bound = 0.95 * _throughput(steady[0], last) / last.ready
    if known is not None and last.at - steady[0].at > 50 and bound > known:
        return bound
    return memory.rate


def _learned(known: float | None, shown: float, step: float) -> float:
    """`known` moved towards `shown`, `step` seconds after the last time. Bad news is believed
    sooner: commits come in steps, and what seems fast may have caught one more of them."""
    seconds = LEARN_DOWN_SECONDS if known is None or shown < known else LEARN_UP_SECONDS
    return _blend(known, shown, 1 - math.exp(-step / seconds))


def _is_behind(sample: Sample, partition: int, arriving: float) -> bool:
    waiting = sample.ends[partition] - sample.reads[partition]
    return waiting > max(1.0, SATURATED_SECONDS * arriving)


def _slope(points: list[tuple[float, float]]) -> float:
    """Least squares: commits come in steps, of which two points alone may catch one too many."""
    n = len(points)
    x, y = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


@dataclass(frozen=True)
class _View:
    """All that one decision looks at."""

    now: float
    asked: int
    ready: int
    sizes: tuple[int, ...]
    """The sizes to choose from, ascending."""
    reserved: bool
    """The smallest of them is more than the user's minimum."""
    promise: float
    """d in seconds."""
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
    """λ when replicas that are asked for now would read, should a steady rise go on."""
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
        rate, others = self.rate or 0.0, self.others(replicas)
        return max(rate - others * self.rest_share * self.rising, rate / (others + 1))

    def falling_behind(self, replicas: int) -> float:
        """Seconds by which new messages of the largest partition wait longer each second, ≥ 0."""
        return max(0.0, 1 - self.top_speed(replicas) / max(self.top_share * self.rising, 1e-9))

    def wait(self, replicas: int, lead: float) -> float:
        """Seconds that the newest message waits once `replicas` read, `lead` seconds from now: on
        the busiest replica behind all that waits there, or on the largest partition."""
        gathered = max(0.0, self.rising - self.capacity(self.ready)) * lead
        grown = self.falling_behind(self.ready) * self.top_share * self.rising * lead
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

    @property
    def shrink_seconds(self) -> float:
        """The window of rule 3."""
        shortest, longest = SHRINK_SECONDS
        return min(longest, max(shortest, SHRINK_REACTIONS * self.reaction))

    @property
    def rising(self) -> float:
        """The forecast as far as it is trusted for growing."""
        return min(self.forecast, 1.3 * (self.arriving or 0.0))


def _view(
    reading: LagReading, workload: Workload, policy: Policy, memory: Memory, now: float
) -> _View:
    count = len(reading.partitions)
    lags = [p.messages for p in reading.partitions]
    rate = memory.rate or policy.prior_rate
    first, last = memory.samples[0], memory.samples[-1]
    arriving, throughput, arrivals = None, 0.0, [0.0] * count
    if len(memory.samples) > 1:
        arriving = _arriving(memory)
        throughput = _throughput(first, last)
        arrivals = _by_partition(memory.samples)
    hot = _hot(arrivals, rate)
    total = sum(arrivals)
    top, rest = _top_and_rest(arrivals)
    top_lag, rest_lag = _top_and_rest([float(n) for n in lags])
    start = policy.start_seconds if memory.start_seconds is None else memory.start_seconds
    until_read = start + policy.rebalance_seconds
    reaction = policy.metric_seconds + until_read
    promise = MARGIN * (policy.max_seconds_behind or 0.0)
    smallest = policy.min_replicas
    if memory.start_seconds is not None:  # replicas are kept for what was measured only
        smallest = reserve(policy, promise, reaction)
    coming = 0.0
    if last.ready < workload.replicas:
        coming = max(policy.rebalance_seconds, until_read - (now - memory.asked_at))
    return _View(
        now=now,
        asked=workload.replicas,
        ready=last.ready,
        sizes=tuple(levels(count, smallest, policy.max_replicas)),
        reserved=smallest > policy.min_replicas > 0,
        promise=promise,
        reaction=reaction,
        coming=coming,
        partitions=count,
        lag=sum(lags),
        age=_age(reading, lags, arrivals),
        arriving=arriving,
        forecast=(arriving or 0.0) + _rise(memory.samples) * reaction,
        reading=throughput,
        rate=rate,
        hot=tuple(reading.partitions[i].partition for i in hot),
        top_share=top / total if total > 0 else 1 / count,
        rest_share=rest / total if total > 0 else 1 / count,
        top_lag=int(top_lag),
        rest_lag=rest_lag,
    )


def _hot(arrivals: list[float], rate: float | None) -> list[int]:
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


def _top_and_rest(values: list[float]) -> tuple[float, float]:
    """The largest, and the mean of the others."""
    top = max(values)
    return top, (sum(values) - top) / max(1, len(values) - 1)


def _rise(samples: tuple[Sample, ...]) -> float:
    """By how many messages/s λ rises each second: the smaller of the two differences between thirds
    of the window, so that a step, which only one of them shows, is not taken for a slope."""
    span = samples[-1].at - samples[0].at
    if span < WINDOW_SECONDS / 2 or len(samples) < 4:
        return 0.0
    marks = [_since(samples, span * thirds / 3) for thirds in (3, 2, 1)] + [samples[-1]]
    if any(a.at >= b.at for a, b in pairwise(marks)):
        return 0.0
    one, two, three = (_rate(a, b) for a, b in pairwise(marks))
    return max(0.0, min(two - one, three - two)) / (span / 3)


def _remember_peak(view: _View, memory: Memory) -> Memory:
    """The highest λ, fading by half every PEAK_HALF_LIFE_SECONDS. A rush that no size could answer,
    such as a backfill, is none to be ready for."""
    faded = memory.peak * 0.5 ** (max(0.0, view.now - memory.peak_at) / PEAK_HALF_LIFE_SECONDS)
    arriving = view.arriving or 0.0
    if view.rate and arriving > 1.5 * view.capacity(view.sizes[-1]):
        arriving = 0.0
    return replace(memory, peak=max(faded, arriving), peak_at=view.now)


# --- What to do ---------------------------------------------------------------------------------


def _judge(reading: LagReading, view: _View, policy: Policy, memory: Memory) -> _Verdict:
    """The first rule that has something to say."""
    smallest, top = view.sizes[0], view.sizes[-1]
    if policy.min_replicas == 0 and (idle := _idle(view, policy, memory)):
        return _Verdict(0, idle, memory)
    if policy.max_seconds_behind is None:
        wanted = math.ceil(view.lag / (policy.messages_per_replica or 1))
        need = next((n for n in view.sizes if n >= wanted), top)
        larger = need if need > view.asked else None
    elif view.rate is None or view.arriving is None:
        return _Verdict(min(max(view.asked, smallest), top), "measuring the speed", memory)
    else:
        need, larger = _need(view, memory), _larger(view, memory)
    memory = replace(memory, needs=_windowed(memory.needs, need, view))

    if reading.rebalancing and smallest <= view.asked <= top:
        return _Verdict(view.asked, "the consumer group is rebalancing", memory)
    smaller = _smaller(view, memory)
    if larger is None and smaller is not None:
        why = f"enough for all of the last {view.shrink_seconds:.0f} s"
        return _Verdict(smaller, why, memory)
    desired = min(max(view.asked, smallest, larger or 0), max(top, larger or 0))
    return _Verdict(desired, _outlook(view, desired), memory)


def _idle(view: _View, policy: Policy, memory: Memory) -> str | None:
    """Why nothing is to run, or None."""
    if view.lag:
        return None
    if view.asked == 0:
        return "idle"
    if memory.idle_since is not None and view.now - memory.idle_since >= policy.idle_seconds:
        return f"no message for {policy.idle_seconds:.0f} s"
    return None


def _larger(view: _View, memory: Memory) -> int | None:
    """Rules 1 and 2: the larger size to ask for now, or None while the present one will do. The
    present one once more means that nothing more can be done."""
    if view.asked > 0 and _holds(view, memory):
        return None
    fits = (
        n
        for n in view.sizes
        if n > view.asked
        and view.rising <= KEEP_UP * view.capacity(n)
        and view.wait(n, view.reaction) <= view.promise
    )
    return max(view.asked, next(fits, view.best_effort(view.reaction)))


def _holds(view: _View, memory: Memory) -> bool:
    """Rule 1: whether the present size keeps the promise if the next decision acts."""
    slope = view.falling_behind(view.asked)
    if slope > 0:
        if view.falling_behind(view.sizes[-1]) > 0 and view.asked < view.hardly_slower():
            return False  # no size works off what gathers meanwhile
        soon = view.falling_behind(view.ready) * view.coming
        later = slope * (view.reaction + DECISION_SECONDS - view.coming)
        return (view.age or 0.0) + soon + later <= view.promise
    patience = view.promise * PATIENCE
    return view.wait(view.asked, view.coming) <= patience and not _disproved(view, memory)


def _disproved(view: _View, memory: Memory) -> bool:
    """Whether the present size has had its time, and the age says that it does not catch up."""
    age = view.age or 0.0
    if age <= view.promise or view.now - memory.asked_at < view.reaction:
        return False
    before = _since(memory.samples, 20.0).age
    return before is not None and age >= before - 5


def _need(view: _View, memory: Memory) -> int:
    """The smallest size that would do in comfort, for the window of rule 3."""
    most = view.capacity(view.sizes[-1])
    floor = min(memory.peak, most) * max(0.0, 1 - view.promise / view.reaction)
    most_waiting = (view.rate or 0.0) * view.promise / 2
    behind = view.age is None or view.age > view.promise / 2
    fits = (
        n
        for n in view.sizes
        if max(view.forecast / COMFORT, floor) <= view.capacity(n)
        and (behind or view.backlog(n) <= most_waiting)
    )
    return next(fits, view.hardly_slower())


def _smaller(view: _View, memory: Memory) -> int | None:
    """Rule 3: the smaller size that fits the whole window, or None."""
    if view.age is None or view.age > view.promise / 2:
        return None  # behind: not the moment to shrink
    known_since = view.now if memory.known_since is None else memory.known_since
    settled = view.now - max(known_since, memory.asked_at) >= view.shrink_seconds
    fits = max(n for _, n in memory.needs)
    return fits if settled and fits < view.asked else None


def _windowed(
    needs: tuple[tuple[float, int], ...], need: int, view: _View
) -> tuple[tuple[float, int], ...]:
    """A running maximum: only what no later, larger need outdoes is kept."""
    oldest = view.now - view.shrink_seconds
    return (*((at, n) for at, n in needs if n > need and at > oldest), (view.now, need))


# --- Words --------------------------------------------------------------------------------------


def _condition(verdict: _Verdict, view: _View) -> Condition | None:
    """What the user should know about besides the number."""
    if view.hot:
        return "HotPartition"
    stuck = verdict.desired >= view.sizes[-1] and view.asked >= view.sizes[-1]
    if stuck and verdict.outlook in (BEHIND, TOO_SLOW):
        return "AtMaximum"
    return None


def _reason(verdict: _Verdict, view: _View) -> str:
    """One sentence, such as "12 of 12: 41k behind, 18 s to catch up"."""
    parts = [f"{_count(view.lag)} behind"] if view.lag else ["nothing waits"]
    if view.hot:
        names = ", ".join(map(str, view.hot))
        which = "partition" if len(view.hot) == 1 else "each of partitions"
        parts.append(f"{which} {names} is faster than one replica")
    return f"{verdict.desired} of {view.sizes[-1]}: {', '.join([*parts, verdict.outlook])}"


def _outlook(view: _View, replicas: int) -> str:
    """How it goes on with so many replicas."""
    if view.arriving is None or view.rate is None:
        return "measuring the speed"
    if view.capacity(replicas) <= view.arriving:
        return BEHIND
    if view.wait(replicas, view.coming) > view.promise > 0:
        return TOO_SLOW
    if (view.age or 0.0) < SATURATED_SECONDS:
        ready = ", as many as stand ready while pods start slowly"
        kept = view.reserved and replicas == view.sizes[0]
        return f"{view.arriving:.0f} messages/s{ready if kept else ''}"
    return f"{math.ceil(view.backlog(replicas) / view.rate)} s to catch up"


def _count(messages: int) -> str:
    """41,230 → "41k": a figure that changes every second need not be exact."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if messages >= 10 * size:
            return f"{messages / size:.0f}{unit}"
        if messages >= size:
            return f"{messages / size:.1f}{unit}"
    return str(messages)
