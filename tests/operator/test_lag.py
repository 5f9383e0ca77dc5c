"""The pure part of the lag monitor: when did which offset arrive?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_operator.kafka.backlog import reported_rate
from textmod_operator.kafka.history import ArrivalHistory


def history(*points: tuple[float, int]) -> ArrivalHistory:
    made = ArrivalHistory()
    for at, end in points:
        made.add(at, end)
    return made


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, 0.0), (50, 5.0), (99, 9.9), (100, 20.0), (149, 29.8), (150, None), (151, None)],
)
def test_interpolates_between_points(offset: int, expected: float | None) -> None:
    made = history((0.0, 0), (10.0, 100), (20.0, 100), (30.0, 150))
    assert made.arrived_at(offset) == pytest.approx(expected)


def test_before_all_that_is_known_is_none() -> None:
    assert history((5.0, 100), (6.0, 200)).arrived_at(99) is None
    assert history().arrived_at(0) is None


def test_a_flat_stretch_is_two_points() -> None:
    made = history(*((float(t), 7) for t in range(1000)), (1000.0, 8))
    assert len(made) == 3
    assert made.arrived_at(7) == pytest.approx(999.0)


def test_a_probe_reaches_back() -> None:
    made = history((100.0, 50), (110.0, 60))
    made.reach_back(40.0, 20)
    assert made.arrived_at(20) == pytest.approx(40.0)
    assert made.arrived_at(35) == pytest.approx(70.0)
    made.reach_back(1e9, 10)  # a producer's clock that is wrong can't be later than what we saw
    assert made.arrived_at(10) == pytest.approx(40.0)
    made.reach_back(0.0, 55)  # known already
    assert made.arrived_at(55) == pytest.approx(105.0)


def test_a_topic_made_anew_forgets() -> None:
    made = history((0.0, 0), (10.0, 100), (20.0, 5))
    assert made.arrived_at(50) is None
    made.add(30.0, 10)
    assert made.arrived_at(5) == pytest.approx(20.0)


@given(st.lists(st.tuples(st.floats(0.1, 100), st.integers(0, 1000)), min_size=2, max_size=400))
def test_arrivals_are_in_order_and_memory_is_bounded(steps: list[tuple[float, int]]) -> None:
    made = ArrivalHistory(limit=16)
    at, end = 0.0, 0
    for seconds, messages in steps:
        at, end = at + seconds, end + messages
        made.add(at, end)
    assert len(made) <= 16
    times = [made.arrived_at(offset) for offset in range(0, end, max(1, end // 50))]
    known = [t for t in times if t is not None]
    assert known == sorted(known)
    assert all(0 <= t <= at for t in known)


@pytest.mark.parametrize(
    ("notes", "rate"),
    [
        ([], None),
        ([""], None),
        (["rate=812.5"], 812.5),
        (["rate=3"], 3.0),
        (["rate=100.0", "", "rate=300.0", "rate=120.0"], 120.0),
        (["rate=812.5;spent=1a2b3c4d:l4x2:3,0,1"], 812.5),
        (["spent=1a2b3c4d:l4x2:3,0,1"], None),
        (["rate=0", "rate=0.0"], None),
        (["rate=9999999"], None),
        (["rate=-5", "rate=nan", "rate=inf", "rate=1e3", "RATE=5", "rate=5 ", "rate=٥"], None),
        (["rate=" + "9" * 5000], None),
        (['{"rate": 5}', "rate=5\n", "written by somebody else"], None),
    ],
)
def test_what_committers_tell_of_their_speed(notes: list[str], rate: float | None) -> None:
    assert reported_rate(notes) == rate
