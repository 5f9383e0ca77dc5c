"""A process that ends, or that nobody answers, between any two of its requests: the next passes
bring the world to where it would be anyway, with nothing left behind and no topic lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import strimzi_world
from strimzi_world import StrimziWorld
from whole import PATH, Killed, Strike, StruckGroups, Whole

from textmod_operator.errors import ClusterError
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


ANSWERS = (
    (409, "the object has been modified"),
    (410, "too old resource version"),
    (422, "Deployment is invalid: spec.x: Invalid value"),
    (429, "too many requests"),
    (500, "etcdserver: request timed out"),
    (500, 'failed calling webhook "x": connection refused'),
    (403, "forbidden: exceeded quota: few"),
    (403, "forbidden: unable to create new content in namespace reddit: it is being terminated"),
)


class Answering(Strike):
    """The n-th request is answered with an error, and not carried out."""

    def __init__(self, at: int) -> None:
        super().__init__("away", at)

    def next(self) -> str:
        if super().next():
            raise ClusterError(*ANSWERS[self.at % len(ANSWERS)])
        return ""


@pytest.mark.parametrize("name", ["created to be deleted with its topics", "topics by Strimzi"])
def test_whatever_the_api_server_answers_once_the_next_passes_end_in_the_same_state(
    name: str,
) -> None:
    undisturbed = changed(name)
    undisturbed.settle()
    for at in range(1, requests_of(name) + 1):
        world = changed(name)
        world.start()
        world.server.strike = Answering(at)
        world.run()
        reasons = {reason for reason, _ in world.conditions.values()}
        assert "InternalError" not in reasons, f"answered at request {at}"
        world.strike(Strike())
        world.settle()
        assert world.state() == undisturbed.state(), f"answered at request {at}"


class Recreating(Strike):
    """Right before the n-th request another object of the same name takes the place of the first,
    and the watch has reported it."""

    def __init__(self, at: int, world: Whole, spec: dict[str, Any]) -> None:
        super().__init__("recreated", at)
        self.world, self.spec = world, spec

    def next(self) -> str:
        if super().next():
            self.world.server.remove(PATH)
            self.world.asks(self.spec)
            self.world.watch_reports()
        return ""


def test_an_object_created_again_during_a_pass_gets_nothing_of_the_first() -> None:
    """The first retained its topics; the second deletes what it created, and that alone."""
    names = {role: {"name": f"second-{role}"} for role in ("input", "output", "deadLetter")}
    second = {**PLAIN, "topics": {**names, "deletionPolicy": "Delete"}}
    for at in range(1, requests_of("created") + 1):
        world = changed("created")
        world.start(strike := Recreating(at, world, second))
        world.run()
        assert strike.sent >= at
        world.strike(Strike())
        of_the_first = {one for one in world.kafka.topics if not one.startswith("second-")}
        world.settle()
        found = world.server.read(PATH)
        assert found is not None
        assert {one["name"] for one in found["status"]["topics"]} == {
            one["name"] for one in names.values()
        }, f"created again at request {at}"
        assert "formerTopics" not in found["status"]
        world.deletes()
        world.settle()
        assert world.server.read(PATH) is None
        assert set(world.kafka.topics) == of_the_first
