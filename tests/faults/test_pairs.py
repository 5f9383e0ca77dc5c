"""Pairs of faults: chosen by a seed, of different kinds; both run, errors are raised."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

import faults.surroundings  # noqa: F401 - registers its scenarios
from faults.pairs import _pair, some_pairs
from faults.scenarios import PERMISSION, SCENARIOS, Scenario


def test_a_seed_chooses_its_pairs() -> None:
    names = [pair.name for pair in some_pairs(1, 5)]
    assert names == [pair.name for pair in some_pairs(1, 5)]
    assert names != [pair.name for pair in some_pairs(2, 5)]
    assert len(set(names)) == 5


def test_a_pair_breaks_two_kinds_of_things() -> None:
    for pair in some_pairs(3, 1000):
        one, other = (SCENARIOS[name] for name in pair.name.split("&"))
        assert one.kind != other.kind
        assert pair.brokers == 1 or PERMISSION not in (one.kind, other.kind)
        assert pair.brokers == max(one.brokers, other.brokers)
        assert pair.proxied == (one.proxied or other.proxied)


def world() -> Any:
    found = SimpleNamespace(random=Random(1), calls=[])  # noqa: S311 - a seeded run
    found.beside = lambda random: SimpleNamespace(random=random, calls=found.calls)
    return found


def test_both_faults_run() -> None:
    pair = _pair(
        Scenario("one", lambda world: cast("Any", world).calls.append("one")),
        Scenario("other", lambda world: cast("Any", world).calls.append("other")),
    )
    here = world()
    pair.fault(here)
    assert sorted(here.calls) == ["one", "other"]


def test_a_fault_that_fails_fails_the_run() -> None:
    def fails(_: Any) -> None:
        raise ValueError("the broker did not start")

    pair = _pair(Scenario("one", lambda _: None), Scenario("other", fails))
    with pytest.raises(ValueError, match="did not start"):
        pair.fault(world())
