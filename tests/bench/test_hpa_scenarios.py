"""The bench's HPA against recordings of the real controller (bench/autoscaling/record_hpa.py)."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))  # the bench is no package of ours: it runs from its own folder

from autoscaling.hpa import Hpa, average_value  # noqa: E402 - after the path

SCENARIOS = sorted((BENCH / "autoscaling" / "scenarios").glob("*.json"))


def test_there_are_recordings() -> None:
    assert len(SCENARIOS) >= 10


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_does_what_the_real_controller_did(path: Path) -> None:
    scenario: dict[str, Any] = json.loads(path.read_text())
    behavior = scenario["behavior"]
    hpa = Hpa(scenario["minReplicas"], scenario["maxReplicas"], behavior)
    changes = 0
    for (second, value, replicas), (_, _, after) in pairwise(scenario["syncs"]):
        wanted = None
        if value is not None:
            way = "scaleUp" if value > scenario["target"] * replicas else "scaleDown"
            tolerance = float(behavior[way].get("tolerance", 0.1))
            wanted = average_value(value, scenario["target"], replicas, tolerance)
        assert hpa.step(second, replicas, wanted) == after, f"at {second} s, value {value}"
        changes += after != replicas
    assert changes > 0
