"""A cluster in memory with Strimzi: its KafkaTopics and its Topic Operator."""

from __future__ import annotations

from typing import Any

from kafka_admin_fake import FakeAdminClient
from objects import body
from strimzi import FINALIZER, TopicOperator
from whole import Whole

from textmod_operator.state import ObjectKey

CLUSTER = "events"
SPEC: dict[str, Any] = {
    "serving": {"platform": "Deployment"},
    "topics": {
        "management": "Strimzi",
        "strimzi": {"cluster": CLUSTER, "namespace": "kafka"},
        "deletionPolicy": "Delete",
    },
}


KAFKA = f"/apis/kafka.strimzi.io/v1/namespaces/kafka/kafkas/{CLUSTER}"
"""The Kafka object."""


def path(name: str = "science-input", version: str = "v1") -> str:
    """Of a KafkaTopic."""
    return f"/apis/kafka.strimzi.io/{version}/namespaces/kafka/kafkatopics/{name}"


class StrimziWorld(Whole):
    """A cluster, its brokers, Strimzi, and one operator after the other.

    Args:
        versions: of KafkaTopics that the API server has; none: Strimzi is not installed.
        allowed: namespaces in which the operator may make KafkaTopics; None: none.
    """

    def __init__(
        self,
        versions: tuple[str, ...] = ("v1", "v1beta2"),
        allowed: tuple[str, ...] | None = (),
    ) -> None:
        super().__init__(strimzi=allowed)
        self.running = True
        """Whether the Topic Operator runs."""
        self.controllers.append(self._topic_operator)
        self.install(*versions)
        server = {"host": "kafka", "port": 9092}
        listener = {"name": "plain", "addresses": [server], "bootstrapServers": "kafka:9092"}
        self.server.put(
            KAFKA,
            {
                "apiVersion": "kafka.strimzi.io/v1",
                "kind": "Kafka",
                "metadata": {"name": CLUSTER, "namespace": "kafka"},
                "spec": {"kafka": {}, "entityOperator": {"topicOperator": {}}},
                "status": {"clusterId": self.kafka.cluster_id, "listeners": [listener]},
            },
        )

    def install(self, *versions: str) -> None:
        """Have KafkaTopics of these versions, and no others."""
        for one in ("v1", "v1beta2"):
            self.server.documents.pop(f"/apis/kafka.strimzi.io/{one}", None)
        for one in versions:
            found = {"resources": [{"name": "kafkatopics"}, {"name": "kafkatopics/status"}]}
            self.server.documents[f"/apis/kafka.strimzi.io/{one}"] = found
        self.server.unknown = set() if versions else {"kafkatopics"}

    def is_read_by_another(self, topic: str) -> None:
        """Have another TextModeration whose input this topic is."""
        other = body({"topics": {"input": {"name": topic}}}, name="other", uid="uid-other")
        self._claims.note(ObjectKey(other["metadata"]["namespace"], "other"), other)

    @property
    def kafka_topics(self) -> dict[str, Any]:
        """Name → KafkaTopic, as the API server has them."""
        return {
            found["metadata"]["name"]: found
            for found in self.server.everything().values()
            if found["kind"] == "KafkaTopic"
        }

    def _topic_operator(self) -> None:
        if not self.running:
            return
        admin = FakeAdminClient(self.kafka, {"error_cb": lambda _: None})
        for change in TopicOperator(admin, CLUSTER).step(self.kafka_topics.values()):
            metadata = change.kafka_topic["metadata"]
            wanted: dict[str, Any] = {}
            if change.finalizers != metadata.get("finalizers"):
                wanted["metadata"] = {"finalizers": change.finalizers}
            if change.status is not None and change.status != change.kafka_topic.get("status"):
                wanted["status"] = change.status
            if wanted:
                self.server.edit(path(metadata["name"]), wanted, manager="strimzi")


__all__ = ["CLUSTER", "FINALIZER", "KAFKA", "SPEC", "StrimziWorld", "path"]
