"""The scaling law on a virtual clock: each rule, and each thing it must never do."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_operator.scaling.law import (
    Decision,
    Memory,
    Policy,
    Workload,
    decide,
    levels,
)
from textmod_operator.scaling.memory import Trial
from textmod_operator.scaling.reserve import answers
from textmod_operator.scaling.trials import LEFT_SECONDS, left, trial_of, trusted
from textmod_operator.scaling.view import View, acting
from textmod_operator.state import LagReading, LagUnknown, PartitionLag

POLICY = Policy(
    min_replicas=1, max_replicas=12, partitions=12, max_seconds_behind=30, prior_rate=100
)


@dataclass
class Stream:
    """A stream whose offsets move as the test says; decisions come every 5 s."""

    policy: Policy = POLICY
    replicas: int = 1
    ready: int | None = None
    """None: as many as replicas."""
    now: float = 1_000_000.0
    ends: list[float] = field(default_factory=lambda: [0.0] * 12)
    reads: list[float] = field(default_factory=lambda: [0.0] * 12)
    memory: Memory = field(default_factory=Memory.empty)
    follow: bool = True
    """Whether replicas become what was decided at once, as under a quick HPA."""
    measured: bool = True

    def reading(self, *, rebalancing: bool = False) -> LagReading:
        lags = tuple(
            PartitionLag(i, 0, int(end), int(read))
            for i, (end, read) in enumerate(zip(self.ends, self.reads, strict=True))
        )
        age = self.age if self.measured else None
        return LagReading(self.now, lags, age, rebalancing, self.told_rate)

    first_in_first_out: bool = False
    """The age is that of the oldest message, not an estimate from the rate of now."""
    arrived: list[tuple[float, float]] = field(default_factory=list)
    age: float = 0.0
    told_rate: float | None = None

    def decide(self, reading: LagReading | LagUnknown | None = None) -> Decision:
        workload = Workload(self.replicas, self.replicas if self.ready is None else self.ready)
        decision, self.memory = decide(
            reading or self.reading(), workload, self.policy, self.memory, self.now
        )
        if self.follow:
            self.replicas = decision.desired
        return decision

    def run(
        self,
        seconds: float,
        arriving: float | list[float],
        reading: float | None = None,
        *,
        per_replica: float | None = None,
    ) -> list[Decision]:
        """`arriving` messages/s in all, or by partition; `reading` of them are read, or
        `per_replica` by each replica (neither: all)."""
        count = len(self.ends)
        rates = arriving if isinstance(arriving, list) else [arriving / count] * count
        decisions = []
        for _ in range(int(seconds / 5)):
            self.now += 5
            if per_replica is not None:
                reading = per_replica * self.replicas
            for i, rate in enumerate(rates):
                self.ends[i] += 5 * rate
                if reading is None:
                    self.reads[i] = self.ends[i]
                else:
                    self.reads[i] = min(self.ends[i], self.reads[i] + 5 * reading / count)
            total = sum(rates)
            behind = sum(self.ends) - sum(self.reads)
            self.age = behind / total if total else self.age + 5 if behind else 0.0
            if self.first_in_first_out:
                self.arrived.append((self.now, sum(self.ends)))
                after = (at for at, end in self.arrived if end > sum(self.reads) + 1e-6)
                self.age = self.now - next(after, self.now)
            decisions.append(self.decide())
        return decisions

    def lag(self, messages: float) -> None:
        self.ends = [end + messages / len(self.ends) for end in self.ends]


# --- Sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("partitions", "smallest", "largest", "expected"),
    [
        (13, 1, 13, [1, 2, 3, 4, 5, 7, 13]),
        (12, 1, 12, [1, 2, 3, 4, 6, 12]),
        (12, 1, 8, [1, 2, 3, 4, 6]),
        (12, 5, 12, [5, 6, 12]),
        (12, 8, 8, [8]),
        (12, 0, 99, [1, 2, 3, 4, 6, 12]),
        (1, 1, 5, [1]),
    ],
)
def test_levels(partitions: int, smallest: int, largest: int, expected: list[int]) -> None:
    assert levels(partitions, smallest, largest) == expected


@given(st.integers(1, 200), st.integers(0, 50), st.integers(1, 200))
def test_levels_are_the_smallest_sizes_for_their_busiest_replica(
    partitions: int, smallest: int, largest: int
) -> None:
    largest = max(largest, smallest, 1)
    found = levels(partitions, smallest, largest)
    assert found == sorted(set(found))
    assert found[0] >= max(1, smallest)
    for size in found:
        if max(1, smallest) < size <= partitions:
            assert math.ceil(partitions / size) < math.ceil(partitions / (size - 1))


# --- Up -----------------------------------------------------------------------------------------


def test_the_first_reading_changes_nothing() -> None:
    stream = Stream(replicas=3)
    stream.lag(50_000)
    decision = stream.decide()
    assert decision.desired == 3
    assert decision.rates is None


def test_a_rate_that_fits_is_left_alone() -> None:
    stream = Stream(replicas=4)
    assert {d.desired for d in stream.run(600, 350)} == {4}


def test_a_step_up_is_answered_at_a_level_that_keeps_up() -> None:
    stream = Stream(replicas=1)
    stream.run(60, 80)
    decisions = stream.run(15, 450, reading=100)
    assert decisions[-1].desired == 6  # 450/s need 5 replicas; 5 have no better busiest one than 4


def test_a_mild_overload_waits_until_waiting_would_break_the_promise() -> None:
    """440/s on 400: messages wait 0.09 s longer each second, which is no hurry."""
    stream = Stream(replicas=4, memory=Memory(rate=100.0, start_seconds=5))
    stream.run(60, 390)
    decisions = stream.run(300, 440, reading=400)
    up = next(i for i, d in enumerate(decisions) if d.desired > 4)
    assert 60 <= 5 * up <= 240
    assert decisions[up].seconds_behind is not None
    assert decisions[up].seconds_behind < 30


@pytest.mark.parametrize(
    ("promise", "seconds"), [(120, 90), (30, 22.5), (20, 15), (10, 5), (5, 1.5), (1, 0.3)]
)
def test_a_short_promise_is_acted_on_with_more_to_spare(promise: float, seconds: float) -> None:
    """What the law can't see takes the same seconds, however short the promise is."""
    assert acting(promise) == pytest.approx(seconds)


def test_a_slow_start_scales_earlier() -> None:
    def seconds_until_up(start: float) -> int:
        stream = Stream(replicas=4, memory=Memory(rate=100.0, start_seconds=start))
        stream.run(60, 390)
        decisions = stream.run(300, 440, reading=400)
        return 5 * next(i for i, d in enumerate(decisions) if d.desired > 4)

    assert seconds_until_up(60) < seconds_until_up(5)


def test_a_steady_rise_is_met_before_it_arrives() -> None:
    stream = Stream(replicas=2, memory=Memory(rate=100.0, start_seconds=60))
    rate, grown = 100.0, None
    while grown is None and rate < 400:
        rate += 5
        if stream.run(5, rate)[-1].desired > 2:
            grown = rate
    assert grown is not None
    assert grown <= 215  # two replicas have hardly fallen behind


def test_a_backlog_that_drains_in_time_is_held() -> None:
    stream = Stream(replicas=6)
    stream.run(60, 300)
    stream.lag(4_000)
    decisions = stream.run(30, 300, reading=400)
    assert {d.desired for d in decisions} == {6}
    assert "s to catch up" in decisions[2].reason


def test_a_backlog_that_would_take_too_long_gets_more() -> None:
    stream = Stream(replicas=6)
    stream.run(60, 300)
    stream.lag(40_000)
    assert stream.run(5, 300, reading=600)[-1].desired == 12


def test_what_more_replicas_cannot_help_is_said() -> None:
    stream = Stream(replicas=12)
    stream.run(60, 900)
    stream.lag(500_000)
    decision = stream.run(10, 900, reading=1200)[-1]
    assert decision.desired == 12
    assert decision.condition == "AtMaximum"
    assert decision.reason.startswith("12 of 12: ")
    assert "k behind" in decision.reason


def test_replicas_that_are_on_their_way_are_waited_for() -> None:
    """While the pods start, the lag that was foreseen is no reason for more."""
    stream = Stream(replicas=2, follow=False, memory=Memory(rate=100.0, start_seconds=30))
    stream.run(60, 150)
    assert stream.run(15, 300, reading=200)[-1].desired == 4
    stream.replicas, stream.ready = 4, 2
    assert {d.desired for d in stream.run(25, 300, reading=200)} == {4}


def test_a_size_that_comes_too_late_is_raised_at_once() -> None:
    """Four replicas keep up with 390/s, but not with what gathers in the minute until they read."""
    stream = Stream(replicas=1, follow=False, memory=Memory(rate=100.0, start_seconds=60))
    stream.run(60, 90)
    stream.replicas, stream.ready = 4, 1
    assert stream.run(15, 380, reading=100)[-1].desired == 12


@pytest.mark.parametrize(
    ("partitions", "rest", "expected"),
    [
        (12, 18.0, 12),  # beside one other it would get 82/s of a replica's 100
        (
            64,
            4.0,
            22,
        ),  # beside two others it gets 92/s: 64 replicas for one partition are no bargain
    ],
)
def test_a_hot_partition_is_told_and_given_nearly_a_replica_of_its_own(
    partitions: int, rest: float, expected: int
) -> None:
    stream = Stream(
        policy=replace(POLICY, partitions=partitions, max_replicas=partitions),
        replicas=4,
        ends=[0.0] * partitions,
        reads=[0.0] * partitions,
        memory=Memory(rate=100.0),
    )
    for _ in range(40):
        stream.now += 5
        for i in range(partitions):
            stream.ends[i] += 5 * (rest if i else 150.0)
            stream.reads[i] = stream.ends[i] if i else stream.reads[i] + 5 * 100
        stream.age = (stream.ends[0] - stream.reads[0]) / 150
        decision = stream.decide()
    assert decision.condition == "HotPartition"
    assert "partition 0 is faster than one replica" in decision.reason
    assert decision.desired == expected


def test_a_partition_that_gets_hot_is_given_a_replica_of_its_own_at_once() -> None:
    """Every second beside others costs it what no size gives back."""
    stream = Stream(replicas=4, memory=Memory(rate=100.0, start_seconds=2))
    stream.run(120, 300)
    hot = [150.0] + [150 / 11] * 11
    assert max(d.desired for d in stream.run(10, hot)) == 12


def test_a_hot_partition_may_come_back_before_replicas_could() -> None:
    """After a hot spell of one partition its replica keeps room for the next, for some minutes."""

    def size_after(spell: list[float]) -> int:
        policy = replace(POLICY, max_seconds_behind=10, start_seconds=8)
        stream = Stream(policy=policy, replicas=12, memory=Memory(rate=100.0))
        stream.run(200, 340)
        stream.run(120, spell)
        return stream.run(160, 340)[-1].desired

    assert size_after([340 / 12] * 12) == 4
    assert size_after([90.0] + [250 / 11] * 11) == 6


def test_a_size_that_had_to_be_left_is_not_returned_to_for_the_rate_at_which_it_was() -> None:
    """Its replicas read 85/s where they say 100: its trial sees no need, its messages wait."""
    policy = replace(POLICY, max_seconds_behind=10, metric_seconds=4, start_seconds=2)
    stream = Stream(policy=policy, replicas=4, memory=Memory(rate=100.0))
    stream.first_in_first_out = True
    sizes = []
    for _ in range(120):
        stream.told_rate = 100.0
        decision = stream.run(5, 345, per_replica=85)[-1]
        stream.memory = replace(stream.memory, rate=100.0)
        sizes.append(decision.desired)
    changes = sum(a != b for a, b in pairwise(sizes))
    assert changes == 1
    assert sizes[-1] == 6


LEAVING = View(
    now=1000.0,
    asked=4,
    ready=4,
    sizes=(1, 2, 3, 4, 6, 12),
    reserves=True,
    promise=7.5,
    acting=5.0,
    reaction=6.0,
    coming=0.0,
    partitions=12,
    lag=0,
    age=0.0,
    arriving=340.0,
    forecast=340.0,
    steady=300.0,
    reading=340.0,
    rate=100.0,
    hot=(),
    top_share=1 / 12,
    rest_share=1 / 12,
    top_lag=0,
    rest_lag=0.0,
)
"""Four replicas that carry 400 messages a second and are too few for 340 all the same."""


@pytest.mark.parametrize(
    ("hot_peak", "smallest"),
    [(20, 2), (40, 2), (41, 3), (90, 3)],
    ids=["even", "twice its share", "above twice its share", "hot"],
)
def test_a_size_has_to_answer_the_busiest_partition_only_where_one_was_hot(
    hot_peak: float, smallest: int
) -> None:
    """Two of twelve messages or more came to one partition: its replica has five others to read
    beside it, and half of 41/s is more than the sixth of 100/s that is left for it."""
    memory = Memory(rate=100.0, peak=240.0, hot_peak=hot_peak)
    view = replace(LEAVING, reaction=15.0)
    assert next(n for n in view.sizes if answers(view, memory, n)) == smallest


def test_the_lowest_rate_at_which_a_size_was_left_of_late_is_remembered() -> None:
    def leave(memory: Memory, now: float, rate: float) -> tuple[Memory, float]:
        after = left(replace(LEAVING, now=now, arriving=rate, steady=0.0), memory)
        return after, trial_of(after, 4).left_rate

    memory, rate = leave(Memory(trials=(Trial(4),)), 1000.0, 340.0)
    assert rate == 340.0
    memory, rate = leave(memory, 1100.0, 320.0)
    assert rate == 320.0
    memory, rate = leave(memory, 1200.0, 360.0)
    assert rate == 320.0
    memory, rate = leave(memory, 1201.0 + LEFT_SECONDS, 360.0)
    assert rate == 360.0


@pytest.mark.parametrize(
    "helpless",
    [replace(LEAVING, coming=5.0), replace(LEAVING, arriving=5000.0, forecast=5000.0)],
    ids=["not all of it reads yet", "no size would do"],
)
def test_a_size_that_could_not_show_what_it_does_has_not_failed(helpless: View) -> None:
    memory = Memory(trials=(Trial(4),))
    assert left(helpless, memory) == memory
    assert left(LEAVING, memory) != memory


def test_a_large_partition_asks_for_more_than_the_even_share() -> None:
    """180/s fit two replicas when they are even, but not 80/s on one partition of six."""
    rates = [80.0] + [100 / 11] * 11
    stream = Stream(replicas=2, memory=Memory(rate=100.0))
    for _ in range(40):
        stream.now += 5
        n = stream.replicas
        for replica in range(n):
            own = range(replica, 12, n)
            for i in own:
                stream.ends[i] += 5 * rates[i]
            waiting = sum(stream.ends[i] - stream.reads[i] for i in own)
            part = min(1.0, 500 / waiting)
            for i in own:
                stream.reads[i] += part * (stream.ends[i] - stream.reads[i])
        stream.age = (stream.ends[0] - stream.reads[0]) / 80
        stream.decide()
        assert stream.age < 30
    assert stream.replicas == 6


# --- Down ---------------------------------------------------------------------------------------


def test_down_only_after_a_window_that_fits() -> None:
    stream = Stream(replicas=6, memory=Memory(rate=100.0))
    stream.run(60, 500)
    decisions = stream.run(600, 150)
    down = next(i for i, d in enumerate(decisions) if d.desired < 6)
    assert 60 <= 5 * (down + 1) <= 75
    assert "enough for all of the last 60 s" in decisions[down].reason


def test_the_largest_size_is_kept_when_it_only_just_keeps_up() -> None:
    """Nothing waits and nothing fits with comfort: that is no reason to go down."""
    stream = Stream(replicas=12)
    assert {d.desired for d in stream.run(600, 1150)} == {12}


def test_one_busy_moment_starts_the_window_anew() -> None:
    stream = Stream(replicas=12, memory=Memory(rate=100.0))
    stream.run(60, 1000)
    for _ in range(8):
        assert {d.desired for d in stream.run(40, 150)} == {12}
        assert {d.desired for d in stream.run(30, 1000)} == {12}


# --- What is periodic ---------------------------------------------------------------------------


QUICK = Memory(rate=100.0, start_seconds=5)


def test_a_batch_by_the_minute_is_not_chased() -> None:
    """3,000 messages at once, once a minute: three replicas read them in ten seconds."""
    stream = Stream(replicas=3, memory=QUICK, first_in_first_out=True)
    sizes: list[list[int]] = []
    reasons = []
    for _ in range(12):
        batch = stream.run(5, 600, per_replica=100)
        sizes.append([d.desired for d in batch + stream.run(55, 1, per_replica=100)])
        reasons.append(batch[0].reason)
    assert "a surge like the last" in reasons[-1]
    learned = {size for minute in sizes[5:] for size in minute}
    assert len(learned) == 1
    assert learned <= {2, 3, 4}


def test_a_rate_that_flips_is_served_by_one_size() -> None:
    stream = Stream(replicas=6, memory=QUICK, first_in_first_out=True)
    for rate in (100, 700) * 5:
        stream.run(45, rate, per_replica=100)
    learned = {d.desired for rate in (100, 700) * 5 for d in stream.run(45, rate, per_replica=100)}
    assert len(learned) == 1


def test_a_surge_beyond_those_before_is_answered() -> None:
    stream = Stream(replicas=3, memory=QUICK, first_in_first_out=True)
    for _ in range(10):
        stream.run(5, 600, per_replica=100)
        stream.run(55, 1, per_replica=100)
    settled = stream.replicas
    decisions = stream.run(60, 600, per_replica=100)  # this one does not end
    up = next(i for i, d in enumerate(decisions) if d.desired > settled)
    assert 5 * up <= 30


def test_a_size_is_trusted_less_when_messages_waited_longer_than_its_trial_said() -> None:
    """The surge is like those before, the trial sees no need, and the age says otherwise."""
    stream = Stream(replicas=3, memory=QUICK, first_in_first_out=True)
    for _ in range(10):
        stream.run(5, 600, per_replica=100)
        stream.run(55, 1, per_replica=100)
    settled = stream.replicas
    before = trial_of(stream.memory, settled)
    assert trusted(before)
    stream.now += 5
    stream.lag(3000)
    decision = stream.decide(replace(stream.reading(), seconds_behind=29.0))
    after = trial_of(stream.memory, settled)
    assert decision.desired > settled
    assert (after.survived, after.doubt, after.failed_at) == (0, 1, stream.now)
    assert not trusted(replace(after, survived=3))
    assert trusted(replace(after, survived=4))


def test_a_surge_that_its_trial_sees_too_is_no_reason_to_doubt_it() -> None:
    stream = Stream(replicas=3, memory=QUICK, first_in_first_out=True)
    for _ in range(10):
        stream.run(5, 600, per_replica=100)
        stream.run(55, 1, per_replica=100)
    stream.run(60, 600, per_replica=100)
    assert not any(trial.doubt for trial in stream.memory.trials)


def test_a_size_that_fails_again_and_again_is_not_taken_in_between() -> None:
    """Two minutes of little between two rushes: longer than the window."""
    stream = Stream(replicas=12, memory=QUICK, first_in_first_out=True)
    sizes = []
    for _ in range(6):
        stream.run(60, 1000, per_replica=100)
        sizes.append({d.desired for d in stream.run(120, 50, per_replica=100)})
    assert sizes[0] != {12}
    assert sizes[-1] == {12}


def test_the_hour_of_the_day_is_remembered_over_a_restart() -> None:
    """A peak of ten minutes a day, and pods that start too slowly for it."""
    day, hour = 24 * 3600, 3600
    stream = Stream(now=10.0 * day + 9 * hour, memory=Memory(rate=100.0, start_seconds=120))
    stream.run(600, 1000)
    stream.run(hour, 50)
    stream.now = 11.0 * day + 8 * hour
    before = stream.run(600, 50)[-1].desired
    stored = json.loads(json.dumps(stream.memory.learned())) | {"startSeconds": 120}
    stream.memory, stream.follow = Memory.from_learned(stored), False
    stream.run(2990, 50)
    at_nine = stream.decide()
    assert before <= 4
    assert at_nine.desired >= 6
    assert "stand ready" in at_nine.reason


def test_a_slow_start_keeps_enough_for_the_peak_to_come_back() -> None:
    """From one replica, the return of 1,000/s could not be answered within 30 s."""

    def size_after_the_peak(start: float) -> int:
        stream = Stream(replicas=12, memory=Memory(rate=100.0, start_seconds=start))
        stream.run(120, 1000)
        return stream.run(180, 50)[-1].desired

    assert size_after_the_peak(2) <= 3
    assert size_after_the_peak(120) >= 6


def test_the_peak_is_forgotten() -> None:
    stream = Stream(replicas=12, memory=Memory(rate=100.0, start_seconds=120))
    stream.run(120, 1000)
    reserve = 4  # √12: pods take longer than the promise
    assert stream.run(3 * 3600, 40)[-1].desired == reserve


def test_a_reserve_stands_ready_where_pods_start_too_slowly_for_an_unseen_rush() -> None:
    stream = Stream(memory=Memory(rate=100.0, start_seconds=120))
    decision = stream.run(600, 50)[-1]
    assert decision.desired > 1
    assert "stand ready while pods start slowly" in decision.reason


def test_the_reserve_goes_by_the_stream_not_by_the_maximum() -> None:
    def kept(arriving: float, largest: int) -> int:
        policy = Policy(1, largest, partitions=64, max_seconds_behind=30)
        memory = Memory(rate=100.0, start_seconds=120)
        stream = Stream(policy=policy, memory=memory, ends=[0.0] * 64, reads=[0.0] * 64)
        return stream.run(600, arriving)[-1].desired

    assert kept(2, 64) == 1  # a trickle's rush is small too
    assert kept(80, 16) == kept(80, 64)
    assert kept(20, 64) < kept(80, 64)


@pytest.mark.parametrize(
    ("start_seconds", "policy"),
    [
        (None, POLICY),  # not measured yet
        (2.0, replace(POLICY, metric_seconds=4)),
        (120.0, replace(POLICY, min_replicas=0)),  # waits for the first replica anyway
        (120.0, replace(POLICY, max_seconds_behind=600)),
        (120.0, replace(POLICY, max_seconds_behind=None, messages_per_replica=1000)),
    ],
)
def test_no_reserve_is_kept_for_nothing(start_seconds: float | None, policy: Policy) -> None:
    stream = Stream(policy=policy, memory=Memory(rate=100.0, start_seconds=start_seconds))
    assert {d.desired for d in stream.run(300, 50)} == {1}


def test_a_quick_start_shrinks_sooner() -> None:
    policy = replace(POLICY, metric_seconds=4)
    stream = Stream(policy=policy, replicas=6, memory=Memory(rate=100.0, start_seconds=2))
    stream.run(60, 500)
    decisions = stream.run(600, 150)
    down = next(i for i, d in enumerate(decisions) if d.desired < 6)
    assert 45 <= 5 * (down + 1) <= 60
    assert "enough for all of the last 45 s" in decisions[down].reason


def test_never_down_while_behind() -> None:
    stream = Stream(replicas=12, memory=Memory(rate=100.0))
    stream.run(60, 900)
    stream.lag(500_000)
    assert {d.desired for d in stream.run(300, 50, reading=1200)} == {12}


def test_never_down_while_a_few_old_messages_wait() -> None:
    """Little lag, but old: one partition stands still."""
    stream = Stream(replicas=6, memory=Memory(rate=100.0))
    stream.run(60, 500)
    for _ in range(60):
        stream.now += 5
        stream.ends = [end + 25 for end in stream.ends]
        stream.reads = [stream.ends[0] - 60, *stream.ends[1:]]
        stream.age = 20.0
        assert stream.decide().desired == 6
    assert stream.memory.rate == 100  # in step with what comes: that is not a slow replica


# --- Unknown ------------------------------------------------------------------------------------


def test_unknown_holds_says_why_and_starts_the_window_anew() -> None:
    stream = Stream(replicas=6, memory=Memory(rate=100.0))
    stream.run(60, 500)
    stream.run(50, 100)
    for _ in range(60):
        stream.now += 5
        decision = stream.decide(LagUnknown(stream.now, "The broker does not answer."))
        assert (decision.desired, decision.condition) == (6, "LagUnknown")
        assert decision.reason == "The broker does not answer."
    assert {d.desired for d in stream.run(55, 100)} == {6}
    assert stream.run(60, 100)[-1].desired < 6


@given(
    st.integers(0, 30),
    st.integers(0, 5),
    st.integers(1, 20),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, 30)),
)
def test_unknown_never_changes_the_size(
    replicas: int, minimum: int, maximum: int, threshold: bool, ready: int | None
) -> None:
    policy = replace(
        POLICY,
        min_replicas=minimum,
        max_replicas=max(minimum, maximum),
        max_seconds_behind=None if threshold else 30,
        messages_per_replica=100 if threshold else None,
    )
    unknown = LagUnknown(1.0, "No answer.")
    decision, _ = decide(unknown, Workload(replicas, ready), policy, Memory.empty(), 1.0)
    assert decision.desired == replicas


def test_a_topic_without_partitions_is_unknown() -> None:
    stream = Stream(replicas=3)
    assert stream.decide(LagReading(stream.now, ())).condition == "LagUnknown"


# --- Learning -----------------------------------------------------------------------------------


def test_a_prior_that_promises_too_much_is_corrected_while_behind() -> None:
    stream = Stream(policy=replace(POLICY, prior_rate=200), replicas=4, follow=False)
    stream.run(60, 380, reading=380)
    stream.run(300, 600, reading=400)
    assert stream.memory.rate == pytest.approx(100, rel=0.1)


def test_a_prior_that_promises_too_little_is_corrected_when_it_is_outdone() -> None:
    stream = Stream(policy=replace(POLICY, prior_rate=50), replicas=4, follow=False)
    stream.run(300, 380)
    assert stream.memory.rate == pytest.approx(95, rel=0.1)


def test_what_replicas_tell_of_their_speed_goes_before_the_policy_s_prior() -> None:
    stream = Stream(told_rate=50.0)
    stream.run(60, 40)
    assert stream.run(15, 300, per_replica=50)[-1].desired >= 6


def test_being_idle_teaches_nothing() -> None:
    stream = Stream(replicas=4, follow=False)
    stream.run(300, 40)
    assert stream.memory.rate is None


def consume(stream: Stream, rate: float, speed: float = 100.0) -> None:
    """5 s in which `rate` messages/s come on each partition, partitions are dealt to the replicas
    in turn, and each replica reads its own ones evenly at `speed`."""
    stream.now += 5
    for replica in range(stream.replicas):
        own = range(replica, len(stream.ends), stream.replicas)
        for i in own:
            stream.ends[i] += 5 * rate
            stream.reads[i] = min(stream.ends[i], stream.reads[i] + 5 * speed / len(own))
    stream.age = max(e - r for e, r in zip(stream.ends, stream.reads, strict=True)) / rate


def test_an_uncorrected_prior_that_is_wrong_still_ends_in_enough_replicas() -> None:
    """Five replicas read 12 partitions as 3+3+2+2+2: the busiest are behind and the rest is not."""
    stream = Stream(policy=replace(POLICY, prior_rate=130), replicas=5)
    for _ in range(100):
        consume(stream, 35)
        stream.decide()
        assert stream.age < 30
    assert stream.replicas == 6


@pytest.mark.parametrize("rate", [37.0, 60.0], ids=["the busiest are behind", "all are behind"])
def test_the_speed_is_learned_from_whoever_is_behind(rate: float) -> None:
    stream = Stream(policy=replace(POLICY, prior_rate=130), replicas=5, follow=False)
    for _ in range(60):
        consume(stream, rate)
        stream.decide()
    assert stream.memory.rate == pytest.approx(100, rel=0.05)


def test_the_start_time_is_measured() -> None:
    stream = Stream(replicas=2, follow=False)
    stream.run(30, 100)
    stream.replicas, stream.ready = 4, 2
    stream.run(40, 100)
    stream.ready = 4
    stream.run(10, 100)
    assert stream.memory.start_seconds == pytest.approx(40, abs=5)


def test_what_was_learned_survives_as_json() -> None:
    hours = tuple(float(hour) for hour in range(24))
    memory = Memory(rate=123.4567, start_seconds=8.0, hour=24 * 100 + 7, busiest=456, hours=hours)
    stored = json.dumps(memory.learned())
    again = Memory.from_learned(json.loads(stored))
    assert (again.rate, again.start_seconds) == (120.0, 8.0)  # two figures, so that it rests
    assert again.hours[7] == pytest.approx(456, rel=0.1)
    assert again.hours[8:] == pytest.approx(hours[8:], rel=0.12)
    assert len(stored) < 300
    assert Memory.empty().learned() == {}


NONSENSE = ["fast", -1, 0, None, True, math.inf, math.nan, [], {}, sys.float_info.max, 10**400]


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_in_what_was_learned_is_left_out(value: object) -> None:
    names = ("rate", "startSeconds", "hours")
    assert Memory.from_learned(dict.fromkeys(names, value)) == Memory.empty()
    assert Memory.from_learned({"hours": [value] * 24}).hours == (0.0,) * 24


@pytest.mark.parametrize("value", [sys.float_info.max, 1e13, 1e12, 1.0, sys.float_info.min, 5e-324])
def test_whatever_was_learned_can_be_written_again(value: float) -> None:
    """Else a figure that somebody wrote into the annotation fails every pass of the object."""
    figures = {"rate": value, "startSeconds": value, "hours": [value] * 24}
    stream = Stream(memory=Memory.from_learned(figures))
    stream.run(30, 100)
    assert json.dumps(stream.memory.learned(), allow_nan=False)


# --- Zero, threshold, bounds --------------------------------------------------------------------


def test_to_zero_when_idle_and_back_on_the_first_message() -> None:
    stream = Stream(policy=replace(POLICY, min_replicas=0, idle_seconds=120), replicas=1)
    stream.run(60, 10)
    decisions = stream.run(300, 0)
    zero = next(i for i, d in enumerate(decisions) if d.desired == 0)
    assert 110 <= 5 * zero <= 130
    assert decisions[zero].reason == "0 of 12: nothing waits, no message for 120 s"
    assert stream.replicas == 0
    stream.ends[3] += 1
    stream.now += 5
    stream.age = 1
    assert stream.decide().desired == 1


def test_zero_is_kept_by_a_restarted_operator() -> None:
    stream = Stream(policy=replace(POLICY, min_replicas=0), replicas=0)
    assert {d.desired for d in stream.run(60, 0)} == {0}


def test_not_to_zero_with_lag_or_with_a_minimum() -> None:
    waiting = Stream(policy=replace(POLICY, min_replicas=0, idle_seconds=60), replicas=1)
    waiting.lag(12)
    assert 0 not in {d.desired for d in waiting.run(600, 0, reading=0)}
    with_minimum = Stream(replicas=1)
    assert {d.desired for d in with_minimum.run(600, 0)} == {1}


def test_residue_is_not_lag() -> None:
    """Transaction markers at the end of a partition, which a probe has shown to be no records."""
    residue = PartitionLag(0, 0, 100, 98, residue=2)
    stream = Stream(
        policy=replace(POLICY, min_replicas=0, idle_seconds=60, partitions=1), replicas=1
    )
    for _ in range(20):
        stream.now += 5
        decision = stream.decide(LagReading(stream.now, (residue,), 0.0))
    assert decision.desired == 0


def test_the_simple_threshold() -> None:
    policy = replace(POLICY, max_seconds_behind=None, messages_per_replica=1000)
    stream = Stream(policy=policy, replicas=1)
    stream.run(10, 10)
    stream.lag(3_500)
    assert stream.run(5, 10, reading=0)[-1].desired == 4
    stream.lag(50_000)
    assert stream.run(5, 10, reading=0)[-1].desired == 12
    stream.reads = list(stream.ends)
    assert stream.run(120, 10)[-1].desired == 1


def test_without_any_speed_it_waits_for_one() -> None:
    stream = Stream(policy=replace(POLICY, prior_rate=None), replicas=2)
    stream.run(60, 100)
    assert stream.replicas == 2
    decisions = stream.run(600, 450, per_replica=100)
    assert decisions[0].reason.endswith("measuring the speed")
    assert stream.memory.rate == pytest.approx(100, rel=0.1)
    assert stream.replicas == 6


def test_an_age_that_was_not_measured_is_estimated() -> None:
    stream = Stream(replicas=4, measured=False)
    decision = stream.run(60, 400, reading=300)[-1]
    assert decision.seconds_behind == pytest.approx(15, rel=0.3)


def test_a_rebalance_is_not_disturbed() -> None:
    stream = Stream(replicas=6, memory=Memory(rate=100.0))
    stream.run(60, 500)
    stream.lag(60_000)
    stream.now += 5
    assert stream.decide(stream.reading(rebalancing=True)).desired == 6


def test_a_lowered_maximum_is_obeyed() -> None:
    stream = Stream(replicas=12)
    stream.run(10, 900)
    stream.policy = replace(POLICY, max_replicas=4)
    assert stream.run(5, 900)[-1].desired == 4


def test_a_topic_made_anew_starts_the_measurement_anew() -> None:
    stream = Stream(replicas=4)
    stream.run(60, 350)
    stream.ends = [5.0] * 12
    stream.reads = [0.0] * 12
    stream.now += 5
    decision = stream.decide()
    assert decision.desired == 4
    assert decision.rates is None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5_000),  # messages that arrive in 5 s on each partition
            st.integers(0, 5_000),  # messages that are read
            st.integers(0, 12),  # ready
            st.booleans(),  # the reading fails
        ),
        max_size=40,
    ),
    st.integers(0, 12),
    st.integers(0, 4),
    st.integers(1, 12),
    st.one_of(st.none(), st.floats(0.01, 1e6)),
)
def test_any_history_gives_a_size_within_bounds_and_never_an_error(
    history: list[tuple[int, int, int, bool]],
    replicas: int,
    minimum: int,
    maximum: int,
    prior: float | None,
) -> None:
    policy = replace(
        POLICY, min_replicas=minimum, max_replicas=max(minimum, maximum), prior_rate=prior
    )
    stream = Stream(policy=policy, replicas=replicas, measured=False)
    for arriving, read, ready, failed in history:
        stream.now += 5
        stream.ends = [end + arriving for end in stream.ends]
        stream.reads = [min(e, r + read) for e, r in zip(stream.ends, stream.reads, strict=True)]
        stream.ready = ready
        before = stream.replicas
        decision = stream.decide(LagUnknown(stream.now, "No answer.") if failed else None)
        if failed:
            assert decision.desired == before
        else:
            assert minimum <= decision.desired <= max(1, minimum, maximum)
            assert decision.reason
        json.dumps(stream.memory.learned())
