"""Changes topics and permissions as an administrator; retries while brokers are away."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

ANSWER_SECONDS = 10.0
PATIENCE_SECONDS = 180.0
EVERYBODY = "User:*"
_PASSING = frozenset(
    {
        KafkaError.INVALID_REPLICATION_FACTOR,  # too few brokers
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError._TRANSPORT,  # noqa: SLF001 - librdkafka's: the broker went while it was asked
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._DESTROY_BROKER,  # noqa: SLF001 - its connection was replaced meanwhile
    }
)
ALLOW, DENY = AclPermissionType.ALLOW, AclPermissionType.DENY


class Admin:
    """The administrator of one cluster. May be used from several threads."""

    def __init__(self, servers: str) -> None:
        self.client = AdminClient({"bootstrap.servers": servers, "log_level": 0})

    def create(self, topic: str, partitions: int, replicas: int) -> None:
        """Create a topic that takes writes while all replicas but one are in sync."""
        config = {"min.insync.replicas": str(max(1, replicas - 1))}
        new = NewTopic(topic, partitions, replicas, config=config)
        self._ask(lambda: self.client.create_topics([new]), KafkaError.TOPIC_ALREADY_EXISTS)

    def delete(self, topics: list[str]) -> None:
        """Delete topics."""
        self._ask(lambda: self.client.delete_topics(topics), KafkaError.UNKNOWN_TOPIC_OR_PART)

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions."""
        new = [NewPartitions(topic, partitions)]
        self._ask(lambda: self.client.create_partitions(new), KafkaError.INVALID_PARTITIONS)

    def configure(self, topic: str, name: str, value: str | None) -> None:
        """Set one option of a topic; None goes back to the broker's."""
        how = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
        entry = ConfigEntry(name, value or "", incremental_operation=how)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self._ask(lambda: self.client.incremental_alter_configs([resource]))

    def expire(self, topic: str, starts: Mapping[int, int]) -> None:
        """Delete the records before an offset, as retention does."""
        before = [TopicPartition(topic, number, start) for number, start in starts.items()]
        self._ask(lambda: self.client.delete_records(before))

    def deny(self, kind: ResourceType, name: str, operation: AclOperation) -> None:
        """Deny everybody one operation on a topic or group.

        A resource with any rule denies all that no rule allows, so the rest is allowed explicitly.
        """
        rules = [_rule(kind, name, AclOperation.ALL, ALLOW), _rule(kind, name, operation, DENY)]
        self._ask(lambda: self.client.create_acls(rules))

    def allow(self, kind: ResourceType, name: str) -> None:
        """Remove all rules about a topic or group."""
        literal, everything = ResourcePatternType.LITERAL, AclOperation.ANY
        rules = AclBindingFilter(kind, name, literal, None, None, everything, AclPermissionType.ANY)
        self._ask(lambda: self.client.delete_acls([rules]))

    def _ask(
        self, send: Callable[[], Mapping[Any, Future[Any]]], done_before: int | None = None
    ) -> None:
        """Send a request; retry until the brokers have carried it out.

        `done_before` is their answer to a repetition of a request that they had carried out.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        asked_before = False
        while True:
            try:
                for future in send().values():
                    future.result(ANSWER_SECONDS)
            except KafkaException as error:
                if asked_before and error.args[0].code() == done_before:
                    return
                if not _is_passing(error.args[0]) or time.monotonic() > deadline:
                    raise
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise
            else:
                return
            asked_before = True
            time.sleep(0.5)


def _is_passing(error: KafkaError) -> bool:
    """Tell whether a repetition may succeed: brokers may be down only, and leaders move."""
    return error.retriable() or error.code() in _PASSING


def _rule(
    kind: ResourceType, name: str, operation: AclOperation, permission: AclPermissionType
) -> AclBinding:
    return AclBinding(
        kind, name, ResourcePatternType.LITERAL, EVERYBODY, "*", operation, permission
    )
