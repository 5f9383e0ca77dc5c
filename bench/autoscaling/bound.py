"""The fluid optimum: the fewest replica-hours that any law could do with, knowing all the future.

Dynamic programming over sizes and backlog, backwards in time. Against the simulator it leaves out
the difference between partitions and between replicas: arrivals are a fluid, and n replicas read it
at the speed that n even ones have. It keeps what costs: a pod is paid from the moment it is asked
for, which is its start time before it reads, and a change of size stops the group for a rebalance.

The promise D is kept at time t if the backlog is at most what arrived in the last D seconds:
q(t) ≤ A(t) - A(t - D). Each second over it costs more than any replica.
"""

from __future__ import annotations

import math

import numpy as np

from autoscaling.simulator import World
from autoscaling.traces import Floats, Trace
from textmod_operator.scaling.law import levels

STEP = 5
"""Seconds between two decisions."""
POINTS = 161
"""Backlogs that the value is known at; between them it is interpolated."""
LATE = 1e6
"""Replica-seconds that a second over the promise is reckoned at."""


def fluid_optimum(trace: Trace, world: World) -> tuple[float, float]:
    """(seconds over the promise, replica-hours) of the best that can be done."""
    partitions = trace.arrivals.shape[1]
    sizes = levels(partitions, 1, world.maximum or partitions)
    total = np.concatenate([[0.0], np.cumsum(trace.arrivals.sum(axis=1))])
    ends = np.arange(STEP, len(trace.arrivals) + 1, STEP)
    arrived = total[ends] - total[ends - STEP]
    allowed = total[ends] - total[np.maximum(0, ends - int(world.promise))]
    speed = np.ones(len(ends))
    if trace.speed is not None:
        speed = trace.speed[: ends[-1]].reshape(-1, STEP).mean(axis=1)
    # Denser where it is small; what is beyond the largest backlog that is allowed is late anyway.
    grid = np.linspace(0, 1, POINTS) ** 2 * max(1.0, 2 * float(allowed.max()))
    rates = [world.rate * partitions / math.ceil(partitions / n) for n in sizes]
    grow = np.maximum(0, np.subtract.outer(sizes, sizes)).T * world.start  # [from, to]
    value = np.zeros((len(sizes), POINTS))
    for i in reversed(range(len(ends))):
        stays, moves = (
            np.array(
                [
                    _after(grid, arrived[i], rate * speed[i] * seconds, allowed[i], value[m])
                    + STEP * sizes[m]
                    for m, rate in enumerate(rates)
                ]
            )
            for seconds in (STEP, max(0.0, STEP - world.rebalance))
        )
        changed = (moves[None] + grow[:, :, None]).min(axis=1)
        value = np.minimum(stays, changed)
    best = float(value[:, 0].min())
    late = math.floor(best / LATE)
    return float(late), (best - late * LATE) / 3600


def _after(grid: Floats, arrived: float, read: float, allowed: float, value: Floats) -> Floats:
    """The cost from here on, for each backlog, when so much is read in this step."""
    left = np.maximum(0.0, grid + arrived - read)
    late: Floats = LATE * STEP * (left > allowed + 1e-6)
    return late + np.interp(left, grid, value)
