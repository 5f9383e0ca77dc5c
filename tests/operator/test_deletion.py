"""An object that is being deleted: first its pods end, then its topics go, then it goes."""

from __future__ import annotations

from typing import Any

import pytest
from fake_cluster import FakeCluster
from kafka_admin_fake import FakeKafka
from objects import PLAINTEXT, body, moderation

from textmod_operator.controller.claims import Claims
from textmod_operator.controller.deletion import finalize
from textmod_operator.controller.reconcile import Edges
from textmod_operator.errors import ClusterError, TopicsNotReady
from textmod_operator.kafka.clusters import KafkaPending
from textmod_operator.naming import FINALIZER
from textmod_operator.state import Capabilities

DELETE = {"topics": {"deletionPolicy": "Delete"}, "serving": {"platform": "Deployment"}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "science", "namespace": "reddit"},
}


class World:
    """An object with a workload and two topics, one of which it created."""

    def __init__(self, policy: str = "Delete") -> None:
        self.kafka = FakeKafka()
        self.kafka.create("science-input")
        self.kafka.create("science-output")
        self.clusters = self.kafka.clusters()
        self.clusters.to(PLAINTEXT).breaker.succeeded()
        spec = {**DELETE, "topics": {"deletionPolicy": policy}}
        self.cluster = FakeCluster()
        self.cluster.body = {**body(spec, finalizers=[FINALIZER]), "status": {"topics": TOPICS}}
        self.cluster.apply(DEPLOYMENT, moderation(spec))
        self.cluster.writes.clear()

    def finalize(self) -> None:
        assert self.cluster.body is not None
        edges = Edges(
            self.cluster, self.clusters, Capabilities, Claims(), self.cluster.patch_status
        )
        finalize(self.cluster.body, edges)

    @property
    def released(self) -> bool:
        assert self.cluster.body is not None
        return not self.cluster.body["metadata"]["finalizers"]


TOPICS: list[dict[str, Any]] = [
    {"name": "science-input", "role": "input", "created": False, "topicId": "id-1"},
    {"name": "science-output", "role": "output", "created": True, "topicId": "id-2"},
]


def test_topics_outlive_the_pods() -> None:
    world = World()
    world.cluster.running = 2
    with pytest.raises(TopicsNotReady) as problem:
        world.finalize()
    assert problem.value.reason == "PodsRunning"
    assert world.cluster.writes == [("delete", "Deployment")]
    assert set(world.kafka.topics) == {"science-input", "science-output"}
    assert not world.released

    world.cluster.running = 0
    world.finalize()
    assert set(world.kafka.topics) == {"science-input"}
    assert world.released


def test_an_object_that_retains_is_released_at_once() -> None:
    world = World("Retain")
    world.cluster.running = 2
    world.finalize()
    assert world.released
    assert set(world.kafka.topics) == {"science-input", "science-output"}
    assert world.kafka.requests == []


def test_brokers_that_are_known_not_to_answer_hold_it_without_a_request() -> None:
    world = World()
    world.clusters.to(PLAINTEXT).breaker.failed(TopicsNotReady("KafkaUnreachable", "no"), 0.0)
    with pytest.raises(TopicsNotReady):
        world.finalize()
    assert world.kafka.requests == []
    assert not world.released


def test_brokers_that_were_not_asked_yet_are_asked_first() -> None:
    world = World()
    world.clusters.keep_only(set())
    with pytest.raises(KafkaPending):
        world.finalize()
    assert not world.released


def test_topics_that_left_the_spec_are_deleted_too() -> None:
    world = World()
    world.kafka.create("science-review")
    assert world.cluster.body is not None
    former = {"name": "science-review", "topicId": "id-3"}
    world.cluster.body["status"]["formerTopics"] = [former]
    world.finalize()
    assert set(world.kafka.topics) == {"science-input"}


@pytest.mark.parametrize("ends", [False, True])
def test_topics_that_stay_because_the_secrets_are_gone_are_told(
    ends: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    if ends:  # the namespace: it takes nothing new
        world.cluster.faults["create", "Event"] = ClusterError(403, "is being terminated")
    sasl = {"mechanism": "SCRAM-SHA-512", "secretRef": {"name": "kafka"}}
    assert world.cluster.body is not None
    world.cluster.body["spec"]["kafka"]["sasl"] = sasl
    world.finalize()
    assert world.released
    assert set(world.kafka.topics) == {"science-input", "science-output"}
    assert world.cluster.events == ([] if ends else [("Warning", "SecretNotFound")])
    told = "the topics science-output were not deleted: Secret kafka is not in namespace reddit"
    assert told in caplog.text
