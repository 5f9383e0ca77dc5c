"""When the scaling law changes its mind, and what is no reason to: on single figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from textmod_operator.scaling.law import Memory, Policy, Sample, Workload, decide
from textmod_operator.scaling.memory import Trial
from textmod_operator.scaling.rates import beyond_chance, by_partition, stands_still, steep_rise
from textmod_operator.scaling.reserve import kept
from textmod_operator.scaling.trials import trial_of
from textmod_operator.scaling.view import View, look
from textmod_operator.state import LagReading, PartitionLag

VIEW = View(
    now=1000.0,
    asked=2,
    ready=2,
    sizes=(1, 2, 3, 4, 6, 12),
    reserves=True,
    promise=7.5,
    acting=5.0,
    reaction=18.0,
    coming=0.0,
    partitions=12,
    lag=0,
    age=0.0,
    arriving=80.0,
    forecast=80.0,
    steady=80.0,
    reading=80.0,
    rate=100.0,
    hot=(),
    top_share=1 / 12,
    rest_share=1 / 12,
    top_lag=0,
    rest_lag=0.0,
)


@pytest.mark.parametrize(
    ("usual", "from_two", "from_three"),
    [(75.0, 2, 2), (85.0, 2, 3), (95.0, 3, 3)],
    ids=["two are enough", "two are hardly enough", "two are too few"],
)
def test_a_guess_that_wavers_about_a_size_does_not_change_it(
    usual: float, from_two: int, from_three: int
) -> None:
    """2·(R - d)^¼·√usual·(1 - d/R) replicas are kept where the usual rate is below one's."""
    memory = Memory(rate=100.0, usual=usual)
    assert kept(replace(VIEW, asked=2), memory) == from_two
    assert kept(replace(VIEW, asked=3), memory) == from_three


def samples(rates: list[float], *, every: float = 4.0) -> tuple[Sample, ...]:
    """One partition, at these rates one after another, all of it read."""
    end, found = 0.0, [Sample(0.0, (0,), (0,), 1, 1)]
    for number, rate in enumerate(rates, 1):
        end += every * rate
        found.append(Sample(every * number, (int(end),), (int(end),), 1, 1))
    return tuple(found)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([100, 160, 220, 280], 15.0),
        ([100, 100, 100, 100], 0.0),
        ([100, 100, 400, 700], 0.0),  # a step shows in two intervals
        ([100, 103, 106, 109], 0.0),  # chance
        ([100, 160, 150, 280], 0.0),
        ([160, 220, 280], 0.0),  # not seen for long enough
    ],
)
def test_a_steep_rise_shows_in_four_intervals(rates: list[float], expected: float) -> None:
    assert steep_rise(samples(rates)) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("peak", "promise", "beyond"),
    [(0.0, 10.0, True), (900.0, 10.0, False), (0.0, 60.0, False)],
    ids=["new", "after a fall from more", "replicas come in time anyway"],
)
def test_a_steep_rise_is_believed_where_it_is_new_and_replicas_come_late(
    peak: float, promise: float, beyond: bool
) -> None:
    policy = Policy(1, 1, partitions=1, max_seconds_behind=promise, start_seconds=5)
    seen = tuple(replace(sample, peak=peak) for sample in samples([100, 160, 220, 280]))
    memory = Memory(samples=seen, rate=100.0, peak=peak)
    last = seen[-1]
    reading = LagReading(last.at, (PartitionLag(0, 0, last.ends[0], last.ends[0]),), 0.0)
    view = look(reading, Workload(1, 1), policy, memory, last.at)
    assert view.arriving is not None
    assert (view.forecast > 1.3 * view.arriving) is beyond
    assert view.forecast <= 2 * view.arriving


@pytest.mark.parametrize(
    ("reads", "still"),
    [
        ([(0, 0), (40, 0), (80, 0), (120, 0)], True),
        ([(0, 0), (40, 0), (80, 0), (120, 1)], False),
        ([(0, 0), (0, 0), (0, 0), (0, 0)], False),  # nobody reads: a rebalance
        ([(0, 40), (40, 40), (80, 40), (120, 40)], False),  # nothing waited there
    ],
)
def test_a_partition_that_stands_still_beside_others(
    reads: list[tuple[int, int]], still: bool
) -> None:
    seen = tuple(Sample(4.0 * n, (40 + 40 * n, 40), read, 2, 2) for n, read in enumerate(reads))
    assert stands_still(seen) is still
    assert not stands_still(seen[:2])


@pytest.mark.parametrize(("expected", "more"), [(0.5, 12.0), (9.0, 12.0), (100.0, 40.0)])
def test_of_few_messages_more_is_chance(expected: float, more: float) -> None:
    assert beyond_chance(expected) == pytest.approx(more)


@pytest.mark.parametrize(("burst", "seen"), [(10, 41 / 28), (16, 8.0)], ids=["chance", "hot"])
def test_a_few_messages_on_one_partition_do_not_make_it_hot(burst: int, seen: float) -> None:
    """41/s on 28 partitions; ten messages in two seconds on one of them come now and then."""
    seconds = [0, 20, 40, 56, 58]
    ends = [tuple(int(t * 41 / 28) for _ in range(28)) for t in seconds]
    last = (ends[-2][0] + burst, *ends[-1][1:])
    found = tuple(
        Sample(float(t), e, e, 1, 1) for t, e in zip(seconds, [*ends[:-1], last], strict=True)
    )
    assert max(by_partition(found)) == pytest.approx(seen, rel=0.15)


def test_a_dead_consumer_is_no_size_that_is_too_small() -> None:
    """Partition 0 stands still: more replicas are asked for, but four have not failed."""
    seen = tuple(
        Sample(float(t), (30 * t,) * 12, (0, *[30 * t] * 11), 4, 4, float(t))
        for t in range(0, 25, 4)
    )
    memory = Memory(samples=seen[:-1], rate=100.0, asked=4, trials=(Trial(4),), tried_at=20.0)
    last = seen[-1]
    lags = tuple(PartitionLag(p, 0, last.ends[p], last.reads[p]) for p in range(12))
    policy = Policy(1, 12, partitions=12, max_seconds_behind=30, metric_seconds=4, start_seconds=2)
    reading = LagReading(last.at, lags, 24.0)
    decision, after = decide(reading, Workload(4, 4), policy, memory, last.at)
    assert decision.desired > 4
    assert trial_of(after, 4).left_rate == 0.0
