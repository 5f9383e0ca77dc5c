"""Topics that Strimzi makes from KafkaTopics: a table of (object, world, fault) → (KafkaTopics,
topics, conditions)."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka.admin import AclOperation
from objects import merged
from strimzi_world import CLUSTER, FINALIZER, KAFKA, SPEC, StrimziWorld, path
from whole import PATH

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.controller.strimzi_cluster import foreign_servers
from textmod_operator.errors import TopicsNotReady

TOPICS = {"science-input", "science-output", "science-dead-letter"}
RETAIN = merged(SPEC, {"topics": {"deletionPolicy": "Retain"}})
SCRAM = {"mechanism": "SCRAM-SHA-512"}
READY = ("AsAsked", "the topics are as requested")


def settled(world: StrimziWorld | None = None, spec: dict | None = None) -> StrimziWorld:  # type: ignore[type-arg]
    world = world or StrimziWorld()
    world.asks(spec or SPEC)
    world.settle()
    return world


def test_strimzi_makes_the_topics_that_the_operator_asks_it_for() -> None:
    world = StrimziWorld()
    world.asks(SPEC)
    world.run()
    assert set(world.kafka_topics) == TOPICS
    assert world.kafka.topics == {}, "the operator makes none itself"
    assert world.conditions["TopicsReady"][0] == world.conditions["Reconciling"][0] == "Creating"
    assert "create_topics" not in world.kafka.requests
    assert world.server.read("/apis/apps/v1/namespaces/reddit/deployments/science") is None

    world.settle()
    assert set(world.kafka.topics) == TOPICS
    assert world.conditions["TopicsReady"] == READY
    assert len(world.kafka.topics["science-input"].records) == 12
    assert world.kafka.topics["science-output"].config["message.timestamp.type"] == "LogAppendTime"
    made = world.kafka_topics["science-input"]
    assert made["apiVersion"] == "kafka.strimzi.io/v1"
    assert made["metadata"]["labels"]["strimzi.io/cluster"] == CLUSTER
    assert "ownerReferences" not in made["metadata"], "they do not go with the object by themselves"
    assert "app.kubernetes.io/instance" not in made["metadata"]["labels"], "Argo CD would prune it"
    assert all(one["created"] for one in world.server.read(PATH)["status"]["topics"])  # type: ignore[index]


def test_strimzi_is_asked_for_no_topic_in_a_namespace_that_is_being_deleted() -> None:
    world = StrimziWorld()
    world.asks(SPEC)
    forbidden = "unable to create new content in namespace reddit because it is being terminated"
    world.server.fail("POST", "/namespaces/reddit/configmaps", 403, forbidden, times=9)
    world.run()
    assert world.kafka_topics == {}
    assert world.conditions["TopicsReady"][0] == "ApplyFailed"


def test_an_older_strimzi_is_asked_in_its_own_version_and_an_upgrade_is_followed() -> None:
    world = settled(StrimziWorld(versions=("v1beta2",)))
    assert world.conditions["TopicsReady"] == READY
    assert {one["apiVersion"] for one in world.kafka_topics.values()} == {
        "kafka.strimzi.io/v1beta2"
    }
    world.install("v1")
    world.start()
    world.asks(merged(SPEC, {"topics": {"input": {"partitions": 24}}}))
    world.settle()
    assert world.conditions["TopicsReady"] == READY
    assert len(world.kafka.topics["science-input"].records) == 24


def test_a_version_that_is_no_longer_served_is_looked_up_again_at_the_next_pass() -> None:
    """The process and its watch go on; only the requests to the old version meet 404."""
    world = settled()
    tm = TextModeration.parse(world.server.read(PATH))
    world.install("v1beta2")
    assert world.cluster.kafka_topics_version("kafka") == "kafka.strimzi.io/v1", "as it was found"
    world.server.fail("PATCH", path(), 404)
    asked = world.kafka_topics["science-input"] | {"spec": {"partitions": 24}}
    with pytest.raises(TopicsNotReady) as refused:
        world.cluster.apply_kafka_topic(asked, tm)
    assert refused.value.reason == "StrimziUnavailable"
    assert world.cluster.kafka_topics_version("kafka") == "kafka.strimzi.io/v1beta2"


@pytest.mark.parametrize(
    ("world", "says"),
    [
        (StrimziWorld(allowed=None), "strimzi.enabled of its chart"),
        (StrimziWorld(allowed=("elsewhere",)), "may not make KafkaTopics in namespace kafka"),
        (StrimziWorld(versions=()), "this cluster has no KafkaTopics: install Strimzi"),
    ],
    ids=["not enabled", "another namespace", "no CRD"],
)
def test_a_cluster_without_strimzi_is_a_condition(world: StrimziWorld, says: str) -> None:
    settled(world)
    reason, message = world.conditions["TopicsReady"]
    assert reason == world.conditions["Stalled"][0] == "StrimziUnavailable"
    assert says in message
    assert world.kafka.topics == {}


def test_strimzi_that_is_installed_later_is_noticed() -> None:
    world = settled(StrimziWorld(versions=()))
    world.install("v1")
    world.settle()
    assert world.conditions["TopicsReady"] == READY


def test_what_strimzi_says_is_the_conditions_message() -> None:
    world = settled(spec=merged(SPEC, {"topics": {"input": {"replicationFactor": 9}}}))
    reason, message = world.conditions["TopicsReady"]
    assert reason == "NotReady"
    assert "Strimzi says of KafkaTopic science-input in namespace kafka: KafkaError: " in message
    assert world.conditions["Stalled"][0] == "NotReady"
    world.asks(SPEC)
    world.settle()
    assert world.conditions["TopicsReady"] == READY, "the topic is made once it can be"


def test_topics_grow_and_take_other_settings_through_strimzi() -> None:
    world = settled()
    world.running = False
    grown = {"partitions": 24, "config": {"retention.ms": "1000"}}
    world.asks(merged(SPEC, {"topics": {"input": grown}}))
    world.run()
    world.run()
    reason, message = world.conditions["TopicsReady"]
    assert reason == "Creating", "the answer that is there is of an older generation"
    assert f"the Topic Operator of Kafka {CLUSTER} runs" in message
    world.running = True
    world.settle()
    assert world.conditions["TopicsReady"] == READY
    assert len(world.kafka.topics["science-input"].records) == 24
    assert world.kafka.topics["science-input"].config == {"retention.ms": "1000"}
    assert "create_partitions" in world.kafka.requests


def test_a_kafka_topic_that_somebody_grew_is_as_good() -> None:
    world = settled()
    world.server.edit(path(), {"spec": {"partitions": 30}})
    world.settle()
    assert len(world.kafka.topics["science-input"].records) == 30
    assert world.conditions["TopicsReady"] == READY


def test_an_edit_of_a_kafka_topic_is_undone() -> None:
    world = settled()
    world.server.edit(path("science-output"), {"spec": {"config": None}})
    world.settle()
    wanted = {"message.timestamp.type": "LogAppendTime"}
    assert world.kafka_topics["science-output"]["spec"]["config"] == wanted
    assert world.kafka.topics["science-output"].config == wanted


def test_a_kafka_topic_that_is_deleted_is_made_again() -> None:
    world = settled()
    world.server.remove(path())
    world.run()
    world.settle()
    assert set(world.kafka_topics) == set(world.kafka.topics) == TOPICS
    assert world.conditions["TopicsReady"] == READY


def test_a_kafka_topic_that_is_being_deleted_is_left_alone() -> None:
    world = settled()
    world.running = False
    world.server.remove(path())
    before = world.kafka_topics["science-input"]
    world.settle()
    assert world.kafka_topics["science-input"] == before
    assert world.conditions["TopicsReady"][0] == "Creating"
    assert "is being deleted" in world.conditions["TopicsReady"][1]


def test_a_paused_kafka_topic_is_reported() -> None:
    world = settled()
    world.server.edit(
        path(), {"metadata": {"annotations": {"strimzi.io/pause-reconciliation": "true"}}}
    )
    world.settle()
    assert world.conditions["TopicsReady"][0] == "NotReady"
    assert "strimzi.io/pause-reconciliation" in world.conditions["TopicsReady"][1]


# --- one owner ------------------------------------------------------------------------------------


FOREIGN = {
    "apiVersion": "kafka.strimzi.io/v1",
    "kind": "KafkaTopic",
    "metadata": {"name": "science-input", "labels": {"strimzi.io/cluster": CLUSTER}},
    "spec": {"partitions": 12},
}


def test_a_kafka_topic_of_somebody_else_is_used_and_neither_changed_nor_deleted() -> None:
    world = StrimziWorld()
    world.server.put(path(), FOREIGN)
    settled(world)
    assert world.conditions["TopicsReady"] == READY
    assert world.kafka_topics["science-input"]["spec"] == FOREIGN["spec"]
    world.asks(merged(SPEC, {"topics": {"input": {"partitions": 24}}}))
    world.settle()
    assert world.conditions["TopicsReady"][0] == "ConfigDrift"
    assert world.kafka_topics["science-input"]["spec"] == FOREIGN["spec"]
    world.deletes()
    world.settle()
    assert world.server.read(PATH) is None
    assert set(world.kafka_topics) == set(world.kafka.topics) == {"science-input"}


def test_a_topic_without_a_kafka_topic_is_used_and_gets_none() -> None:
    world = StrimziWorld()
    world.kafka.create("science-input", 12, config={"retention.ms": "1000"})
    settled(world)
    assert world.conditions["TopicsReady"] == READY
    assert set(world.kafka_topics) == TOPICS - {"science-input"}
    world.deletes()
    world.settle()
    assert world.server.read(PATH) is None
    assert set(world.kafka.topics) == {"science-input"}
    assert world.kafka.topics["science-input"].config == {"retention.ms": "1000"}


def test_topics_that_the_operator_made_itself_are_given_to_strimzi() -> None:
    world = StrimziWorld()
    plain = {"serving": {"platform": "Deployment"}, "topics": {"deletionPolicy": "Delete"}}
    settled(world, plain)
    ids = world.topic_ids
    assert world.kafka_topics == {}
    settled(world, SPEC)
    assert set(world.kafka_topics) == TOPICS
    assert world.topic_ids == ids
    assert world.conditions["TopicsReady"] == READY
    world.deletes()
    world.settle()
    assert world.kafka.topics == {}


def test_a_record_gives_no_topic_to_strimzi_that_its_own_kafka_user_may_not_manage() -> None:
    """The record may be of other brokers, which the object named before."""
    world = StrimziWorld()
    plain = {"serving": {"platform": "Deployment"}, "topics": {"deletionPolicy": "Delete"}}
    settled(world, plain)
    before = world.kafka.topics["science-input"].config
    world.kafka.operations = {AclOperation.DESCRIBE, AclOperation.ALTER, AclOperation.DELETE}
    settled(world, SPEC)
    assert world.kafka_topics == {}
    assert world.conditions["TopicsReady"] == READY, "they are checked, as with Existing"
    assert world.kafka.topics["science-input"].config == before
    assert all(one["created"] for one in world.server.read(PATH)["status"]["topics"])  # type: ignore[index]
    world.deletes()
    world.settle()
    assert world.kafka.topics == {}, "what is on record is still deleted, as that user"


def test_a_topic_of_another_id_than_strimzi_made_is_not_on_record_as_created() -> None:
    world = settled()
    world.running = False
    world.kafka.topics["science-input"].topic_id = "of another cluster"
    world.settle()
    topics = world.server.read(PATH)["status"]["topics"]  # type: ignore[index]
    assert [one["name"] for one in topics if not one["created"]] == ["science-input"]


def test_a_topic_that_somebody_made_again_is_not_given_to_strimzi() -> None:
    world = StrimziWorld()
    settled(world, {"serving": {"platform": "Deployment"}})
    world.kafka.topics["science-input"].topic_id = "another"
    settled(world, SPEC)
    assert set(world.kafka_topics) == TOPICS - {"science-input"}
    assert world.conditions["TopicsReady"] == READY
    world.deletes()
    world.settle()
    assert set(world.kafka.topics) == {"science-input"}


def test_somebody_who_keeps_changing_a_kafka_topic_is_not_fought() -> None:
    world = settled()
    for _ in range(20):
        world.server.edit(path(), {"metadata": {"labels": {naming.NAMESPACE_LABEL: "other"}}})
        world.run()
    reason, message = world.conditions["TopicsReady"]
    assert reason == "OwnedByAnother"
    assert "managedFields" in message


# --- the brokers are the cluster on which Strimzi acts --------------------------------------------


HERE = "Kafka events in namespace kafka"
ELSEWHERE = {"spec": {"entityOperator": {"topicOperator": {"watchedNamespace": "elsewhere"}}}}


@pytest.mark.parametrize(
    ("kafka", "reason", "says"),
    [
        (None, "ClusterUnproven", "there is no Kafka events in namespace kafka"),
        ({"spec": {"entityOperator": None}}, "ClusterUnproven", f"the Topic Operator of {HERE}"),
        (ELSEWHERE, "ClusterUnproven", f"the Topic Operator of {HERE}"),
        ({"status": None}, "Creating", f"Strimzi has not published the cluster id of {HERE}"),
        ({"status": {"clusterId": None}}, "Creating", "has not published the cluster id"),
        ({"status": {"listeners": None}}, "Creating", "and the addresses of its listeners"),
        (
            {"status": {"clusterId": "cluster-2"}},
            "ClusterUnproven",
            f"kafka:9092 leads to the Kafka cluster cluster-1, and {HERE} is cluster-2",
        ),
        (
            {"status": {"listeners": [{"bootstrapServers": "a.kafka.svc:9092,b:1"}]}},
            "ClusterUnproven",
            f"{HERE} has no listener at kafka:9092: name in kafka.bootstrapServers only",
        ),
    ],
    ids=str,
)
def test_no_kafka_topic_is_made_unless_the_brokers_are_the_cluster_of_strimzi(
    kafka: dict[str, Any] | None, reason: str, says: str
) -> None:
    world = StrimziWorld()
    if kafka is None:
        world.server.remove(KAFKA)
    else:
        world.server.edit(KAFKA, kafka)
    settled(world)
    assert world.kafka_topics == world.kafka.topics == {}
    assert world.conditions["TopicsReady"][0] == reason
    assert says in world.conditions["TopicsReady"][1]
    world.deletes()
    world.settle()
    assert world.server.read(PATH) is None


def test_brokers_without_a_cluster_id_are_not_the_cluster_of_strimzi() -> None:
    world = StrimziWorld()
    world.kafka.cluster_id = None
    settled(world)
    assert world.kafka_topics == {}
    assert "leads to the Kafka cluster unknown" in world.conditions["TopicsReady"][1]


def test_a_kafka_object_that_the_operator_may_not_read_is_reported() -> None:
    world = StrimziWorld()
    world.server.fail("GET", "/kafkas/events", 403, "kafkas is forbidden", times=9)
    settled(world)
    assert world.kafka_topics == {}
    assert world.conditions["TopicsReady"][0] == "ApplyFailed"
    assert "refuses Kafka events: kafkas is forbidden" in world.conditions["TopicsReady"][1]


def test_a_kafka_object_that_is_complete_later_is_noticed() -> None:
    world = StrimziWorld()
    world.server.edit(KAFKA, {"status": {"clusterId": None}})
    settled(world)
    world.server.edit(KAFKA, {"status": {"clusterId": "cluster-1"}})
    world.settle()
    assert world.conditions["TopicsReady"] == READY


def test_topics_that_strimzi_has_made_need_no_proof_again() -> None:
    """Strimzi leaves out the listeners while it fails to bring a Kafka object up to date."""
    world = settled()
    world.server.remove(KAFKA)
    world.asks(merged(SPEC, {"topics": {"input": {"partitions": 24}}}))
    world.settle()
    assert world.conditions["TopicsReady"] == READY
    assert len(world.kafka.topics["science-input"].records) == 24
    world.deletes()
    world.settle()
    assert world.server.read(PATH) is None
    assert world.kafka.topics == world.kafka_topics == {}


@pytest.mark.parametrize(
    ("named", "published", "same"),
    [
        ("events-kafka-bootstrap.kafka.svc:9092", "events-kafka-bootstrap.kafka.svc:9092", True),
        ("events.kafka.svc.cluster.local:9092", "events.kafka.svc:9092", True),
        ("events.kafka.svc:9092", "events.kafka.svc.cluster.local:9092", True),
        ("PLAINTEXT://events.kafka.svc", "events.kafka.svc:9092", True),
        ("[fd00::1]:31000", "fd00::1:31000", True),
        ("10.0.0.2:31000,10.0.0.1:31000", "10.0.0.1:31000,10.0.0.2:31000", True),
        ("10.0.0.1:31000,evil.example:9092", "10.0.0.1:31000,10.0.0.2:31000", False),
        ("events.kafka.svc:9093", "events.kafka.svc:9092", False),
        ("events.kafka:9092", "events.kafka.svc:9092", False),
        ("events:9092", "events.kafka.svc:9092", False),
        ("events.kafka.svc.:9092", "events.kafka.svc:9092", False),
        ("events.\u212aafka.svc:9092", "events.kafka.svc:9092", False),
        ("events.kafka.svc.evil.example:9092", "events.kafka.svc:9092", False),
        ("x,events.kafka.svc:9092", "events.kafka.svc:9092", False),
    ],
)
def test_brokers_have_to_be_named_as_strimzi_publishes_them(
    named: str, published: str, same: bool
) -> None:
    servers = published.split(",")
    addresses = [dict(zip(("host", "port"), one.rsplit(":", 1), strict=True)) for one in servers]
    for listener in ({"bootstrapServers": published}, {"addresses": addresses}):
        kafka = {"status": {"listeners": [listener]}}
        assert (foreign_servers(named, kafka) == []) == same


# --- deletion -------------------------------------------------------------------------------------


def test_the_object_is_held_until_strimzi_has_deleted_the_topics() -> None:
    world = settled()
    world.running = False
    world.deletes()
    world.settle()
    reason, message = world.conditions["TopicsReady"]
    assert reason == "NotReady"
    assert "Strimzi has not deleted the topics of KafkaTopics" in message
    assert "Retain" in message
    assert set(world.kafka.topics) == TOPICS
    assert all(FINALIZER in one["metadata"]["finalizers"] for one in world.kafka_topics.values())
    world.running = True
    world.settle()
    assert world.server.read(PATH) is None
    assert world.kafka.topics == world.kafka_topics == {}


def test_topics_of_before_strimzi_that_the_object_no_longer_names_are_deleted_with_it() -> None:
    world = StrimziWorld()
    former = {"deletionPolicy": "Delete", "output": {"name": "former-output"}}
    settled(world, {"serving": {"platform": "Deployment"}, "topics": former})
    world.kafka.create("of-somebody-else")
    settled(world, SPEC)
    assert set(world.kafka.topics) == TOPICS | {"former-output", "of-somebody-else"}
    world.deletes()
    world.settle()
    assert world.server.read(PATH) is None
    assert set(world.kafka.topics) == {"of-somebody-else"}


@pytest.mark.parametrize("installed", ["never", "until the deletion", "after the deletion"])
def test_topics_that_strimzi_never_took_over_are_deleted_with_the_object(installed: str) -> None:
    world = StrimziWorld(versions=())
    before = {"serving": {"platform": "Deployment"}, "topics": {"deletionPolicy": "Delete"}}
    settled(world, before)
    world.kafka.create("of-somebody-else")
    if installed == "until the deletion":
        world.install("v1")
        world.running = False
        settled(world, SPEC)
        world.install()
        for found in world.kafka_topics.values():  # they go with their CRD
            world.server.edit(path(found["metadata"]["name"]), {"metadata": {"finalizers": []}})
            world.server.remove(path(found["metadata"]["name"]))
    else:
        settled(world, SPEC)
        assert world.conditions["TopicsReady"][0] == "StrimziUnavailable"
    assert set(world.kafka.topics) == TOPICS | {"of-somebody-else"}
    if installed == "after the deletion":
        world.install("v1")
    world.deletes()
    world.settle()
    assert world.server.read(PATH) is None
    assert set(world.kafka.topics) == {"of-somebody-else"}


def test_a_topic_whose_kafka_topic_somebody_else_made_since_is_theirs() -> None:
    world = StrimziWorld(versions=())
    before = {"serving": {"platform": "Deployment"}, "topics": {"deletionPolicy": "Delete"}}
    settled(world, before)
    world.install("v1")
    theirs = {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {"name": "science-input", "namespace": "kafka"},
        "spec": {"partitions": 12},
    }
    world.server.put(path(), theirs)
    settled(world, SPEC)
    world.deletes()
    world.settle()
    assert world.server.read(PATH) is None
    assert set(world.kafka_topics) == set(world.kafka.topics) == {"science-input"}


def test_only_the_topics_that_really_stay_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Strimzi has deleted its own; what was made before needs a Secret that is not there."""
    world = StrimziWorld()
    former = {"deletionPolicy": "Delete", "output": {"name": "former-output"}}
    settled(world, {"serving": {"platform": "Deployment"}, "topics": former})
    settled(world, SPEC)
    world.asks(merged(SPEC, {"kafka": {"sasl": {**SCRAM, "secretRef": {"name": "gone"}}}}))
    world.deletes()
    world.settle()
    assert world.server.read(PATH) is None
    assert set(world.kafka.topics) == {"former-output"}
    told = "the topics former-output were not deleted: Secret gone is not in namespace reddit"
    assert told in caplog.text


def test_a_topic_that_another_object_uses_outlives_the_object() -> None:
    world = settled()
    world.is_read_by_another("science-output")
    world.deletes()
    world.settle()
    assert world.server.read(PATH) is None
    assert set(world.kafka_topics) == set(world.kafka.topics) == {"science-output"}


def test_topics_and_their_kafka_topics_outlive_an_object_that_retains() -> None:
    world = settled(spec=RETAIN)
    world.server.remove(PATH)
    world.settle()
    assert world.server.read(PATH) is None
    assert set(world.kafka_topics) == set(world.kafka.topics) == TOPICS


def test_an_object_that_is_made_again_uses_what_the_first_one_left() -> None:
    world = settled(spec=RETAIN)
    world.server.remove(PATH)
    world.settle()
    world.asks(SPEC)
    world.settle()
    assert world.conditions["TopicsReady"] == READY
    world.deletes()
    world.settle()
    assert set(world.kafka_topics) == TOPICS, "they are not of the second object"


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("science-input", "science-input"),
        ("reddit.science.input", "reddit.science.input"),
        ("Science_Input", "science-input-"),
        ("a_", "a-"),
        ("__", "topic-"),
        ("A" * 249, "a" * 200 + "-"),
        ("x.-_.y", "x.y-"),
    ],
)
def test_every_topic_has_a_kafka_topic_of_a_legal_name(topic: str, name: str) -> None:
    made = naming.kafka_topic(topic)
    assert made.startswith(name)
    assert (made == topic) == (name == topic)
    assert naming._OBJECT_NAME.fullmatch(made)
    assert len(made) <= 253
    assert made != naming.kafka_topic(topic + "_")


def test_a_topic_of_another_name_is_named_in_the_kafka_topic() -> None:
    world = settled(spec=merged(SPEC, {"topics": {"input": {"name": "Science_Input"}}}))
    (made,) = (one for one in world.kafka_topics.values() if "topicName" in one["spec"])
    assert made["spec"]["topicName"] == "Science_Input"
    assert "Science_Input" in world.kafka.topics
    assert world.conditions["TopicsReady"] == READY


def test_the_cluster_of_the_topics_has_to_be_that_of_the_brokers() -> None:
    world = StrimziWorld()
    world.asks(SPEC)
    world.run()
    for name in TOPICS:
        answer = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}
        world.server.edit(path(name), {"status": answer})
    world.running = False  # it made them in another Kafka cluster
    world.run()
    assert world.conditions["TopicsReady"][0] == "TopicMissing"
    assert "topics.strimzi.cluster" in world.conditions["TopicsReady"][1]
