from __future__ import annotations

import pytest

from textmod_operator.scaling.progress import (
    Expired,
    Progress,
    patience,
    unread_and_deleted,
)
from textmod_operator.state import LagReading, PartitionLag


def reading(*partitions: tuple[int, int, int | None]) -> LagReading:
    """Of (log start, end, committed) of partition 0, 1, …"""
    return LagReading(
        0.0, tuple(PartitionLag(n, start, end, at) for n, (start, end, at) in enumerate(partitions))
    )


def standing(*steps: tuple[float, LagReading], served: bool = True) -> dict[int, float]:
    progress, now = Progress(), 0.0
    for now, one in steps:
        progress = progress.after(one, now, served=served)
    return progress.standing(now)


STUCK, MOVES, EMPTY = (0, 9, 4), (0, 9, 5), (0, 4, 4)


def test_a_partition_that_waits_and_does_not_move_stands_still() -> None:
    assert standing((0, reading(STUCK, STUCK)), (30, reading(STUCK, MOVES))) == {0: 30}


def test_more_messages_are_no_progress() -> None:
    assert standing((0, reading(STUCK)), (20, reading((0, 99, 4)))) == {0: 20}


def test_a_group_that_never_committed_stands_still_too() -> None:
    assert standing((0, reading((0, 9, None))), (20, reading((0, 9, None)))) == {0: 20}


def test_an_empty_partition_never_stands_still() -> None:
    assert standing((0, reading(EMPTY)), (30, reading(EMPTY))) == {}
    assert standing((0, reading(EMPTY)), (30, reading(EMPTY)), (33, reading(STUCK))) == {0: 3}


def test_nobody_to_read_is_another_fault() -> None:
    assert standing((0, reading(STUCK)), (90, reading(STUCK)), served=False) == {}


def test_time_counts_from_when_a_replica_serves() -> None:
    progress = Progress().after(reading(STUCK), 0, served=False)
    progress = progress.after(reading(STUCK), 50, served=True)
    assert progress.after(reading(STUCK), 58, served=True).standing(58) == {0: 8}


@pytest.mark.parametrize(
    ("promise", "seconds"), [(1, 10), (30, 18), (60, 36), (86400, 120), (None, 18)]
)
def test_it_is_reported_within_the_promise(promise: float | None, seconds: float) -> None:
    assert patience(promise) == seconds


def test_messages_that_went_unread_are_counted_once() -> None:
    expired, counts = Expired(), []
    for one in (
        reading((0, 9, 4)),
        reading((6, 9, 4)),
        reading((6, 9, 4)),
        reading((8, 9, 4)),
        reading((8, 9, 9)),
        reading((20, 30, 12)),
    ):
        expired, lost = expired.after(one)
        counts.append(lost)
    assert counts == [0, 2, 0, 2, 0, 8]


def test_a_group_that_never_read_has_lost_nothing() -> None:
    assert Expired().after(reading((5, 9, None)))[1] == 0
    assert unread_and_deleted(reading((5, 9, None), (5, 9, 7), (5, 9, 2))) == {2: 3}
