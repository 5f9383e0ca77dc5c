"""Carry out one run on brokers that are up, and judge it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from random import Random

from faults.bundle import write_bundle
from faults.checker import check
from faults.history import History
from faults.plan import TEXTMOD, Run
from faults.rows import Row, of
from faults.scenarios import restore
from faults.surroundings import policies, write_policies
from faults.world import Stage, World

WORKERS = 2
RATE = 700.0
"""Messages a second."""
REPLICAS = 3
"""Of each topic, where there are so many brokers."""


def carry_out(run: Run, stage: Stage, bundles: Path) -> Row:
    """Run one scenario; return its row.

    Raises what went wrong besides: a broker that did not start, an answer that never came. The
    brokers are then in no state for another run.
    """
    one = run.resolved()
    random = Random(f"{run.scenario} {run.delivery} {run.seed}")  # noqa: S311 - a seeded run
    world = World(
        stage,
        run.delivery,
        random,
        min(REPLICAS, one.brokers),
        proxied=one.proxied,
        reviewed=run.worker == TEXTMOD,
    )
    world.history.bare = one.bare
    begun = time.monotonic()
    try:
        if one.policies:
            write_policies(world, policies(0.5))
        world.begin(run.messages, WORKERS, RATE, one.poison)
        one.fault(world)
        world.fault_is_over()
        history = world.finish()
        found = check(history)
        broken = found.broken(run.delivery)
        row = of(run) | asdict(found) | {"broken": broken, "workers_started": len(world.logs())}
        if broken:
            row["bundle"] = str(_bundle(bundles, run, row, history, world))
    except BaseException as error:
        _bundle(bundles, run, of(run) | {"error": str(error)}, world.history, world)
        raise
    finally:
        world.close()
        restore(stage.brokers, one.brokers)
    return row | {"seconds": round(time.monotonic() - begun, 1)}


def _bundle(bundles: Path, run: Run, row: Row, history: History, world: World) -> Path:
    name = "-".join(str(row[column]) for column in ("scenario", "delivery", "seed", "worker"))
    return write_bundle(
        bundles / name, run.command(), row, history, logs=world.logs(), ended=world.ended
    )
