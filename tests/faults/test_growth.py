"""Planted histories of processes: leaks that must be caught, and what only looks like one."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest

from faults.growth import MIB, Growth, Sample, judge

EVERY = 5.0
"""Seconds between samples, as in a soak."""
QUIET = 36
"""Every so many samples there is a quiet moment: three minutes."""


def life(
    minutes: float = 60,
    mib: Callable[[float], float] = lambda _minute: 200.0,
    *,
    descriptors: Callable[[int], int] = lambda _turn: 40,
    threads: Callable[[int], int] = lambda _turn: 12,
    queued: Callable[[int], int | None] = lambda _turn: 0,
    noise: float = 4.0,
) -> Growth:
    """Judge a life whose memory is that function of its minutes; the others of its quiet turns."""
    random = Random(1)  # noqa: S311 - a planted history
    samples = []
    for number in range(int(minutes * 60 / EVERY) + 1):
        turn, at = number // QUIET, 1000 + number * EVERY
        quiet = number % QUIET == QUIET - 1
        memory = int((mib(number * EVERY / 60) + random.gauss(0, noise)) * MIB)
        busy = 0 if quiet else random.randrange(9)
        waiting = queued(turn) if quiet else random.randrange(5000)
        samples.append(
            Sample(at, memory, descriptors(turn) + busy, threads(turn) + busy, waiting, quiet)
        )
    return judge(samples)


def filling(minute: float) -> float:
    """A memo that fills within minutes and stays."""
    return 150 + 120 * (1 - math.exp(-minute / 4))


def test_a_process_that_stays_as_it_is_does_not_grow() -> None:
    growth = life()
    assert growth.judged
    assert growth.grows == []
    assert abs(growth.slope_mib_a_minute or 0) < 0.05


@pytest.mark.parametrize("minutes", [31, 40, 60])
def test_a_leak_of_one_mebibyte_a_minute_is_caught(minutes: float) -> None:
    assert life(minutes, lambda minute: 200 + minute).grows == ["memory"]
    assert life(minutes, lambda minute: filling(minute) + minute).grows == ["memory"]


def test_a_leak_in_steps_is_caught() -> None:
    assert life(60, lambda minute: 200 + 10 * (minute // 10)).grows == ["memory"]


def test_a_memo_that_fills_and_stays_is_no_leak() -> None:
    assert life(60, filling).grows == []


def test_a_memo_that_fills_and_starts_again_is_no_leak() -> None:
    assert life(60, lambda minute: 200 + 6 * (minute % 7)).grows == []


@pytest.mark.parametrize("minutes", [31, 60])
@pytest.mark.parametrize("when", [0.3, 0.55, 0.6, 0.75, 0.9])
def test_a_larger_backlog_than_before_leaves_a_step_and_no_leak(
    minutes: float, when: float
) -> None:
    assert life(minutes, lambda minute: 200 + 25 * (minute > when * minutes)).grows == []


def test_a_short_life_is_not_judged() -> None:
    growth = life(29, lambda minute: 200 + minute)
    assert not growth.judged
    assert growth.slope_mib_a_minute is None
    assert growth.grows == []


def test_descriptors_that_stay_behind_are_caught() -> None:
    assert life(descriptors=lambda turn: 40 + 2 * turn).grows == ["descriptors"]


def test_connections_that_open_and_close_are_no_leak() -> None:
    assert life(descriptors=lambda turn: 40 + (turn * 5) % 9).grows == []


def test_threads_that_stay_behind_are_caught() -> None:
    assert life(threads=lambda turn: 12 + turn // 2).grows == ["threads"]


def test_what_waits_in_a_queue_when_there_is_nothing_to_do_is_caught() -> None:
    assert life(queued=lambda turn: 3 * (turn == 7)).grows == ["queues"]
    assert life(queued=lambda _turn: None).grows == []


def test_figures_are_those_of_the_first_and_the_last_minute() -> None:
    growth = life(60, lambda minute: 200 + minute, noise=0.0)
    assert growth.minutes == 60.0
    assert growth.first_mib == pytest.approx(202.5, abs=0.2)
    assert growth.last_mib == pytest.approx(259.5, abs=0.2)
    assert growth.most_mib == 260.0
    assert growth.slope_mib_a_minute == pytest.approx(1.0)


def test_without_a_sample_nothing_is_said() -> None:
    with pytest.raises(ValueError, match="without a sample"):
        judge([])
