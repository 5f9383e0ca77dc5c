"""What the simulated group does between two syncs of its HPA, and how long a run is."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))  # no package of ours: see the bench

from autoscaling.__main__ import POLICIES
from autoscaling.hpa import Hpa
from autoscaling.policies import rivals
from autoscaling.simulator import Policy, Run, State, World, simulate, simulate_all
from autoscaling.traces import Trace


class Scripted:
    """Its HPA never changes anything; `at_once` says what the test says."""

    name = "scripted"

    def __init__(self, sizes: dict[int, int]) -> None:
        self.sizes = sizes

    def hpa(self, minimum: int, maximum: int) -> Hpa:
        return Hpa(minimum, maximum)

    def observe(self, state: State) -> None: ...

    def wanted(self, state: State) -> int | None:
        return None

    def at_once(self, state: State) -> int | None:
        return self.sizes.get(state.now)


def run(sizes: dict[int, int]) -> Run:
    arrivals = np.full((40, 4), 10.0)
    return simulate(Trace("short", arrivals), World(start=5.0, maximum=3), Scripted(sizes))


def test_a_run_is_as_long_as_its_trace() -> None:
    assert len(run({}).replicas) == 40


def test_more_is_asked_for_at_once_within_the_maximum_and_never_less() -> None:
    replicas = run({7: 2, 12: 1, 20: 9}).replicas.tolist()
    assert replicas == [1] * 7 + [2] * 13 + [3] * 20


def test_what_is_asked_for_is_ready_after_the_start_time() -> None:
    ready = run({7: 3}).ready.tolist()
    assert ready[11] == 1
    assert ready[13] == 3


def test_every_law_of_the_bench_runs() -> None:
    arrivals = np.full((40, 4), 60.0)
    laws: list[Policy] = [*(make() for make in POLICIES.values()), *rivals(100.0)]
    runs = simulate_all(Trace("short", arrivals), World(start=5.0), laws)
    assert all(run.replicas.min() >= 1 for run in runs)
