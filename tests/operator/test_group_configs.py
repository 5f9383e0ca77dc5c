"""How long a dead pod keeps its partitions: half of the promise, where the brokers take it."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError
from kafka_admin_fake import FakeKafka
from objects import PLAINTEXT, moderation

from textmod_operator.desired.topics import session_seconds
from textmod_operator.kafka.configs import GROUP_SECONDS, SESSION, UNANSWERED_SECONDS

GROUP = "textmod.reddit.science"
SEEN_BY = ["describe_configs", "alter_configs"]


class World:
    def __init__(self) -> None:
        self.kafka = FakeKafka()
        self.now = 0.0
        self.set: int | None = None
        """What the status says is set."""
        self.admin = self.kafka.kafka_admin(PLAINTEXT, clock=lambda: self.now)

    def ensure(self, seconds: int | None = 15, group: str = GROUP) -> list[str]:
        """The requests that it took."""
        self.kafka.requests.clear()
        self.set = self.admin.ensure_group(group, seconds, self.set)
        return self.kafka.requests


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 15),
        ({"autoscaling": {"lag": {"maxSecondsBehind": 5}}}, 10),
        ({"autoscaling": {"lag": {"maxSecondsBehind": 60}}}, 30),
        ({"autoscaling": {"lag": {"maxSecondsBehind": 90}}}, None),
        ({"autoscaling": {"lag": {"messagesPerReplica": 100}}}, None),
        ({"topics": {"management": "Existing"}}, None),
        ({"serving": {"streaming": "SeldonExecutor"}}, None),
    ],
)
def test_a_dead_pod_has_half_of_the_promise(spec: dict, seconds: int | None) -> None:
    assert session_seconds(moderation(spec)) == seconds


def test_it_is_set_once_and_looked_at_once_an_hour() -> None:
    world = World()
    assert world.ensure() == SEEN_BY
    assert world.kafka.group_configs == {GROUP: {SESSION: "15000"}}
    assert world.ensure() == []
    world.now += GROUP_SECONDS
    assert world.ensure() == SEEN_BY[:1]
    assert world.ensure(20) == SEEN_BY
    assert world.kafka.group_configs[GROUP][SESSION] == "20000"


def test_groups_that_nobody_asks_for_any_more_are_dropped() -> None:
    world = World()
    world.ensure()
    world.now += GROUP_SECONDS
    world.ensure(group="textmod.reddit.other")
    assert set(world.admin._groups._settled) == {"textmod.reddit.other"}


@pytest.mark.parametrize(
    "refused",
    [
        ("describe_configs", KafkaError.GROUP_AUTHORIZATION_FAILED),
        ("describe_configs", KafkaError.INVALID_REQUEST),
        ("describe_configs", KafkaError.UNSUPPORTED_VERSION),
        ("alter_configs", KafkaError.GROUP_AUTHORIZATION_FAILED),
    ],
)
def test_brokers_that_refuse_it_are_left_alone(refused: tuple[str, int]) -> None:
    world = World()
    world.kafka.refuse[refused[0], GROUP] = refused[1]
    assert world.ensure() == SEEN_BY[: SEEN_BY.index(refused[0]) + 1]
    assert world.ensure() == []
    assert world.kafka.group_configs == {}


def test_a_session_below_the_brokers_minimum_is_not_asked_for_again_and_again() -> None:
    world = World()
    world.kafka.shortest_session = 45_000
    assert world.ensure() == SEEN_BY
    assert world.ensure() == []
    assert world.ensure(group="textmod.reddit.other") == [], "the brokers are the same"
    assert world.ensure(60, "textmod.reddit.slow") == SEEN_BY
    assert world.kafka.group_configs == {"textmod.reddit.slow": {SESSION: "60000"}}


@pytest.mark.parametrize(
    "code", [KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._DESTROY_BROKER]
)
def test_no_answer_is_no_refusal(code: int) -> None:
    world = World()
    world.kafka.refuse["describe_configs", GROUP] = code
    assert world.ensure() == SEEN_BY[:1]
    assert world.ensure() == [], "not at every pass"
    world.kafka.refuse.clear()
    assert world.ensure(group="textmod.reddit.other") == SEEN_BY, "nor are others kept waiting"
    world.now += UNANSWERED_SECONDS
    assert world.ensure() == SEEN_BY
    assert world.kafka.group_configs[GROUP] == {SESSION: "15000"}


def test_a_longer_promise_gives_the_brokers_own_session_back() -> None:
    world = World()
    world.ensure(None)
    assert world.kafka.requests == []
    world.ensure()
    assert world.set == 15
    world.admin = world.kafka.kafka_admin(PLAINTEXT, clock=lambda: world.now)  # the operator anew
    assert world.ensure(None) == SEEN_BY
    assert world.kafka.group_configs == {GROUP: {}}
    assert world.set is None
    assert world.ensure(None) == []


def test_a_session_that_somebody_else_has_set_since_stays() -> None:
    world = World()
    world.ensure()
    world.kafka.group_configs[GROUP][SESSION] = "20000"
    assert world.ensure(None) == SEEN_BY[:1]
    assert world.kafka.group_configs[GROUP] == {SESSION: "20000"}


def test_what_could_not_be_removed_stays_on_record() -> None:
    world = World()
    world.ensure()
    world.kafka.refuse["alter_configs", GROUP] = KafkaError._TIMED_OUT
    world.ensure(None)
    assert world.set == 15
    world.kafka.refuse.clear()
    world.now += UNANSWERED_SECONDS
    world.ensure(None)
    assert world.set is None
