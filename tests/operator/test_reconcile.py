from __future__ import annotations

from typing import Any

import pytest
from objects import moderation

from textmod_operator.controller.apply import size_over_zero
from textmod_operator.controller.reconcile import is_blind
from textmod_operator.state import (
    AutoscalerSeen,
    LagReading,
    LagUnknown,
    PartitionLag,
    Ref,
    ScalingSeen,
)

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


@pytest.mark.parametrize(
    ("told", "blind"),
    [
        (("False", "FailedGetExternalMetric", "no metrics returned"), True),
        (("False", "ScalingDisabled", "the target has no replicas"), False),
        (("True", "ValidMetricFound", ""), False),
        (("Unknown", "", ""), False),
    ],
)
def test_an_autoscaler_without_a_metric_is_looked_at_again(
    told: tuple[str, str, str], blind: bool
) -> None:
    hpa = Ref("autoscaling/v2", "HorizontalPodAutoscaler", "reddit", "science")
    assert is_blind(AutoscalerSeen(hpa, {"ScalingActive": told})) is blind


def test_no_autoscaler_is_not_blind() -> None:
    assert not is_blind(None)
