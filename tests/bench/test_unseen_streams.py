"""The streams that nobody tuned for: repeatable, apart from the others, and within their bounds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))  # no package of ours: see the bench

from autoscaling.bound import fluid_optimum
from autoscaling.policies import Cpu, Keda, Prompt
from autoscaling.shapes import SHAPES
from autoscaling.simulator import World, simulate, simulate_all
from autoscaling.streams import (
    FAMILIES,
    HELD_OUT_PLACES,
    SHAPE_PLACES,
    TEST,
    TEST_PLACES,
    TRAIN,
    TRAIN_PLACES,
    stream,
)
from autoscaling.traces import Trace
from autoscaling.unseen import Cell, beyond_best, figures, rotated


def test_the_families_to_report_on_are_not_those_to_choose_on() -> None:
    assert not {*TRAIN} & {*TEST}
    assert not {*TRAIN.values()} & {*TEST.values()}


def test_what_was_held_out_is_of_families_and_places_of_its_own() -> None:
    held = FAMILIES["held-out"]
    assert not {*held.values()} & {*TRAIN.values(), *TEST.values()}
    assert not {*HELD_OUT_PLACES} & {*TRAIN_PLACES, *TEST_PLACES}
    for family in held:
        drawn = stream("held-out", family, 0, HELD_OUT_PLACES[0])
        assert drawn.arrivals.shape == (3600, HELD_OUT_PLACES[0].partitions)


def test_sixty_streams_are_spread_over_six_worlds() -> None:
    jobs = rotated(5)
    assert len({job[1:3] for job in jobs}) == 60
    assert {job[3] for job in jobs} == {*TEST_PLACES}
    assert len({place.world for place in TEST_PLACES}) == 6


@pytest.mark.parametrize("family", TEST)
def test_a_stream_is_drawn_from_its_seed(family: str) -> None:
    place = TEST_PLACES[0]
    one, again, other = (stream("test", family, seed, place).arrivals for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.shape == (3600, place.partitions)
    assert one.min() >= 0


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_lasts_an_hour(shape: str) -> None:
    assert SHAPES[shape]().shape == (3600,)


def test_laws_in_step_do_as_each_alone() -> None:
    arrivals = np.full((300, 6), 40.0)
    arrivals[100:] = 90.0
    trace, world = Trace("step", arrivals, deaths=(150,)), World(start=5.0)
    together = simulate_all(trace, world, [Keda(20), Keda(500), Cpu()])
    alone = [simulate(trace, world, policy) for policy in (Keda(20), Keda(500), Cpu())]
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.age, other.age)
        assert np.array_equal(one.replicas, other.replicas)


def test_longer_texts_are_read_more_slowly() -> None:
    arrivals = np.full((200, 4), 20.0)
    slow = Trace("long", arrivals, speed=np.full(200, 0.5))
    usual = simulate(Trace("usual", arrivals), World(5.0), Keda(10_000), begin=1)
    assert usual.over < simulate(slow, World(5.0), Keda(10_000), begin=1).over


@pytest.mark.parametrize(
    ("rate", "hours"),
    [
        (90.0, 1.0),  # one replica reads it
        (190.0, 2.0),
    ],
)
def test_the_fluid_optimum_of_a_steady_stream(rate: float, hours: float) -> None:
    trace = Trace("steady", np.full((3600, 12), rate / 12))
    over, spent = fluid_optimum(trace, World(5.0))
    assert over == 0
    assert spent == pytest.approx(hours, abs=0.1)


def test_the_fluid_optimum_reads_a_batch_within_the_promise() -> None:
    """2,000 messages at once: one replica reads them in 20 s, the promise is 30."""
    arrivals = np.zeros((600, 12))
    arrivals[100] = 2000 / 12
    over, spent = fluid_optimum(Trace("batch", arrivals), World(5.0))
    assert (over, spent) == (0, pytest.approx(600 / 3600, abs=0.01))


def test_what_no_size_reads_in_time_is_late_for_the_optimum_too() -> None:
    arrivals = np.zeros((600, 12))
    arrivals[100] = 100_000 / 12
    over, _ = fluid_optimum(Trace("backfill", arrivals), World(5.0))
    assert over > 40


def test_every_shape_has_places() -> None:
    assert len(SHAPE_PLACES) == 4
    assert len(SHAPES) == 8


def test_unavoidable_are_the_fewest_seconds_of_any_law_on_each_stream() -> None:
    """Also where the clairvoyant is over for more seconds than our law."""

    def cell(seed: int, policy: str, over: int) -> Cell:
        return Cell("test", "stairs", seed, "here", policy, over, 1.0, 0, 0)

    laws = {"ours": (10, 4), "clairvoyant": (600, 3), "KEDA 10": (50, 80), "all replicas": (2, 3)}
    cells = [cell(seed, name, over[seed]) for name, over in laws.items() for seed in (0, 1)]
    found = figures(cells)
    assert found["seconds_unavoidable"] == 2 + 3
    assert found["avoidable_vs_keda_best"] == pytest.approx((14 - 5) / (130 - 5), abs=1e-4)
    assert beyond_best(cells) == pytest.approx((14 - 13) / (130 - 13), abs=1e-4)


def test_no_foresight_is_needed_to_keep_ten_seconds_while_a_thread_goes_viral() -> None:
    """Our law could lose less there: see decisions/2026-11-28-the-scaling-law-stays.md."""
    place = SHAPE_PLACES[3]
    run = simulate(stream("shape", "viral", 0, place), place.world, Prompt())
    assert run.over <= 3
    assert run.replica_hours <= 3.0
