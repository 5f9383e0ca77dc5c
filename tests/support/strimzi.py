"""Strimzi's Topic Operator, as far as topics go: what becomes of a KafkaTopic, by its documented
status and the sentences of 0.49.

It works over the interface of `confluent_kafka.admin.AdminClient`: the real one and the fake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

Json = dict[str, Any]
FINALIZER = "strimzi.io/topic-operator"
MANAGED = "strimzi.io/managed"
PAUSED = "strimzi.io/pause-reconciliation"


@dataclass(frozen=True)
class Change:
    """What is to be written to one KafkaTopic."""

    kafka_topic: Json
    finalizers: list[str]
    status: Json | None
    """None: the KafkaTopic is on its way out."""


class RefusedError(Exception):
    """Becomes Ready=False."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TopicOperator:
    """Of one Kafka cluster: `cluster` is its name in the label of its KafkaTopics."""

    def __init__(self, admin: Any, cluster: str) -> None:
        self._admin = admin
        self._cluster = cluster

    def step(self, kafka_topics: Iterable[Json]) -> Iterator[Change]:
        """Bring Kafka to what the KafkaTopics ask; what to write to each."""
        managed: dict[str, str] = {}
        for found in sorted(kafka_topics, key=lambda one: one["metadata"].get("uid", "")):
            metadata = found["metadata"]
            labels = metadata.get("labels") or {}
            annotations = metadata.get("annotations") or {}
            if labels.get("strimzi.io/cluster") != self._cluster:
                continue
            name = found["spec"].get("topicName") or metadata["name"]
            others = [one for one in metadata.get("finalizers") or () if one != FINALIZER]
            if metadata.get("deletionTimestamp"):
                if annotations.get(MANAGED) != "false":
                    self._delete(name)
                yield Change(found, others, None)
                continue
            status: Json = {**(found.get("status") or {}), "topicName": name}
            status["observedGeneration"] = metadata["generation"]
            status["conditions"] = [{"type": "Ready", "status": "True"}]
            if annotations.get(PAUSED) == "true":
                status["conditions"] = [{"type": "ReconciliationPaused", "status": "True"}]
            elif annotations.get(MANAGED) != "false":
                try:
                    other = managed.setdefault(name, metadata["name"])
                    _check_single(metadata["name"], other)
                    status["topicId"] = self._bring(name, found["spec"])
                except RefusedError as refused:
                    answer = {"reason": refused.reason, "message": str(refused)}
                    status["conditions"] = [{"type": "Ready", "status": "False", **answer}]
            yield Change(found, [*others, FINALIZER], status)

    def _bring(self, name: str, spec: Json) -> str:
        there = self._describe(name)
        config = {key: str(value) for key, value in (spec.get("config") or {}).items()}
        if there is None:
            self._create(name, spec, config)
            return ""
        if (asked := spec.get("partitions") or 0) > len(there.partitions):
            _result(self._admin.create_partitions([NewPartitions(name, asked)]))
        elif 0 < asked < len(there.partitions):
            raise RefusedError("NotSupported", "Decreasing partitions not supported")
        different = [
            one.id for one in there.partitions if len(one.replicas) != spec.get("replicas")
        ]
        if spec.get("replicas") is not None and different:
            raise RefusedError(
                "NotSupported",
                f"Replication factor change not supported, but required for partitions {different}",
            )
        self._configure(name, config)
        return str(there.topic_id)

    def _describe(self, name: str) -> Any:
        try:
            return _result(self._admin.describe_topics(TopicCollection([name])))
        except RefusedError as refused:
            if "UnknownTopicOrPartition" in str(refused):
                return None
            raise

    def _create(self, name: str, spec: Json, config: dict[str, str]) -> None:
        replicas = spec.get("replicas") or -1
        partitions = spec.get("partitions") or -1
        _result(self._admin.create_topics([NewTopic(name, partitions, replicas, config=config)]))

    def _configure(self, name: str, wanted: dict[str, str]) -> None:
        resource = ConfigResource(ResourceType.TOPIC, name)
        entries = _result(self._admin.describe_configs([resource]))
        dynamic = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        changes: dict[str, str | None] = {
            key: None for key, one in entries.items() if one.source == dynamic and key not in wanted
        }
        changes |= {k: v for k, v in wanted.items() if k not in entries or entries[k].value != v}
        if not changes:
            return
        operations = [
            ConfigEntry(
                key,
                value,
                incremental_operation=AlterConfigOpType.DELETE
                if value is None
                else AlterConfigOpType.SET,
            )
            for key, value in changes.items()
        ]
        changed = ConfigResource(ResourceType.TOPIC, name, incremental_configs=operations)
        _result(self._admin.incremental_alter_configs([changed]))

    def _delete(self, name: str) -> None:
        if self._describe(name) is not None:
            _result(self._admin.delete_topics([name]))


def _check_single(name: str, other: str) -> None:
    if other != name:
        raise RefusedError("ResourceConflict", f"Managed by Ref{{name='{other}'}}")


def _result(futures: dict[Any, Any]) -> Any:
    (future,) = futures.values()
    try:
        return future.result(timeout=10)
    except KafkaException as error:
        (first,) = error.args
        unknown = first.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        kind = "UnknownTopicOrPartitionException" if unknown else first.name()
        raise RefusedError(
            "KafkaError", f"org.apache.kafka.common.errors.{kind}: {first.str()}"
        ) from None
