"""Topics on a Kafka cluster in memory: made, owned, configured, judged and deleted."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError
from kafka_admin_fake import FakeKafka, refused_by
from objects import PLAINTEXT, body, moderation

from textmod_operator.controller import ownership
from textmod_operator.desired.topics import topics
from textmod_operator.errors import ClusterError, TopicsNotReady
from textmod_operator.kafka.admin import KafkaAdmin
from textmod_operator.kafka.breaker import OPENS
from textmod_operator.kafka.configs import CONFIG_SECONDS
from textmod_operator.state import ObjectKey, TopicSeen

KEY = ObjectKey("reddit", "science")
NAMES = ["science-input", "science-output", "science-dead-letter"]


class World:
    """One object, its status, and its Kafka cluster."""

    def __init__(self, spec: dict[str, Any] | None = None) -> None:
        self.kafka = FakeKafka()
        self.spec = {"topics": {"input": {"partitions": 2}}} if spec is None else spec
        self.body = body(self.spec)
        self.gone = False
        self.now = 0.0
        self.admin = self.start()

    def start(self) -> KafkaAdmin:
        """A new process has clients of its own."""
        return self.kafka.kafka_admin(PLAINTEXT, clock=self.clock)

    def clock(self) -> float:
        self.now += 0.01
        return self.now

    def ensure(self) -> tuple[TopicSeen, ...]:
        asked = topics(moderation(self.spec)).values()
        record = ownership.recorder(self.body, asked, self.write)
        seen = self.admin.ensure(asked, ownership.owned(self.body), record)
        found = [
            {
                "name": one.name,
                "role": one.role,
                "created": one.created,
                **({"topicId": one.topic_id} if one.topic_id else {}),
            }
            for one in seen
        ]
        self.write(KEY, {"topics": found}, self.body["metadata"]["uid"])
        return seen

    def write(self, key: ObjectKey, patch: dict[str, Any], uid: str) -> Any:
        assert (key, uid) == (KEY, self.body["metadata"]["uid"])
        if self.gone:
            return None
        self.body["status"] = {**self.body.get("status", {}), **patch}
        return self.body

    def delete(self) -> None:
        self.admin.delete(ownership.owned(self.body))


def test_an_object_that_is_gone_gets_no_topics() -> None:
    """Nobody would be there to delete them."""
    world = World()
    world.gone = True
    with pytest.raises(ClusterError, match="gone"):
        world.ensure()
    assert world.kafka.topics == {}


def test_topics_are_made_and_results_keep_the_time_of_writing() -> None:
    world = World()
    seen = world.ensure()
    assert [(one.name, one.partitions, one.created) for one in seen] == [
        ("science-input", 2, True),
        ("science-output", 2, True),
        ("science-dead-letter", 1, True),
    ]
    own_time = [world.kafka.topics[name].config for name in NAMES]
    assert own_time == [{}, *[{"message.timestamp.type": "LogAppendTime"}] * 2]
    assert all(one.warnings == () for one in seen)


@pytest.mark.parametrize("dies_at", ["describe_topics", "describe_configs"])
def test_a_process_that_dies_after_making_topics_leaves_a_record(dies_at: str) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    world = World()
    world.kafka.before["create_topics"] = lambda: world.kafka.before.update({dies_at: die})
    with pytest.raises(Killed):
        world.ensure()
    assert set(world.kafka.topics) == set(NAMES)
    world.delete()
    assert world.kafka.topics == {}


def test_after_such_a_death_the_next_process_owns_what_was_made() -> None:
    world = World()
    world.kafka.refuse["describe_configs", "science-output"] = KafkaError.UNKNOWN
    with pytest.raises(TopicsNotReady):
        world.ensure()
    world.kafka.refuse.clear()
    world.admin = world.start()
    assert all(one.created and one.topic_id for one in world.ensure())


def test_what_the_brokers_refused_to_make_is_not_ours_later() -> None:
    world = World({"topics": {"output": {"replicationFactor": 9}}})
    with pytest.raises(TopicsNotReady) as problem:
        world.ensure()
    assert problem.value.reason == "ReplicationFactorTooHigh"
    world.kafka.create("science-output", 12, replicas=9)  # somebody else makes it
    created = {one.name: one.created for one in world.ensure()}
    assert created == {
        "science-input": True,
        "science-output": False,
        "science-dead-letter": True,
    }
    world.delete()
    assert set(world.kafka.topics) == {"science-output"}


def test_what_the_brokers_refused_for_a_reason_without_a_name_is_not_ours_either() -> None:
    world = World()
    world.kafka.refuse["create_topics", "science-output"] = KafkaError.TOPIC_EXCEPTION
    with pytest.raises(TopicsNotReady):
        world.ensure()
    world.kafka.refuse.clear()
    world.kafka.create("science-output", 2)
    created = {one.name: one.created for one in world.ensure()}
    assert created == {"science-input": True, "science-output": False, "science-dead-letter": True}


def test_what_may_have_been_made_although_no_answer_came_is_ours() -> None:
    world = World()
    world.kafka.refuse["create_topics", "science-output"] = KafkaError._TIMED_OUT
    with pytest.raises(TopicsNotReady):
        world.ensure()
    world.kafka.refuse.clear()
    world.kafka.create("science-output", 2)
    assert all(one.created for one in world.ensure())


def test_a_topic_that_somebody_makes_at_the_same_moment_is_theirs() -> None:
    world = World()
    world.kafka.before["create_topics"] = lambda: [world.kafka.create("science-input", 2)]  # type: ignore[assignment]
    created = {one.name: one.created for one in world.ensure()}
    assert created == {"science-input": False, "science-output": True, "science-dead-letter": True}


def test_a_topic_of_the_same_name_elsewhere_or_made_again_is_not_ours() -> None:
    world = World()
    world.ensure()
    world.kafka.create("science-output", 2)  # another id: on another cluster, or made again
    world.admin = world.start()
    created = {one.name: one.created for one in world.ensure()}
    assert created == {"science-input": True, "science-output": False, "science-dead-letter": True}
    world.delete()
    assert set(world.kafka.topics) == {"science-output"}


def test_deleting_goes_by_the_id_at_that_moment() -> None:
    world = World()
    world.ensure()
    world.kafka.create("science-output", 2)
    world.delete()
    assert set(world.kafka.topics) == {"science-output"}
    world.delete()  # again: those that are gone are gone


def test_brokers_without_topic_ids_go_by_name() -> None:
    world = World()
    world.ensure()
    for topic in world.kafka.topics.values():
        topic.topic_id = "AAAAAAAAAAAAAAAAAAAAAA"
    world.admin = world.start()
    assert all(one.created and one.topic_id == "" for one in world.ensure())
    world.delete()
    assert world.kafka.topics == {}


def test_a_pass_over_topics_as_asked_asks_nothing_while_the_list_is_fresh() -> None:
    world = World({})
    world.ensure()
    world.admin.partitions()
    world.kafka.requests.clear()
    assert all(one.created and one.topic_id for one in world.ensure())
    assert world.admin.topic_ids(["science-input"]).keys() == {"science-input"}
    assert world.kafka.requests == []
    assert world.admin.topic_ids(["science-input", "other"]).keys() == {"science-input"}


def test_more_in_sync_replicas_than_replicas_are_told() -> None:
    world = World({"topics": {"input": {"config": {"min.insync.replicas": "5"}}}})
    with pytest.raises(TopicsNotReady) as problem:
        world.ensure()
    assert problem.value.reason == "MinInsyncReplicasTooHigh"
    assert "science-input has min.insync.replicas=5 and 1 replicas" in problem.value.message


def existing(world: World, **dead_letter: str) -> None:
    world.kafka.create("science-input", 2)
    world.kafka.create("science-output", 2, config={"retention.ms": "-1"})
    world.kafka.create("science-dead-letter", 1, config=dead_letter)


def test_a_compacted_dead_letter_topic_would_stop_the_stream() -> None:
    world = World()
    existing(world, **{"cleanup.policy": "compact,delete"})
    with pytest.raises(TopicsNotReady) as problem:
        world.ensure()
    assert (problem.value.reason, "without key" in problem.value.message) == ("ConfigDrift", True)


def test_a_topic_of_others_that_would_delete_old_results_is_a_warning() -> None:
    world = World()
    existing(world)
    warned = {one.name: len(one.warnings) for one in world.ensure()}
    assert warned == {"science-input": 0, "science-output": 0, "science-dead-letter": 1}


REVIEW: dict[str, Any] = {"topics": {"input": {"partitions": 2}}, "review": {}}


def test_texts_to_review_are_kept_for_a_month_and_decisions_for_ever() -> None:
    world = World(REVIEW)
    seen = world.ensure()
    assert [(one.name, one.role, one.partitions) for one in seen[3:]] == [
        ("science-review", "review", 2),
        ("science-feedback", "feedback", 1),
    ]
    review, feedback = (world.kafka.topics[f"science-{name}"] for name in ("review", "feedback"))
    assert review.config["retention.ms"] == "2592000000"
    assert feedback.config["retention.ms"] == "-1"
    assert {one.config["message.timestamp.type"] for one in (review, feedback)} == {"LogAppendTime"}
    assert all(one.warnings == () for one in seen)
    world.delete()
    assert world.kafka.topics == {}


def test_a_feedback_topic_that_forgets_decisions_is_told_unless_it_was_asked_for() -> None:
    week = {"retention.ms": "604800000"}
    world = World(REVIEW)
    world.kafka.create("science-feedback", 1, config=week)
    warned = {one.name: one.warnings for one in world.ensure()}
    assert "deletes decisions that are older than" in warned["science-feedback"][0]
    asked = {**REVIEW, "review": {"topics": {"feedback": {"config": week}}}}
    world = World(asked)
    assert all(one.warnings == () for one in world.ensure())


def test_a_compacted_feedback_topic_would_lose_what_was_decided_first() -> None:
    world = World(REVIEW)
    world.kafka.create("science-feedback", 1, config={"cleanup.policy": "compact"})
    with pytest.raises(TopicsNotReady) as problem:
        world.ensure()
    assert problem.value.reason == "ConfigDrift"
    assert "loses the decisions before it" in problem.value.message


def test_settings_of_topics_that_nobody_asks_for_any_more_are_dropped() -> None:
    world = World()
    world.ensure()
    world.now += CONFIG_SECONDS
    world.spec = {"topics": {"input": {"name": "other-input"}}}
    world.ensure()
    assert set(world.admin._configs._read) == {"other-input", *NAMES[1:]}


def test_settings_that_may_not_be_read_are_not_needed() -> None:
    world = World()
    existing(world)
    for name in NAMES:
        world.kafka.refuse["describe_configs", name] = KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert all(one.warnings == () for one in world.ensure())


def test_a_topic_that_the_brokers_do_not_show_yet_is_on_its_way() -> None:
    """They answer: no other object has to wait."""
    world = World()
    world.kafka.refuse["describe_topics", "science-output"] = KafkaError.UNKNOWN_TOPIC_OR_PART
    with pytest.raises(TopicsNotReady, match="science-output yet") as problem:
        world.ensure()
    assert problem.value.reason not in OPENS
    world.kafka.refuse.clear()
    assert all(one.created for one in world.ensure())


def test_brokers_that_do_not_answer_are_named_with_the_cause() -> None:
    world = World()
    world.kafka.down, world.kafka.causes = True, [refused_by("kafka:9092")]
    with pytest.raises(TopicsNotReady) as problem:
        world.ensure()
    assert problem.value.reason == "KafkaUnreachable"
    assert "kafka:9092: connection refused" in problem.value.message


def test_a_login_that_is_refused_shows_as_a_time_out_and_is_told_as_what_it_is() -> None:
    world = World()
    text = "kafka:9092/bootstrap: SASL authentication error: wrong password"
    world.kafka.down = True
    world.kafka.causes = [KafkaError(KafkaError._AUTHENTICATION, text)]
    with pytest.raises(TopicsNotReady) as problem:
        world.ensure()
    assert problem.value.reason == "AuthenticationFailed"
