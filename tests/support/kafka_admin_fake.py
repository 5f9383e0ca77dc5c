"""A Kafka cluster in memory, behind the clients' own interfaces: what librdkafka's and
kafka-python's clients answer, in value and in error, for the requests that the operator makes.

Every future is done when it is returned, so that tests need no threads and no sleeps. A cluster
that is `down` answers as librdkafka does: the request times out, and the cause is reported by
`error_cb`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    KafkaException,
)
from confluent_kafka.admin import AclOperation, ResourceType

from textmod_operator.kafka.admin import KafkaAdmin
from textmod_operator.kafka.clusters import KafkaCluster, KafkaClusters
from textmod_operator.kafka.lag import LagMonitor
from textmod_operator.kafka.lag_source import KafkaLagSource
from textmod_operator.kafka.offsets import Committed, GroupOffsets, OffsetsError, Partition
from textmod_operator.state import KafkaConnection

DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "min.insync.replicas": "1",
    "message.timestamp.type": "CreateTime",
}
GROUP_DEFAULTS = {"consumer.session.timeout.ms": "45000"}
RESOLVE = KafkaError._RESOLVE
TRANSPORT = KafkaError._TRANSPORT
TIMED_OUT = KafkaError._TIMED_OUT


@dataclass
class FakeTopic:
    """A topic; `records[partition]` are the records' timestamps in seconds, None for a gap."""

    topic_id: str
    records: list[list[float | None]]
    replicas: int = 1
    config: dict[str, str] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)


@dataclass
class FakeKafka:
    """The cluster, and how it fails."""

    brokers: int = 3
    cluster_id: str | None = "cluster-1"
    operations: set[AclOperation] = field(default_factory=lambda: set(AclOperation))
    """What our user may do with every topic."""
    topics: dict[str, FakeTopic] = field(default_factory=dict)
    groups: dict[str, dict[Partition, int]] = field(default_factory=dict)
    group_configs: dict[str, dict[str, str]] = field(default_factory=dict)
    shortest_session: int = 6_000
    """The brokers' group.consumer.min.session.timeout.ms."""
    members: set[str] = field(default_factory=set)
    rebalancing: set[str] = field(default_factory=set)
    down: bool = False
    causes: list[KafkaError] = field(default_factory=list)
    """What clients are told about the servers while it is down."""
    refuse: dict[tuple[str, str], int] = field(default_factory=dict)
    """(request, topic, group or "topic/partition") → error code."""
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    """Request → what happens just before it is answered."""
    requests: list[str] = field(default_factory=list)
    ids: Iterable[int] = field(default_factory=lambda: itertools.count(1))
    open: set[Any] = field(default_factory=set)
    """Clients that were made and have not been closed."""
    fails_to_close: set[str] = field(default_factory=set)
    """Kinds of clients ("admin", "consumer", "groups") whose close raises."""

    def create(self, name: str, partitions: int = 1, **how: Any) -> FakeTopic:
        """Make a topic, as an admin of the cluster would."""
        topic_id = f"id-{next(iter(self.ids))}"  # type: ignore[call-overload]
        topic = FakeTopic(topic_id, [[] for _ in range(partitions)], **how)
        self.topics[name] = topic
        return topic

    def produce(self, name: str, count: int = 1, *, partition: int = 0, at: float = 0.0) -> None:
        """Append records."""
        self.topics[name].records[partition].extend([at] * count)

    # --- the clients ----------------------------------------------------------------------------

    def admin(self, config: dict[str, Any]) -> Any:
        return FakeAdminClient(self, config)

    def kafka_admin(self, connection: KafkaConnection, **how: Any) -> KafkaAdmin:
        return KafkaAdmin(connection, self.admin, sleep=lambda _: None, **how)

    def monitor(self, connection: KafkaConnection) -> LagMonitor:
        source = KafkaLagSource(
            connection,
            make_admin=self.admin,
            make_consumer=lambda config: FakeConsumer(self),  # type: ignore[arg-type, return-value]
            groups=FakeGroups(self, connection),
        )
        return LagMonitor(connection, source=source)

    def clusters(self, **how: Any) -> KafkaClusters:
        """`KafkaClusters` whose every connection leads here; closing is done at once."""
        return KafkaClusters(
            lambda connection: KafkaCluster(connection, self.kafka_admin, self.monitor, **how),
            discard=lambda close: close(),
        )

    def closed(self, client: Any, kind: str) -> None:
        self.open.discard(client)
        if kind in self.fails_to_close:
            raise OSError(f"close {kind}")

    def asked(self, request: str) -> None:
        self.requests.append(request)
        if request in self.before:
            self.before.pop(request)()


class FakeAdminClient:
    """confluent_kafka.admin.AdminClient, as far as the operator uses it."""

    def __init__(self, kafka: FakeKafka, config: dict[str, Any]) -> None:
        self.kafka = kafka
        self.error_cb = config["error_cb"]
        kafka.open.add(self)

    def __exit__(self, *_: object) -> None:
        self.kafka.closed(self, "admin")

    def poll(self, timeout: float) -> int:
        if self.kafka.down:
            for cause in self.kafka.causes:
                self.error_cb(cause)
        return 0

    def list_topics(self, timeout: float) -> Any:
        self.kafka.asked("list_topics")
        if self.kafka.down:
            raise KafkaException(KafkaError(TRANSPORT, "Failed to get metadata"))
        topics = {
            name: SimpleNamespace(
                partitions={
                    n: SimpleNamespace(replicas=list(range(topic.replicas)))
                    for n in range(len(topic.records))
                }
            )
            for name, topic in self.kafka.topics.items()
        }
        return SimpleNamespace(topics=topics)

    def describe_cluster(self, **_: Any) -> Future[Any]:
        def described(_: str) -> Any:
            return SimpleNamespace(cluster_id=self.kafka.cluster_id)

        return self._each("describe_cluster", [""], described)[""]

    def describe_topics(
        self, names: Any, *, include_authorized_operations: bool = False, **_: Any
    ) -> dict[str, Future[Any]]:
        operations = list(self.kafka.operations) if include_authorized_operations else None

        def described(name: str) -> Any:
            topic = self._topic(name)
            return SimpleNamespace(
                topic_id=topic.topic_id,
                authorized_operations=operations,
                partitions=[
                    SimpleNamespace(id=n, replicas=list(range(topic.replicas)))
                    for n in range(len(topic.records))
                ],
            )

        return self._each("describe_topics", names.topic_names, described)

    def create_topics(self, topics: Iterable[Any], **_: Any) -> dict[str, Future[Any]]:
        by_name = {topic.topic: topic for topic in topics}

        def create(name: str) -> None:
            topic = by_name[name]
            if name in self.kafka.topics:
                raise _error(KafkaError.TOPIC_ALREADY_EXISTS)
            if topic.replication_factor > self.kafka.brokers:
                raise _error(KafkaError.INVALID_REPLICATION_FACTOR)
            factor = 1 if topic.replication_factor == -1 else topic.replication_factor
            self.kafka.create(
                name, topic.num_partitions, replicas=factor, config=dict(topic.config or {})
            )

        return self._each("create_topics", by_name, create)

    def create_partitions(self, asked: Iterable[Any], **_: Any) -> dict[str, Future[Any]]:
        by_name = {one.topic: one.new_total_count for one in asked}

        def grow(name: str) -> None:
            records = self._topic(name).records
            records.extend([] for _ in range(by_name[name] - len(records)))

        return self._each("create_partitions", by_name, grow)

    def delete_topics(self, names: Iterable[str], **_: Any) -> dict[str, Future[Any]]:
        def delete(name: str) -> None:
            self._topic(name)
            del self.kafka.topics[name]

        return self._each("delete_topics", names, delete)

    def describe_configs(self, resources: Iterable[Any], **_: Any) -> dict[Any, Future[Any]]:
        by_name = {resource.name: resource for resource in resources}

        def described(name: str) -> Any:
            if by_name[name].restype == ResourceType.GROUP:
                config = GROUP_DEFAULTS | self.kafka.group_configs.get(name, {})
            else:
                config = {**DEFAULTS, **self._topic(name).config}
            dynamic = {} if name not in self.kafka.topics else self.kafka.topics[name].config
            return {
                key: SimpleNamespace(value=value, source=1 if key in dynamic else 5)
                for key, value in config.items()
            }

        answers = self._each("describe_configs", by_name, described)
        return {by_name[name]: future for name, future in answers.items()}

    def incremental_alter_configs(self, resources: Iterable[Any], **_: Any) -> dict[Any, Any]:
        by_name = {resource.name: resource for resource in resources}

        def alter(name: str) -> None:
            for entry in by_name[name].incremental_configs:
                if by_name[name].restype != ResourceType.GROUP:
                    self._topic(name).config[entry.name] = entry.value
                elif entry.value is None:
                    self.kafka.group_configs[name].pop(entry.name)
                elif int(entry.value) < self.kafka.shortest_session:
                    raise _error(KafkaError.INVALID_CONFIG, f"{entry.name} must be greater than …")
                else:
                    self.kafka.group_configs.setdefault(name, {})[entry.name] = entry.value

        answers = self._each("alter_configs", by_name, alter)
        return {by_name[name]: future for name, future in answers.items()}

    def list_offsets(self, asked: Mapping[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        by_name = {f"{at.topic}/{at.partition}": (at, spec) for at, spec in asked.items()}
        earliest = "EarliestSpec"

        def offset(name: str) -> Any:
            at, spec = by_name[name]
            topic = self._topic(at.topic)
            which = "first" if type(spec).__name__ == earliest else "end"
            if code := self.kafka.refuse.get((which, name)):
                raise _error(code)
            start, end = topic.starts.get(at.partition, 0), len(topic.records[at.partition])
            return SimpleNamespace(offset=start if which == "first" else end)

        answers = self._each("list_offsets", by_name, offset)
        return {by_name[name][0]: future for name, future in answers.items()}

    def _topic(self, name: str) -> FakeTopic:
        if name not in self.kafka.topics:
            raise _error(KafkaError.UNKNOWN_TOPIC_OR_PART)
        return self.kafka.topics[name]

    def _each(
        self, request: str, names: Iterable[str], answer: Callable[[str], Any]
    ) -> dict[str, Future[Any]]:
        self.kafka.asked(request)
        futures = {}
        for name in names:
            future: Future[Any] = Future()
            try:
                if self.kafka.down:
                    raise _error(TIMED_OUT, "Failed while waiting for controller: Timed out")
                if code := self.kafka.refuse.get((request, name)):
                    raise _error(code)
                future.set_result(answer(name))
            except KafkaException as error:
                future.set_exception(error)
            futures[name] = future
        return futures


class FakeGroups(GroupOffsets):
    """Committed offsets, as kafka-python's client reads and sets them."""

    def __init__(self, kafka: FakeKafka, connection: KafkaConnection) -> None:
        super().__init__(connection, request_seconds=1)
        self.kafka = kafka

    def fetch(
        self, groups: Mapping[str, Iterable[Partition]]
    ) -> dict[str, dict[Partition, Committed] | str]:
        self.kafka.open.add(self)
        self.kafka.asked("fetch_group_offsets")
        answers: dict[str, dict[Partition, Committed] | str] = {}
        for group, wanted in groups.items():
            if ("committed", group) in self.kafka.refuse:
                answers[group] = "GroupAuthorizationFailedError"
                continue
            known = self.kafka.groups.get(group, {})
            answers[group] = {at: Committed(known[at], "") for at in wanted if at in known}
        return answers

    def put(self, group: str, offsets: Mapping[Partition, int]) -> None:
        self.kafka.asked("put_group_offsets")
        if group in self.kafka.members:
            raise OffsetsError(f"group {group} does not take offsets (UnknownMemberIdError)")
        self.kafka.groups.setdefault(group, {}).update(offsets)

    def rebalancing(self) -> set[str]:
        self.kafka.asked("list_groups")
        return set() if self.kafka.down else self.kafka.rebalancing

    def close(self) -> None:
        self.kafka.closed(self, "groups")


class FakeConsumer:
    """confluent_kafka.Consumer, as far as a probe uses it."""

    def __init__(self, kafka: FakeKafka) -> None:
        self.kafka = kafka
        self.waiting: list[Any] = []
        kafka.open.add(self)

    def assign(self, positions: Iterable[Any]) -> None:
        self.kafka.asked("fetch")
        for at in positions:
            topic = self.kafka.topics[at.topic]
            own = topic.config.get("message.timestamp.type") == "LogAppendTime"
            kind = TIMESTAMP_LOG_APPEND_TIME if own else TIMESTAMP_CREATE_TIME
            stamps = [one for one in topic.records[at.partition][at.offset :] if one is not None]
            self.waiting.append(_Message(at, (kind, int(stamps[0] * 1000)) if stamps else None))

    def poll(self, timeout: float) -> Any:
        return self.waiting.pop(0) if self.waiting else None

    def unassign(self) -> None:
        self.waiting.clear()

    def close(self) -> None:
        self.kafka.closed(self, "consumer")


class _Message:
    """A record with its timestamp, or the end of the partition."""

    def __init__(self, at: Any, stamp: tuple[int, int] | None) -> None:
        self._at, self._stamp = at, stamp

    def topic(self) -> str:
        return str(self._at.topic)

    def partition(self) -> int:
        return int(self._at.partition)

    def timestamp(self) -> tuple[int, int] | None:
        return self._stamp

    def error(self) -> KafkaError | None:
        return KafkaError(KafkaError._PARTITION_EOF) if self._stamp is None else None


def _error(code: int, text: str = "") -> KafkaException:
    return KafkaException(KafkaError(code, text) if text else KafkaError(code))


def refused_by(server: str) -> KafkaError:
    """What librdkafka reports of a port that nobody listens on."""
    return KafkaError(
        TRANSPORT,
        f"{server}/bootstrap: Connect to ipv4#{server} failed: Connection refused "
        "(after 0ms in state CONNECT)",
    )


def unresolved(server: str) -> KafkaError:
    """What librdkafka reports of a host name that does not resolve."""
    return KafkaError(
        RESOLVE,
        f"{server}/bootstrap: Failed to resolve '{server}': Name or service not known "
        "(after 0ms in state CONNECT)",
    )
