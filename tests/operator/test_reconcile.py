from __future__ import annotations

from typing import Any

import pytest
from objects import moderation

from textmod_operator.reconcile import size_over_zero
from textmod_operator.state import LagReading, LagUnknown, PartitionLag, ScalingSeen

EMPTY = LagReading(1.0, (PartitionLag(0, 0, 5, 5),))
WAITING = LagReading(1.0, (PartitionLag(0, 0, 6, 5),))
TO_ZERO = {"minReplicas": 0}


@pytest.mark.parametrize(
    ("autoscaling", "replicas", "reading", "desired", "size"),
    [
        (TO_ZERO, 1, EMPTY, 0, 0),
        (TO_ZERO, 0, EMPTY, 0, None),
        (TO_ZERO, 0, WAITING, 3, 1),
        (TO_ZERO, 0, EMPTY, 1, None),  # decided before somebody scaled to zero by hand
        (TO_ZERO, 0, LagUnknown(1.0, "No broker answers."), 1, None),
        (TO_ZERO, 2, WAITING, 3, None),
        ({}, 1, EMPTY, 0, None),
        ({}, 0, WAITING, 1, None),
    ],
)
def test_steps_over_zero(
    autoscaling: dict[str, Any],
    replicas: int,
    reading: LagReading | LagUnknown,
    desired: int,
    size: int | None,
) -> None:
    tm = moderation({"replicas": replicas, "autoscaling": autoscaling})
    assert size_over_zero(tm, ScalingSeen(reading, desired, "why")) == size
