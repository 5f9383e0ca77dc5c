"""Judge whether a process grows: memory, descriptors, threads, queues. Pure.

`tests/faults/test_growth.py` plants histories that must be caught, and others that must not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from scipy.stats import theilslopes

MIB: Final = 1 << 20
WARM_UP_SECONDS: Final = 120.0
"""Of a life: imports, the first batches, connections to every broker."""
SHORTEST_SECONDS: Final = 1800.0
"""Shortest life that is judged. In a shorter one, a memory of bounded size that fills (the scorer's
chunks, the client's queue after an outage) looks like a leak."""
SLOPE_MIB_A_MINUTE: Final = 0.5
"""The steepest slope of memory that is no growth, by Theil and Sen over the second half of a life.
Half of a leak of 1 MiB a minute, which must be caught. A memo that fills and stays is flat then."""
PARTS: Final = 4
"""Of a life after its warm-up. A leak raises the last three one after another; a step, such as a
larger backlog than all before it leaves in the allocator, does so once."""
SPARE_DESCRIPTORS: Final = 12
"""Connections open when needed: two clients with three brokers each, and one more apiece for
coordinators and for those that are closed and not yet replaced."""
SPARE_THREADS: Final = 2
"""A background task that is just ending, and the thread of a broker that is known by two names."""
LEAST_QUIET: Final = 4
"""Quiet moments that it takes to compare two halves."""


class Sample(NamedTuple):
    """One look at a process."""

    at: float
    """Seconds on a monotonic clock, the same for all samples."""
    memory: int
    """Resident bytes."""
    descriptors: int
    threads: int
    queued: int | None = None
    """Messages in the queues of its Kafka clients; None: unknown."""
    quiet: bool = False
    """Whether nothing was left to do."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What was seen of one process."""

    minutes: float
    """From the first sample to the last."""
    first_mib: float
    """Median of the minute after the warm-up; of the whole life where that is shorter."""
    last_mib: float
    """Median of the last minute."""
    most_mib: float
    slope_mib_a_minute: float | None
    """None: the life was too short to judge."""
    descriptors: tuple[int, ...]
    """At each quiet moment, as threads and queued."""
    threads: tuple[int, ...]
    queued: tuple[int, ...]
    grows: list[str] = field(default_factory=list)
    """What grows, of memory, descriptors, threads and queues."""

    @property
    def judged(self) -> bool:
        """Whether the life was long enough."""
        return self.slope_mib_a_minute is not None


def judge(samples: Sequence[Sample]) -> Growth:
    """Judge the samples of one process, in order of time. Raises ValueError without a sample."""
    if not samples:
        raise ValueError("a process without a sample cannot be judged")
    begin, end = samples[0].at, samples[-1].at
    warm = [one for one in samples if one.at >= begin + WARM_UP_SECONDS] or list(samples)
    quiet = [one for one in warm if one.quiet]
    slope = None
    if end - begin >= SHORTEST_SECONDS:
        later = [one for one in warm if one.at >= (begin + end) / 2]
        slope = _slope(later)
    growth = Growth(
        minutes=round((end - begin) / 60, 1),
        first_mib=_mib([one for one in warm if one.at <= warm[0].at + 60]),
        last_mib=_mib([one for one in warm if one.at >= end - 60]),
        most_mib=round(max(one.memory for one in samples) / MIB, 1),
        slope_mib_a_minute=None if slope is None else round(slope, 3),
        descriptors=tuple(one.descriptors for one in quiet),
        threads=tuple(one.threads for one in quiet),
        queued=tuple(one.queued for one in quiet if one.queued is not None),
    )
    if slope is not None and slope > SLOPE_MIB_A_MINUTE and _keeps_rising(warm):
        growth.grows.append("memory")
    if _rises(growth.descriptors, SPARE_DESCRIPTORS):
        growth.grows.append("descriptors")
    if _rises(growth.threads, SPARE_THREADS):
        growth.grows.append("threads")
    if any(growth.queued):
        growth.grows.append("queues")
    return growth


def _slope(samples: Sequence[Sample]) -> float:
    """Return the median of the slopes between all pairs of samples, in MiB a minute."""
    minutes = [one.at / 60 for one in samples]
    return float(theilslopes([one.memory / MIB for one in samples], minutes).slope)


def _keeps_rising(samples: Sequence[Sample]) -> bool:
    """Tell whether memory is higher in each of the later parts than in the one before."""
    size = len(samples) / PARTS
    parts = [samples[int(part * size) : int((part + 1) * size)] for part in range(1, PARTS)]
    minutes = (samples[-1].at - samples[0].at) / 60 / PARTS
    least = SLOPE_MIB_A_MINUTE * minutes
    return all(_mib(after) - _mib(before) > least for before, after in pairwise(parts))


def _rises(values: Sequence[int], spare: int) -> bool:
    """Tell whether the later half of the quiet moments has more than the earlier one."""
    if len(values) < LEAST_QUIET:
        return False
    half = len(values) // 2
    return median(values[-half:]) - median(values[:half]) > spare


def _mib(samples: Sequence[Sample]) -> float:
    return round(median(one.memory for one in samples) / MIB, 1)
