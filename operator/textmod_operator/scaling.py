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
4. What is not known (`LagUnknown`) shrinks nothing, and the window of (3) starts anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from textmod_operator.state import LagReading, LagUnknown

Condition = Literal["LagUnknown", "AtMaximum", "HotPartition"]

HPA_BEHAVIOR: dict[str, Any] = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 10_000, "periodSeconds": 15}],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    },
}
"""The HPA `behavior` that lets the law itself decide when the user gives none: the HPA's default of
4 pods or 100 % in 15 s would take four syncs from 1 to 16 replicas, and its 300 s window would come
on top of the law's own. Add `tolerance: "0"` both ways where the API server knows the field."""

MARGIN = 0.75
"""d/D. The rest is for what the law can't see: commits are some seconds old when they are read."""
KEEP_UP = 0.95
"""Busiest replica's utilisation at which a size counts as keeping up when growing to it."""
COMFORT = 0.9
"""The same when shrinking to it; the gap between the two stops flapping."""
LAMBDA_SECONDS = 10.0
"""λ is the difference of end offsets over at least this time."""
WINDOW_SECONDS = 60.0
"""How far back samples are kept: shares of partitions and throughput are differences over it."""
SAMPLE_SECONDS = 4.0
"""Samples are at least this far apart, so that `Memory` stays small however often it is asked."""
SATURATED_SECONDS = 8.0
"""Partitions that are further behind than this, all of them, keep every replica busy. Smaller lags
may only be the time since the last commit (librdkafka's default: every 5 s)."""
SHRINK_SECONDS = 90.0
"""A smaller size must fit every need of a window this long."""
PEAK_HALF_LIFE_SECONDS = 600.0
"""The recent peak is forgotten by half in this time."""
HOT = 0.95
"""A partition that takes more than this share of one replica's speed can't be helped by more."""


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
    """Messages/s of one busy replica, from the image's own benchmark; used until one is learned."""
    idle_seconds: float = 300.0
    """Without arrivals and lag for this long, scale to zero (only when `min_replicas` is 0)."""
    decision_seconds: float = 5.0
    """Between two decisions."""
    metric_seconds: float = 20.0
    """From an arrival until the HPA has acted on it: a decision and the HPA's sync of 15 s."""
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
    memory = _observe(reading, workload, policy, memory, now)
    load = _load(reading, workload, policy, memory)
    memory = _remember_peak(load, policy, memory, now)
    desired, reason, condition, memory = _judge(reading, load, workload, policy, memory, now)
    rates = Rates(load.arriving, load.reading, load.rate) if load.arriving is not None else None
    return Decision(desired, reason, condition, rates, load.age), memory


# --- What is known ------------------------------------------------------------------------------


def _observe(
    reading: LagReading, workload: Workload, policy: Policy, memory: Memory, now: float
) -> Memory:
    """Take the reading into memory and learn start time and μ from it."""
    ready = workload.replicas if workload.ready is None else workload.ready
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
        memory = replace(
            memory, asked=workload.replicas, asked_at=now, growing=grew, settled_at=now
        )
    if memory.growing and ready >= workload.replicas:
        if workload.ready is not None:
            memory = replace(
                memory, start_seconds=_blend(memory.start_seconds, now - memory.asked_at, 0.5)
            )
        memory = replace(memory, growing=False)

    if memory.samples and memory.samples[-1].ready != ready:
        memory = replace(memory, settled_at=now)
    memory = replace(memory, samples=_kept(memory.samples, sample))
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


def _blend(old: float | None, new: float, weight: float) -> float:
    return new if old is None else old + weight * (new - old)


def _learn_rate(memory: Memory, policy: Policy) -> float | None:
    """μ, corrected by what the last 20 to 60 s show; unchanged when they show nothing.

    Only while the number of ready replicas stood still. Partitions with a real backlog all the
    while show the speed of busy replicas: if that is all of them, throughput over replicas is μ; if
    some, it is the busiest replicas that could not keep up, and what they read of what came is what
    they can. Throughput over replicas is a lower bound at any time.
    """
    last = memory.samples[-1]
    since = memory.settled_at + policy.rebalance_seconds + SAMPLE_SECONDS
    steady = [s for s in memory.samples if s.at >= since]
    if len(steady) < 4 or last.ready != last.asked or last.ready < 1:
        return memory.rate
    first = steady[0]
    seconds = last.at - first.at
    if seconds < 20:
        return memory.rate
    arrivals = [(e - s) / seconds for e, s in zip(last.ends, first.ends, strict=True)]
    known = memory.rate or policy.prior_rate
    behind = [
        i
        for i, rate in enumerate(arrivals)
        if all(s.ends[i] - s.reads[i] > max(1, SATURATED_SECONDS * rate) for s in steady)
        and not (known and rate > HOT * known)
    ]
    weight = 1 - math.exp(-(last.at - memory.samples[-2].at) / 30)
    bound = sum(map(_minus, last.reads, first.reads)) / seconds / last.ready
    if len(behind) == len(arrivals):
        return _blend(known, bound, weight) if bound > 0 else memory.rate
    arrived = sum(arrivals[i] for i in behind)
    if behind and arrived > 0:
        read = _slope([(s.at, sum(s.reads[i] for i in behind)) for s in steady])
        cool = sorted((a for a in arrivals if not (known and a > HOT * known)), reverse=True)
        k = math.ceil(len(arrivals) / last.ready)
        busiest = cool[0] + (k - 1) * sum(cool[1:]) / max(1, len(cool) - 1)
        return max(_blend(known, busiest * read / arrived, weight), 0.95 * bound)
    if known is not None and seconds > 50 and 0.95 * bound > known:
        return 0.95 * bound
    return memory.rate


def _minus(a: int, b: int) -> int:
    return a - b


def _slope(points: list[tuple[float, float]]) -> float:
    """Least squares: commits come in steps, of which two points alone may catch one too many."""
    n = len(points)
    x, y = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


@dataclass(frozen=True)
class _Load:
    """What the law sees: the figures of one decision."""

    partitions: int
    lag: int
    age: float | None
    arriving: float | None
    """λ; None until there are two samples."""
    reading: float
    rate: float | None
    """μ as learned, else the prior; None when there is neither."""
    hot: tuple[int, ...]
    top_share: float
    """The largest partition's part of λ, hot ones left out; the others share `rest_share` each."""
    rest_share: float
    top_lag: int
    rest_lag: float
    ready: int
    forecast: float
    """λ when replicas asked for now would read, as far as a steady rise goes on."""

    def share(self, replicas: int) -> float:
        """The busiest replica's part of λ: the largest partition and ⌈P/n⌉ - 1 average ones."""
        return self.top_share + (math.ceil(self.partitions / replicas) - 1) * self.rest_share

    def backlog(self, replicas: int) -> float:
        """Messages that wait for the busiest replica, reckoned likewise."""
        return self.top_lag + (math.ceil(self.partitions / replicas) - 1) * self.rest_lag

    def capacity(self, replicas: int) -> float:
        """C(n), the arrivals that n replicas keep up with; 0 for none."""
        return (self.rate or 0.0) / self.share(replicas) if replicas > 0 else 0.0


def _load(reading: LagReading, workload: Workload, policy: Policy, memory: Memory) -> _Load:
    count = len(reading.partitions)
    lags = [p.messages for p in reading.partitions]
    rate = memory.rate or policy.prior_rate
    last, arriving, throughput = memory.samples[-1], None, 0.0
    arrivals = [0.0] * count
    if len(memory.samples) > 1:
        recent = _since(memory.samples, LAMBDA_SECONDS)
        arriving = (sum(last.ends) - sum(recent.ends)) / (last.at - recent.at)
        early = memory.samples[0]
        window = last.at - early.at
        throughput = max(0.0, (sum(last.reads) - sum(early.reads)) / window)
        arrivals = [(a - b) / window for a, b in zip(last.ends, early.ends, strict=True)]
    hot = tuple(i for i, a in enumerate(arrivals) if rate and a > HOT * rate)
    cool = [i for i in range(count) if i not in hot] or list(range(count))
    total = sum(arrivals)
    top = max((arrivals[i] for i in cool), default=0.0)
    rest = (sum(arrivals[i] for i in cool) - top) / max(1, len(cool) - 1)
    even = 1.0 / count
    top_lag = max(lags[i] for i in cool)
    age = reading.seconds_behind
    if age is None and total > 0:
        age = max((n / a for n, a in zip(lags, arrivals, strict=True) if a > 0), default=None)
    if sum(lags) == 0:
        age = 0.0
    return _Load(
        partitions=count,
        lag=sum(lags),
        age=age,
        arriving=arriving,
        reading=throughput,
        rate=rate,
        hot=tuple(reading.partitions[i].partition for i in hot),
        top_share=top / total if total > 0 else even,
        rest_share=rest / total if total > 0 else even,
        top_lag=top_lag,
        rest_lag=(sum(lags[i] for i in cool) - top_lag) / max(1, len(cool) - 1),
        ready=memory.samples[-1].ready,
        forecast=(arriving or 0.0) + _rise(memory.samples) * _reaction(policy, memory),
    )


def _rise(samples: tuple[Sample, ...]) -> float:
    """By how many messages/s λ rises each second: the smaller of the two differences between thirds
    of the window, so that a step, which only one of them shows, is not taken for a slope."""
    span = samples[-1].at - samples[0].at
    if span < WINDOW_SECONDS / 2 or len(samples) < 4:
        return 0.0
    marks = [_since(samples, span * third / 3) for third in (3, 2, 1)] + [samples[-1]]
    rates = [
        (sum(b.ends) - sum(a.ends)) / (b.at - a.at)
        for a, b in zip(marks, marks[1:], strict=False)
        if b.at > a.at
    ]
    if len(rates) < 3:
        return 0.0
    return max(0.0, min(rates[1] - rates[0], rates[2] - rates[1])) / (span / 3)


def _remember_peak(load: _Load, policy: Policy, memory: Memory, now: float) -> Memory:
    """The highest λ, fading by half every PEAK_HALF_LIFE_SECONDS. A rush that no size could answer,
    such as a backfill, is none to be ready for."""
    faded = memory.peak * 0.5 ** (max(0.0, now - memory.peak_at) / PEAK_HALF_LIFE_SECONDS)
    arriving = load.arriving or 0.0
    if load.rate and arriving > 1.5 * load.capacity(min(policy.max_replicas, load.partitions)):
        arriving = 0.0
    return replace(memory, peak=max(faded, arriving), peak_at=now)


# --- What to do ---------------------------------------------------------------------------------

_Verdict = tuple[int, str, Condition | None, Memory]


def _judge(
    reading: LagReading,
    load: _Load,
    workload: Workload,
    policy: Policy,
    memory: Memory,
    now: float,
) -> _Verdict:
    sizes = levels(load.partitions, policy.min_replicas, policy.max_replicas)
    asked, top = workload.replicas, sizes[-1]
    state = f"{_count(load.lag)} behind" if load.lag else "nothing waits"

    if policy.min_replicas == 0 and memory.idle_since is not None:
        if asked == 0:
            return 0, "0: idle, no message waits", None, memory
        if now - memory.idle_since >= policy.idle_seconds:
            return 0, f"0: no message for {policy.idle_seconds:.0f} s", None, memory
    if asked == 0 and load.lag == 0 and policy.min_replicas == 0:
        return 0, "0: no message waits", None, memory

    if policy.max_seconds_behind is None:
        need = _threshold_size(load, policy, sizes)
        grow = need if need > asked else None
    elif load.rate is None or load.arriving is None:
        held = min(max(asked, sizes[0]), top)
        return held, f"{held} of {top}: {state}, measuring the speed", None, memory
    else:
        need = _need(load, policy, memory, sizes, asked)
        grow = _grow(load, policy, memory, sizes, asked, now)
    memory = replace(memory, needs=_windowed(memory.needs, need, now))

    condition: Condition | None = "HotPartition" if load.hot else None
    if load.hot:
        names = ", ".join(map(str, load.hot))
        state += f", partition {names} alone is faster than one replica"
    if grow is not None or asked < sizes[0]:
        desired = max(grow or 0, sizes[0])
        if desired == top and asked >= top:
            return (
                desired,
                f"{desired} of {top}: {state}, {_when(load, desired)}",
                "AtMaximum",
                memory,
            )
        return desired, f"{desired} of {top}: {state}, {_when(load, desired)}", condition, memory
    if asked > top:
        return top, f"{top} of {top}: the most that is allowed", condition, memory
    fits = max(n for _, n in memory.needs)
    known = now - max(memory.known_since or now, memory.asked_at)
    if fits < asked and known >= SHRINK_SECONDS and not reading.rebalancing and not memory.growing:
        return fits, f"{fits} of {top}: {state}, fits for {SHRINK_SECONDS:.0f} s", condition, memory
    return asked, f"{asked} of {top}: {state}, {_when(load, asked)}", condition, memory


def _threshold_size(load: _Load, policy: Policy, sizes: list[int]) -> int:
    """The simple threshold: ⌈L / messagesPerReplica⌉, rounded up to a level."""
    wanted = math.ceil(load.lag / (policy.messages_per_replica or 1))
    return next((n for n in sizes if n >= wanted), sizes[-1])


def _reaction(policy: Policy, memory: Memory) -> float:
    """R in seconds."""
    start = policy.start_seconds if memory.start_seconds is None else memory.start_seconds
    return policy.metric_seconds + start + policy.rebalance_seconds


def _need(load: _Load, policy: Policy, memory: Memory, sizes: list[int], asked: int) -> int:
    """The smallest size that would do in comfort, for the shrink window (rule 3)."""
    promise = MARGIN * (policy.max_seconds_behind or 0.0)
    if load.age is None or load.age > promise / 2:
        return max(asked, sizes[0])  # behind: not the moment to shrink
    arriving = max(load.forecast, 1e-9)
    floor = min(memory.peak, load.capacity(sizes[-1])) * max(
        0.0, 1 - promise / _reaction(policy, memory)
    )
    rate = load.rate or 0.0
    for n in sizes:
        comfortable = arriving <= COMFORT * load.capacity(n)
        if comfortable and floor <= load.capacity(n) and load.backlog(n) <= rate * promise / 2:
            return n
    return sizes[-1]


def _grow(
    load: _Load, policy: Policy, memory: Memory, sizes: list[int], asked: int, now: float
) -> int | None:
    """The larger size to ask for now, or None while the present one will do (rules 1 and 2)."""
    promise = MARGIN * (policy.max_seconds_behind or 0.0)
    rising = min(load.forecast, 1.3 * (load.arriving or 0.0))
    arriving, rate = max(rising, 1e-9), load.rate or 0.0
    age = load.age or 0.0
    reaction = _reaction(policy, memory)
    coming = 0.0  # until the replicas that were already asked for read
    if load.ready < asked:
        start = reaction - policy.metric_seconds
        coming = max(policy.rebalance_seconds, start - (now - memory.asked_at))
    falling_behind_now = max(0.0, 1 - load.capacity(load.ready) / arriving)
    falling_behind = max(0.0, 1 - load.capacity(asked) / arriving)

    def wait_at(n: int, lead: float) -> float:
        """Seconds that the newest message waits once n replicas read, `lead` seconds from now."""
        gathered = falling_behind_now * arriving * lead
        return (load.backlog(n) + load.share(n) * gathered) / rate

    if asked > 0:
        then = age + falling_behind_now * coming
        if falling_behind > 0:
            later = reaction + policy.decision_seconds - coming
            if then + falling_behind * later <= promise:
                return None
        elif wait_at(asked, coming) <= promise and not _late(load, memory, promise, reaction, now):
            return None
    for n in sizes:
        if n <= asked:
            continue
        if arriving <= KEEP_UP * load.capacity(n) and wait_at(n, reaction) <= promise:
            return n
    return max(asked, sizes[-1])


def _late(load: _Load, memory: Memory, promise: float, reaction: float, now: float) -> bool:
    """Whether the promise is at risk and the present size, with time to show it, does not help."""
    if (load.age or 0.0) <= promise or now - memory.asked_at < reaction:
        return False
    before = _since(memory.samples, 20.0).age
    return before is not None and load.age is not None and load.age >= before - 5


def _windowed(
    needs: tuple[tuple[float, int], ...], need: int, now: float
) -> tuple[tuple[float, int], ...]:
    """A running maximum: only what no later, larger need outdoes is kept."""
    kept = [(at, n) for at, n in needs if n > need and at > now - SHRINK_SECONDS]
    return (*kept, (now, need))


# --- Words --------------------------------------------------------------------------------------


def _count(messages: int) -> str:
    """41,230 → "41k": a figure that changes every second need not be exact."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if messages >= 10 * size:
            return f"{messages / size:.0f}{unit}"
        if messages >= size:
            return f"{messages / size:.1f}{unit}"
    return str(messages)


def _when(load: _Load, replicas: int) -> str:
    """How it goes on at this size."""
    if load.arriving is None or load.rate is None:
        return "measuring the speed"
    spare = load.capacity(replicas) - load.arriving
    if not load.lag or (load.age or 0.0) < 1:
        return (
            f"{load.arriving:.0f} messages/s keep {replicas} replicas busy"
            if load.arriving
            else "idle"
        )
    if spare <= 0:
        return "falling behind"
    return f"{math.ceil(load.backlog(replicas) / load.rate)} s to catch up"
