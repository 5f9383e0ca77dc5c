"""What no law can do better, on streams short enough to reckon by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))  # no package of ours: see the bench

from autoscaling.bound import fluid_optimum
from autoscaling.simulator import World
from autoscaling.traces import Trace

WORLD = World(start=15.0, promise=10.0, rate=100.0)


def stream(*rates: float) -> Trace:
    """Each rate for five minutes, even over four partitions."""
    return Trace("short", np.full((300 * len(rates), 4), np.repeat(rates, 300)[:, None] / 4))


def test_who_knows_the_future_keeps_the_promise_through_a_jump() -> None:
    over, hours = fluid_optimum(stream(90, 300), WORLD)
    assert over == 0
    assert hours == pytest.approx((300 * 1 + 300 * 4) / 3600, rel=0.05)


def test_a_first_jump_breaks_the_promise_unless_as_much_stood_ready() -> None:
    """Pods that are asked for read 20 s later; from one replica, new messages wait 14 s by then."""
    over, _ = fluid_optimum(stream(90, 300), WORLD, shown=1.0)
    assert 5 <= over <= 60
    assert fluid_optimum(stream(90, 300), WORLD, shown=4.4)[0] == 0


def test_a_jump_that_was_seen_before_is_foreseen() -> None:
    once, _ = fluid_optimum(stream(90, 300, 90), WORLD, shown=1.0)
    again, _ = fluid_optimum(stream(90, 300, 90, 300, 90, 300), WORLD, shown=1.0)
    assert once == again
