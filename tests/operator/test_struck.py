"""A process that ends, or that nobody answers, between any two of its requests: the next passes
bring the world to where it would be anyway, with nothing left behind and no topic lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from whole import PATH, Killed, Strike, Whole

Step = Callable[[Whole], None]

PLAIN = {"serving": {"platform": "Deployment"}}
DELETE = {**PLAIN, "topics": {"deletionPolicy": "Delete"}}
GROWN = {
    "serving": {"platform": "Deployment"},
    "model": {"image": "other:2"},
    "topics": {"input": {"partitions": 24, "config": {"retention.ms": "1000"}}},
}
REVIEW = {"action": "Review", "hold": True, "atLeast": 0.5}


def nothing(_: Whole) -> None:
    """The object does not exist yet."""


def stands(spec: dict[str, Any]) -> Step:
    def before(world: Whole) -> None:
        world.asks(spec)
        world.settle()

    return before


def asks(spec: dict[str, Any]) -> Step:
    return lambda world: world.asks(spec)


def deletes(world: Whole) -> None:
    world.deletes()


CHANGES: dict[str, tuple[Step, Step]] = {
    "created": (nothing, asks(PLAIN)),
    "created with Seldon": (nothing, asks({})),
    "created to be deleted with its topics": (nothing, asks(DELETE)),
    "grown, configured, another image": (stands(PLAIN), asks(GROWN)),
    "from Seldon to a Deployment": (stands({}), asks(PLAIN)),
    "with policies": (
        stands(PLAIN),
        asks({**PLAIN, "policies": [{"name": "rude", "rules": [REVIEW]}]}),
    ),
    "a promise that needs no session": (
        stands(PLAIN),
        asks({**PLAIN, "autoscaling": {"lag": {"maxSecondsBehind": 120}}}),
    ),
    "deleted with its topics": (stands(DELETE), deletes),
    "deleted, its topics stay": (stands(PLAIN), deletes),
    "refused": (stands(PLAIN), asks({"topics": {"input": {"partitions": 1}}})),
}
"""What is there before, and what then changes."""


def changed(name: str) -> Whole:
    before, change = CHANGES[name]
    world = Whole()
    world.kafka.create("somebody-elses")
    before(world)
    change(world)
    return world


def requests_of(name: str) -> int:
    """How many requests the pass takes that carries the change out."""
    world, strike = changed(name), Strike()
    world.start(strike)
    world.run()
    return strike.sent


@pytest.mark.parametrize("how", ["killed", "away", "lost", "half"])
@pytest.mark.parametrize("name", CHANGES)
def test_wherever_a_process_is_struck_the_next_passes_end_in_the_same_state(
    name: str, how: str
) -> None:
    undisturbed = changed(name)
    undisturbed.settle()
    for at in range(1, requests_of(name) + 1):
        world = changed(name)
        strike = Strike(how, at)
        world.start(strike)
        try:
            world.run()
        except Killed:
            assert how == "killed"
        assert strike.sent >= at, "it was struck"
        ids = world.topic_ids
        if how == "killed":
            world.start()
        else:
            world.strike(Strike())
        world.settle()
        assert world.state() == undisturbed.state(), f"struck at request {at}"
        left = world.topic_ids
        assert {name: ids[name] for name in left.keys() & ids.keys()} == {
            name: left[name] for name in left.keys() & ids.keys()
        }, "no topic was made a second time"


def test_deleted_means_that_nothing_is_left_but_what_it_did_not_create() -> None:
    world = changed("deleted with its topics")
    world.settle()
    assert world.server.read(PATH) is None
    assert set(world.kafka.topics) == {"somebody-elses"}
