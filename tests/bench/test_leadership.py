"""How the audit log is judged: who acted while another held the Lease."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "isolation"))
from leadership import Write, judge

A, B = "127.0.1.2", "127.0.1.3"


def lease(at: float, source: str, status: int = 200) -> Write:
    return Write(at, source, "update", "leases", "textmod-operator", status)


def act(at: float, source: str, status: int = 200, resource: str = "deployments") -> Write:
    return Write(at, source, "patch", resource, "load-1", status)


@pytest.mark.parametrize(
    ("writes", "two", "refused", "events"),
    [
        ([lease(1, A), act(2, A), lease(3, B), act(4, B)], 0, 0, 0),
        ([lease(1, A), lease(3, B), act(4, A), act(5, B)], 1, 0, 0),
        ([lease(1, A), lease(3, B), act(4, A, 409), act(5, B)], 0, 1, 0),
        ([lease(1, A), lease(3, B), act(4, A, resource="events")], 0, 0, 1),
        ([lease(1, A), act(2, B), lease(3, B)], 1, 0, 0),
        ([lease(1, A), lease(2, B, 409), act(3, B), act(4, A)], 1, 0, 0),
        ([lease(1, A), lease(2, A), act(3, A), lease(9, A), act(10, A)], 0, 0, 0),
    ],
)
def test_writes_are_judged_by_who_held_the_lease(
    writes: list[Write], two: int, refused: int, events: int
) -> None:
    verdicts = judge(writes)
    assert len(verdicts.two_leaders) == two
    assert (verdicts.late_refused, verdicts.late_events) == (refused, events)
