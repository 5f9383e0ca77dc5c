"""Pairs of faults at the same time, chosen by a seed."""

from __future__ import annotations

import itertools
import threading
from random import Random

from faults.scenarios import PERMISSION, SCENARIOS, Fault, Scenario
from faults.world import World


def some_pairs(seed: int, count: int) -> list[Scenario]:
    """Return pairs of faults that break different things, other ones for every seed."""
    able = [one for one in SCENARIOS.values() if one.kind]
    pairs = [pair for pair in itertools.combinations(able, 2) if _go_together(*pair)]
    random = Random(f"pairs {seed}")  # noqa: S311 - a seeded run
    return [_pair(*both) for both in random.sample(pairs, min(count, len(pairs)))]


def pair_named(name: str) -> Scenario:
    """Return a pair by its name. Raises KeyError if one of the two is unknown."""
    one, _, other = name.partition("&")
    return _pair(SCENARIOS[one], SCENARIOS[other])


def _go_together(one: Scenario, other: Scenario) -> bool:
    several = max(one.brokers, other.brokers) > 1
    return one.kind != other.kind and not (several and PERMISSION in (one.kind, other.kind))


def _pair(one: Scenario, other: Scenario) -> Scenario:
    return Scenario(
        name=f"{one.name}&{other.name}",
        fault=_together(one.fault, other.fault),
        brokers=max(one.brokers, other.brokers),
        poison=max(one.poison, other.poison),
        bare=one.bare or other.bare,
        proxied=one.proxied or other.proxied,
        policies=one.policies or other.policies,
    )


def _together(one: Fault, other: Fault) -> Fault:
    def both(world: World) -> None:
        failed: list[BaseException] = []

        def second() -> None:
            try:
                other(world.beside(Random(world.random.random())))  # noqa: S311 - a seeded run
            except BaseException as error:  # noqa: BLE001 - the run's own thread raises it
                failed.append(error)

        thread = threading.Thread(target=second, name="second fault")
        thread.start()
        try:
            one(world)
        finally:
            thread.join()
        if failed:
            raise failed[0]

    return both
