"""Faults of a consumer group: connections dropped inside a commit, the classic protocol."""

from __future__ import annotations

import signal

from faults.network import Commit
from faults.scenarios import frozen, scenario
from faults.world import World


@scenario("net-commit-cut", proxied=True, kind="network", compared=True)
def net_commit_cut(world: World) -> None:
    """Drop connections on which a commit is under way, before the broker has it or after."""
    for _ in range(3):
        for when in world.random.sample(list(Commit), len(Commit)):
            with world.network.commits_cut(0, when, world.random.choice([0.3, 1.0])):
                world.pause(0.5, 2)
            world.pause(0.2, 1)


@scenario("classic-storm", classic=True)
def classic_storm(world: World) -> None:
    """Static members of the classic protocol join, leave and are killed, each with a new name."""
    for _ in range(6):
        world.start_worker()
        world.pause(0.3, 2.0)
        how = world.random.choice([signal.SIGKILL, signal.SIGTERM])
        world.end_worker(world.random.choice(world.workers), how)


@scenario("classic-restarted", classic=True)
def classic_restarted(world: World) -> None:
    """Kill static members; each comes back under its name, within its session."""
    for _ in range(4):
        world.pause(0.5, 2)
        worker = world.random.choice(world.workers)
        world.end_worker(worker, signal.SIGKILL)
        world.pause(0, 2)
        world.start_worker(pod=worker.name)


@scenario("classic-elsewhere", classic=True)
def classic_elsewhere(world: World) -> None:
    """Freeze a static member, start another of its name, then let the first go on beside it."""
    for low, high in ((0.5, 3), (3, 8)):
        world.pause(0.5, 2)
        worker = world.random.choice(world.workers)
        with frozen(worker.pid):
            world.pause(low, high)
            world.start_worker(pod=worker.name)
            world.pause(low, high)
        world.pause(0.5, 2)
        world.end_worker(worker, signal.SIGKILL)
