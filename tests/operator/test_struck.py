"""A process that ends, or that nobody answers, between any two of its requests: the next passes
bring the world to where it would be anyway, with nothing left behind and no topic lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import strimzi_world
from strimzi_world import StrimziWorld
from whole import PATH, Killed, Strike, StruckGroups, Whole

from textmod_operator.kafka import handover
from textmod_operator.state import KafkaConnection

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


def moves_to_seldons_executor(world: Whole) -> None:
    world.kafka.groups["textmod.reddit.science"] = {("science-input", 0): 7}
    world.asks({"serving": {"platform": "Seldon", "streaming": "SeldonExecutor"}})


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
    "read by another group": (stands(PLAIN), moves_to_seldons_executor),
    "topics by Strimzi": (nothing, asks(strimzi_world.SPEC)),
    "topics by Strimzi, deleted": (stands(strimzi_world.SPEC), deletes),
    "refused": (stands(PLAIN), asks({"topics": {"input": {"partitions": 1}}})),
}
"""What is there before, and what then changes."""


@pytest.fixture(autouse=True)
def groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handover opens a client of its own, to the brokers of the world at hand."""
    monkeypatch.setattr(handover, "GroupOffsets", lambda connection, **_: here.groups(connection))


class here:  # noqa: N801 - the world at hand
    world: Whole

    @classmethod
    def groups(cls, connection: KafkaConnection) -> StruckGroups:
        return StruckGroups(cls.world.kafka, connection)


def changed(name: str) -> Whole:
    before, change = CHANGES[name]
    world = here.world = StrimziWorld() if "Strimzi" in name else Whole()
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


def test_another_group_goes_on_where_the_last_one_stopped() -> None:
    world = changed("read by another group")
    world.settle()
    assert world.kafka.groups["default.science.reddit"] == {("science-input", 0): 7}
    assert world.kafka.group_configs["textmod.reddit.science"] == {}, "the session it had"
    found = world.server.read(PATH)
    assert found is not None
    assert "consumerGroupSessionSeconds" not in found["status"]
    assert found["status"]["consumerGroup"] == "default.science.reddit"


def test_deleted_means_that_nothing_is_left_but_what_it_did_not_create() -> None:
    world = changed("deleted with its topics")
    world.settle()
    assert world.server.read(PATH) is None
    assert set(world.kafka.topics) == {"somebody-elses"}
