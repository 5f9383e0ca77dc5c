"""Estimates of λ and μ, and of what each partition has of them, from offsets alone."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

from textmod_operator.scaling.memory import Memory, Policy, Sample, Workload
from textmod_operator.state import LagReading

LAMBDA_SECONDS = 10.0
"""λ is the difference of end offsets over at least this time."""
SURPRISE = 4.0
"""Standard deviations of independent arrivals beyond which a few seconds' more is no accident."""
FEW = 9.0
"""Messages: see `beyond_chance`."""
WINDOW_SECONDS = 60.0
"""How far back samples are kept: shares of partitions and throughput are differences over it."""
SAMPLE_SECONDS = 4.0
"""Samples are at least this far apart, so that `Memory` stays small however often it is asked."""
SATURATED_SECONDS = 8.0
"""Partitions that are further behind than this, all of them, keep every replica busy. Smaller lags
may only be the time since the last commit (librdkafka's default: every 5 s)."""
RISING = 2.0
"""Standard deviations by which each of four intervals in a row must be above the one before, to
show a steep rise and no accident."""
STILL_SECONDS = 10.0
"""A rebalance, or a commit that is late, is over by then."""
LEARN_DOWN_SECONDS = 5.0
LEARN_UP_SECONDS = 30.0
"""Time constants at which μ follows what busy replicas show."""


def take(
    reading: LagReading, workload: Workload, policy: Policy, memory: Memory, now: float
) -> Memory:
    """Take the reading into memory and learn the start time and μ from it."""
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
        peak=memory.peak,
    )
    if memory.asked != workload.replicas:
        grew = memory.asked is not None and workload.replicas > memory.asked
        memory = replace(memory, asked=workload.replicas, asked_at=now, growing=grew)
    if memory.growing and ready >= workload.replicas:
        if workload.ready is not None:
            memory = replace(
                memory, start_seconds=blend(memory.start_seconds, now - memory.asked_at, 0.5)
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


def sample_before(samples: tuple[Sample, ...], seconds: float) -> Sample:
    """The newest sample that is at least `seconds` older than the last, else the oldest."""
    until = samples[-1].at - seconds
    return next((s for s in reversed(samples[:-1]) if s.at <= until), samples[0])


def arrivals_between(a: Sample, b: Sample) -> float:
    """Arrivals a second between two samples."""
    return (sum(b.ends) - sum(a.ends)) / (b.at - a.at)


def arrival_rate(memory: Memory) -> float:
    """λ: over LAMBDA_SECONDS, or what both of the last two readings show beyond chance when that is
    more. One alone may be a batch that somebody sent at once."""
    steady = arrivals_between(sample_before(memory.samples, LAMBDA_SECONDS), memory.samples[-1])
    if len(memory.ends) < 3:
        return steady
    recent = min((n - m) / (b - a) for (a, m), (b, n) in pairwise(memory.ends))
    chance = math.sqrt(max(recent, 1.0) / (memory.ends[-1][0] - memory.ends[-2][0]))
    return max(steady, recent - SURPRISE * chance)


def _arrivals(a: Sample, b: Sample) -> list[float]:
    """Arrivals a second of each partition between two samples."""
    return [(end - start) / (b.at - a.at) for start, end in zip(a.ends, b.ends, strict=True)]


def by_partition(samples: tuple[Sample, ...]) -> list[float]:
    """Arrivals a second of each partition: over the whole window, or over the shortest time that
    shows one with more of λ than chance explains."""
    whole, last = _arrivals(samples[0], samples[-1]), samples[-1]
    for near in (samples[-2], sample_before(samples, LAMBDA_SECONDS)):
        recent, seconds = _arrivals(near, last), last.at - near.at
        scale = sum(recent) / max(sum(whole), 1e-9)
        usual = [max(one * scale, 1 / seconds) for one in whole]
        counts = ((n * seconds, m * seconds) for n, m in zip(recent, usual, strict=True))
        if any(n > m + beyond_chance(m) for n, m in counts):
            return recent
    return whole


def beyond_chance(expected: float) -> float:
    """So many messages more than expected on one partition are no accident. Few vary more than by
    their root, and there are many partitions and readings: fewer than FEW count as FEW."""
    return SURPRISE * math.sqrt(max(expected, FEW))


def rise(samples: tuple[Sample, ...]) -> float:
    """By how many messages/s λ rises each second: the smaller of the two differences between thirds
    of the window, so that a step, which only one of them shows, is not taken for a slope."""
    span = samples[-1].at - samples[0].at
    if span < WINDOW_SECONDS / 2 or len(samples) < 4:
        return 0.0
    marks = [sample_before(samples, span * thirds / 3) for thirds in (3, 2, 1)] + [samples[-1]]
    if any(a.at >= b.at for a, b in pairwise(marks)):
        return 0.0
    one, two, three = (arrivals_between(a, b) for a, b in pairwise(marks))
    return max(0.0, min(two - one, three - two)) / (span / 3)


def steep_rise(samples: tuple[Sample, ...]) -> float:
    """By how many messages/s λ rises each second, over the last four intervals of SAMPLE_SECONDS,
    when each is higher than the one before by more than chance; else 0. A step shows in two."""
    marks = [sample_before(samples, SAMPLE_SECONDS * n) for n in (4, 3, 2, 1)] + [samples[-1]]
    if len(samples) < 5 or any(a.at >= b.at for a, b in pairwise(marks)):
        return 0.0
    rates = [arrivals_between(a, b) for a, b in pairwise(marks)]
    chance = [
        math.sqrt(max(r, 1.0) / (b.at - a.at))
        for r, (a, b) in zip(rates, pairwise(marks), strict=True)
    ]
    middle = [(a.at + b.at) / 2 for a, b in pairwise(marks)]
    slopes = []
    for i, j in pairwise(range(len(rates))):
        more = rates[j] - rates[i]
        if more <= RISING * math.hypot(chance[i], chance[j]):
            return 0.0
        slopes.append(more / (middle[j] - middle[i]))
    return min(slopes)


def throughput(a: Sample, b: Sample) -> float:
    """Messages read a second between two samples."""
    return max(0.0, (sum(b.reads) - sum(a.reads)) / (b.at - a.at))


def stands_still(samples: tuple[Sample, ...]) -> bool:
    """Whether a partition was not read for STILL_SECONDS although messages waited there, while
    others were: its consumer is dead or stuck, and its messages wait for that."""
    before, last = sample_before(samples, STILL_SECONDS), samples[-1]
    if last.at - before.at < STILL_SECONDS:
        return False
    moved = [old < new for old, new in zip(before.reads, last.reads, strict=True)]
    waited = [read < end for read, end in zip(before.reads, before.ends, strict=True)]
    return any(moved) and any(w and not m for w, m in zip(waited, moved, strict=True))


def blend(old: float | None, new: float, weight: float) -> float:
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
    recent = steady[steady.index(sample_before(tuple(steady), 20)) :]
    arrivals = _arrivals(recent[0], last)
    step = last.at - memory.samples[-2].at
    bound = throughput(recent[0], last) / last.ready
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
        top, rest = top_and_rest(arrivals)
        shown = read / arrived * (top + (j - 1) * rest) + (k - j) * rest
        return max(_learned(known, shown, step), 0.95 * bound)
    bound = 0.95 * throughput(steady[0], last) / last.ready
    if known is not None and last.at - steady[0].at > 50 and bound > known:
        return bound
    return memory.rate


def _learned(known: float | None, shown: float, step: float) -> float:
    """`known` moved towards `shown`, `step` seconds after the last time. Bad news is believed
    sooner: commits come in steps, and what seems fast may have caught one more of them."""
    seconds = LEARN_DOWN_SECONDS if known is None or shown < known else LEARN_UP_SECONDS
    return blend(known, shown, 1 - math.exp(-step / seconds))


def _is_behind(sample: Sample, partition: int, arriving: float) -> bool:
    waiting = sample.ends[partition] - sample.reads[partition]
    return waiting > max(1.0, SATURATED_SECONDS * arriving)


def _slope(points: list[tuple[float, float]]) -> float:
    """Least squares: commits come in steps, of which two points alone may catch one too many."""
    n = len(points)
    x, y = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def top_and_rest(values: list[float]) -> tuple[float, float]:
    """The largest, and the mean of the others."""
    top = max(values)
    return top, (sum(values) - top) / max(1, len(values) - 1)
