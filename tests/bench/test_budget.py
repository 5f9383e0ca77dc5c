"""The simulation of budgets: it counts what is over, and notes are what keeps it under."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))  # no package of ours: see the bench

from policies.budget import START, overshoot, simulate, traces, used

DAY = 86_400


def test_overshoot_is_that_of_the_fullest_24_hours() -> None:
    times = np.array([0, 10, DAY - 1, DAY, DAY + 9, DAY + 10])
    assert overshoot(times, 4) == 0.0
    assert overshoot(times, 3) == 4 / 3 - 1
    assert overshoot(np.array([], dtype=int), 3) == 0.0


def test_used_is_the_emptiest_whole_day_after_the_first() -> None:
    assert used(START + np.array([DAY, DAY + 1, 2 * DAY + 1]), 4) == 0.25


@pytest.mark.slow
def test_notes_beside_the_offsets_keep_a_budget_that_restarts_would_give_back() -> None:
    arrivals = traces()["diurnal"]
    times = simulate(arrivals, 20, seed=1)
    assert overshoot(times, 20) <= 0.05
    assert used(times, 20) >= 0.9
    assert overshoot(simulate(arrivals, 20, seed=1, forgetful=True), 20) > 1
