"""The fluid optimum: the fewest replica-hours that any law could do with, knowing all the future;
and the fewest seconds over the promise for laws that don't know it.

Dynamic programming over sizes and backlog, backwards in time. Against the simulator it leaves out
the difference between partitions and between replicas: arrivals are a fluid, and n replicas read it
at the speed that n even ones have. It keeps what costs: a pod is paid from the moment it is asked
for, which is its start time before it reads, and a change of size stops the group for a rebalance.

The promise D is kept at time t if the backlog is at most what arrived in the last D seconds:
q(t) ≤ A(t) - A(t - D). Each second over it costs more than any replica.

With `shown` the future is known but for what is new. New is a load of more than `shown` times the
highest that the stream had before. Until pods that were asked for then can read, a size is at most
what `shown` times that highest load needs: the law keeps such a reserve, and no larger one. What is
not new is foreseen, however irregular it is, so a real law loses more. The hours are then of no
use: where seconds are lost, the interpolation between backlogs leaves parts of them there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from autoscaling.simulator import World
from autoscaling.traces import Floats, Trace
from textmod_operator.scaling.law import levels

STEP = 5
"""Seconds between two decisions."""
POINTS = 161
"""Backlogs that the value is known at; between them it is interpolated."""
LATE = 1e6
"""Replica-seconds that a second over the promise is reckoned at."""
FORBIDDEN = 1e15
NOTICED_SECONDS = 2.0
"""From an arrival until more is asked for, at the soonest: a reading of the lag."""


def fluid_optimum(trace: Trace, world: World, shown: float | None = None) -> tuple[float, float]:
    """(seconds over the promise, replica-hours) of the best that can be done.

    Args:
        shown: the reserve of the module's description, as a factor ≥ 1; None: all is known.
    """
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
    most = np.full(len(ends), len(sizes) - 1)
    if shown is not None:
        most = _largest(arrived / STEP / speed, np.array(rates), world, shown)
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
        stays[most[i] + 1 :] += FORBIDDEN
        moves[most[i] + 1 :] += FORBIDDEN
        changed = (moves[None] + grow[:, :, None]).min(axis=1)
        value = np.minimum(stays, changed)
    best = float(value[:, 0].min())
    late = math.floor(best / LATE)
    return float(late), (best - late * LATE) / 3600


def _largest(load: Floats, rates: Floats, world: World, shown: float) -> NDArray[np.int64]:
    """The largest size, as its place in `rates`, that may read at each step."""
    late = math.ceil((NOTICED_SECONDS + world.start + world.rebalance) / STEP)
    working_off = late + math.ceil((60 + world.promise) / STEP)
    highest = np.maximum.accumulate(np.maximum(load, load[: 60 // STEP].max()))
    before = np.concatenate([highest[:1], highest[:-1]])
    new = load > shown * before
    count = np.concatenate([[0], np.cumsum(new)])
    at = np.arange(len(load))
    known = np.maximum(0, at - late + 1)
    answered = count[known] > count[np.maximum(0, known - working_off)]
    carried = shown * highest[np.maximum(0, at - late)]
    fits = np.minimum(np.searchsorted(rates, carried), len(rates) - 1)
    return np.where(answered, len(rates) - 1, fits)


def _after(grid: Floats, arrived: float, read: float, allowed: float, value: Floats) -> Floats:
    """The cost from here on, for each backlog, when so much is read in this step."""
    left = np.maximum(0.0, grid + arrived - read)
    late: Floats = LATE * STEP * (left > allowed + 1e-6)
    return late + np.interp(left, grid, value)
