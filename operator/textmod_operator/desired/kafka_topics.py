"""Strimzi's KafkaTopics, for `topics.management: Strimzi`."""

from __future__ import annotations

from typing import Any, Final

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.state import Manifest, Topic

KAFKA: Final = "Kafka"
KAFKA_TOPIC: Final = "KafkaTopic"
KAFKA_TOPIC_VERSIONS: Final = ("kafka.strimzi.io/v1", "kafka.strimzi.io/v1beta2")
"""Best first, for Kafka objects too. Strimzi serves v1 from 0.49 on, and v1beta2 up to 0.51."""


def kafka_topics_namespace(tm: TextModeration) -> str:
    """Where the KafkaTopics of an object are."""
    strimzi = tm.spec.topics.strimzi
    return (strimzi and strimzi.namespace) or tm.metadata.namespace


def topic_of(kafka_topic: Manifest) -> str:
    """Name of the topic that a KafkaTopic stands for."""
    name = (kafka_topic.get("spec") or {}).get("topicName") or kafka_topic["metadata"]["name"]
    return str(name)


def kafka_topic(tm: TextModeration, topic: Topic, api_version: str, grown_to: int = 0) -> Manifest:
    """The KafkaTopic of a topic. A label names its owner: see `naming.OWNER_LABEL`.

    Strimzi removes settings that the KafkaTopic does not name, so it always names those of the
    creation too.

    Args:
        topic: one of an object with `topics.strimzi`.
        api_version: as the cluster serves KafkaTopics.
        grown_to: partitions that the KafkaTopic asks for already; kept where the object names no
            number.
    """
    strimzi = tm.spec.topics.strimzi
    if strimzi is None:
        raise ValueError("topics.strimzi is not set")
    name = naming.kafka_topic(topic.name)
    partitions = topic.partitions if topic.exact else max(topic.partitions, grown_to)
    spec: dict[str, Any] = {"partitions": partitions}
    if topic.replication_factor is not None:
        spec["replicas"] = topic.replication_factor
    if name != topic.name:
        spec["topicName"] = topic.name
    if config := {**topic.creation_config, **topic.config}:
        spec["config"] = config
    return {
        "apiVersion": api_version,
        "kind": KAFKA_TOPIC,
        "metadata": {
            "name": name,
            "namespace": kafka_topics_namespace(tm),
            "labels": {
                **naming.labels_without_owner(tm),
                naming.NAMESPACE_LABEL: tm.metadata.namespace,
                naming.OWNER_LABEL: tm.metadata.uid,
                naming.STRIMZI_CLUSTER_LABEL: strimzi.cluster,
            },
        },
        "spec": spec,
    }
