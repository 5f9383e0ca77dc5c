"""The one door to Kafka's admin API: topics are created, grown, configured, checked and deleted.

Never shrunk, never deleted unless asked. What a broker refuses becomes the condition's reason.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
    TopicDescription,
)

from textmod_operator import metrics
from textmod_operator.errors import TopicsNotReady
from textmod_operator.state import KafkaConnection, Topic, TopicSeen

REQUEST_SECONDS: Final = 6.0
"""An admin request that takes longer counts as Kafka being unreachable."""
LISTED_SECONDS: Final = 15.0
"""A list of all topics counts for so long; one is read every ten seconds."""
SETTLE_SECONDS: Final = 5.0
"""A created or grown topic reaches every broker's metadata well within this."""

_UNREACHABLE: Final = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001 - librdkafka's local codes are named so
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_CONTROLLER,
    }
)
_UNAUTHENTICATED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
_UNAUTHORIZED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)


class KafkaAdmin:
    """The topics of one Kafka cluster, over one client. Thread-safe.

    Every method raises `TopicsNotReady` with the reason when the brokers can't be reached, don't
    know us, or refuse.
    """

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._last_error: KafkaError | None = None
        self._listed: dict[str, Shape] = {}
        self._listed_at = -math.inf
        config: dict[str, Any] = {
            **connection.librdkafka(),
            "client.id": "textmod-operator",
            "error_cb": self._note_error,
            "log_level": 0,  # what it would print comes to us as an error, with its code
            "socket.timeout.ms": int(REQUEST_SECONDS * 1000),
            "socket.connection.setup.timeout.ms": 5000,
            "topic.metadata.refresh.interval.ms": -1,
        }
        self._client = AdminClient(config)

    def ensure(self, topics: Iterable[Topic]) -> tuple[TopicSeen, ...]:
        """Makes the topics as asked, or says which is not and why.

        Returns:
            The topics in the order given, as the brokers have them now.
        """
        asked = tuple(topics)
        seen = self._as_listed(asked) or self._describe([topic.name for topic in asked])
        missing = [topic for topic in asked if topic.name not in seen]
        created = self._create(missing)
        growing = [topic for topic in asked if _grows(topic, seen.get(topic.name))]
        self._grow(growing)
        if created or growing:
            seen = self._settled(asked)
        for topic in asked:
            _check(topic, seen[topic.name])
        self._configure(asked)
        return tuple(
            TopicSeen(
                topic.role,
                topic.name,
                seen[topic.name].partitions,
                seen[topic.name].replication_factor,
                created=topic.name in created,
            )
            for topic in asked
        )

    def partitions(self) -> dict[str, int]:
        """Number of partitions of every topic that we may see, in one request for all of them.

        `ensure` goes by the same list for a moment, and asks only after what is not as asked there.
        """
        metrics.KAFKA_REQUESTS.labels("list_topics").inc()
        try:
            listed = self._client.list_topics(timeout=REQUEST_SECONDS).topics
        except KafkaException as exception:
            raise self._problem(exception.args[0], "listing the topics") from exception
        self._listed = {
            name: _shape(list(topic.partitions.values())) for name, topic in listed.items()
        }
        self._listed_at = time.monotonic()
        return {name: shape.partitions for name, shape in self._listed.items()}

    def delete(self, names: Iterable[str]) -> None:
        """Deletes topics; those that are not there count as deleted."""
        wanted = list(names)
        if not wanted:
            return
        self._listed = {name: shape for name, shape in self._listed.items() if name not in wanted}
        metrics.KAFKA_REQUESTS.labels("delete_topics").inc()
        for name, future in self._client.delete_topics(
            wanted, operation_timeout=REQUEST_SECONDS, request_timeout=REQUEST_SECONDS
        ).items():
            self._result(future, f"deleting topic {name}", KafkaError.UNKNOWN_TOPIC_OR_PART)

    # --- steps ------------------------------------------------------------------------------

    def _as_listed(self, topics: tuple[Topic, ...]) -> dict[str, Shape]:
        """The topics by the last list, if that is fresh and they are as asked there; else none."""
        if time.monotonic() > self._listed_at + LISTED_SECONDS:
            return {}
        seen = {topic.name: self._listed.get(topic.name) for topic in topics}
        known = {name: shape for name, shape in seen.items() if shape is not None}
        if len(known) < len(topics) or any(_grows(topic, known[topic.name]) for topic in topics):
            return {}
        return known

    def _describe(self, names: list[str]) -> dict[str, Shape]:
        metrics.KAFKA_REQUESTS.labels("describe_topics").inc()
        futures = self._client.describe_topics(
            TopicCollection(names), request_timeout=REQUEST_SECONDS
        )
        found: dict[str, TopicDescription | None] = {
            name: self._result(future, f"describing topic {name}", KafkaError.UNKNOWN_TOPIC_OR_PART)
            for name, future in futures.items()
        }
        return {
            name: _shape(description.partitions)
            for name, description in found.items()
            if description is not None
        }

    def _create(self, topics: list[Topic]) -> set[str]:
        for topic in topics:
            if not topic.create:
                raise TopicsNotReady(
                    "TopicMissing",
                    f"topic {topic.name} does not exist and topics.management is Existing: create "
                    "it, or set topics.management to Managed",
                )
        if not topics:
            return set()
        metrics.KAFKA_REQUESTS.labels("create_topics").inc()
        futures = self._client.create_topics(
            [
                NewTopic(
                    topic.name,
                    num_partitions=topic.partitions,
                    replication_factor=topic.replication_factor or -1,
                    config=dict(topic.config),
                )
                for topic in topics
            ],
            operation_timeout=REQUEST_SECONDS,
            request_timeout=REQUEST_SECONDS,
        )
        return {
            name
            for name, future in futures.items()
            if self._result(future, f"creating topic {name}", KafkaError.TOPIC_ALREADY_EXISTS)
            is not _ALLOWED
        }

    def _grow(self, topics: list[Topic]) -> None:
        if not topics:
            return
        metrics.KAFKA_REQUESTS.labels("create_partitions").inc()
        futures = self._client.create_partitions(
            [NewPartitions(topic.name, topic.partitions) for topic in topics],
            operation_timeout=REQUEST_SECONDS,
            request_timeout=REQUEST_SECONDS,
        )
        for name, future in futures.items():
            self._result(future, f"adding partitions to topic {name}")

    def _settled(self, topics: tuple[Topic, ...]) -> dict[str, Shape]:
        """The topics once every change has reached the broker that answers."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            seen = self._describe([topic.name for topic in topics])
            behind = [
                topic.name
                for topic in topics
                if topic.name not in seen or _grows(topic, seen[topic.name])
            ]
            if not behind:
                return seen
            if time.monotonic() > deadline:
                raise TopicsNotReady(
                    "KafkaUnreachable",
                    f"the brokers do not show {', '.join(behind)} yet, {SETTLE_SECONDS:.0f} s "
                    "after the change: look at the brokers' logs",
                )
            time.sleep(0.02)

    def _configure(self, topics: tuple[Topic, ...]) -> None:
        """Brings the named settings, and only those, to their values."""
        configured = {topic.name: topic for topic in topics if topic.config}
        if not configured:
            return
        metrics.KAFKA_REQUESTS.labels("describe_configs").inc()
        futures = self._client.describe_configs(
            [ConfigResource(ResourceType.TOPIC, name) for name in configured],
            request_timeout=REQUEST_SECONDS,
        )
        changes = []
        for resource, future in futures.items():
            topic = configured[resource.name]
            live = self._result(future, f"reading the config of topic {resource.name}") or {}
            drifted = {
                key: value
                for key, value in topic.config.items()
                if key not in live or live[key].value != value
            }
            if drifted and not topic.create:
                raise TopicsNotReady(
                    "ConfigDrift",
                    f"topic {topic.name} has another {', '.join(sorted(drifted))} than asked and "
                    "topics.management is Existing: change the topic, or the object",
                )
            if drifted:
                changes.append(_set_config(topic.name, drifted))
        if changes:
            metrics.KAFKA_REQUESTS.labels("alter_configs").inc()
            for resource, future in self._client.incremental_alter_configs(
                changes, request_timeout=REQUEST_SECONDS
            ).items():
                self._result(future, f"setting the config of topic {resource.name}")

    # --- errors -----------------------------------------------------------------------------

    def _note_error(self, error: KafkaError) -> None:
        self._last_error = error

    def _result(self, future: Future[Any], doing: str, allowed: int | None = None) -> Any:  # noqa: ANN401
        """The future's result; `_ALLOWED` when it failed with the error code that is allowed."""
        try:
            return future.result(REQUEST_SECONDS * 2)
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() == allowed:
                return _ALLOWED if allowed == KafkaError.TOPIC_ALREADY_EXISTS else None
            raise self._problem(error, doing) from exception
        except TimeoutError as exception:
            metrics.KAFKA_ERRORS.inc()
            raise self._unreachable(doing, "no answer") from exception

    def _problem(self, error: KafkaError, doing: str) -> TopicsNotReady:
        metrics.KAFKA_ERRORS.inc()
        code = error.code()
        if code in _UNREACHABLE:
            # A refused login only shows as a time-out here; the client itself was told why.
            self._client.poll(0)
            noted = self._last_error
            if noted is not None and noted.code() in _UNAUTHENTICATED:
                error, code = noted, noted.code()
        if code in _UNAUTHENTICATED:
            return TopicsNotReady(
                "AuthenticationFailed",
                f"Kafka at {self._connection.bootstrap_servers} refused the login: "
                f"{error.str()}; check spec.kafka.sasl, spec.kafka.tls and their Secrets",
            )
        if code in _UNAUTHORIZED:
            return TopicsNotReady(
                "AuthorizationFailed",
                f"{doing}: {error.str()}; allow it to user "
                f"{self._connection.sasl_username or 'of the client certificate'}",
            )
        if code == KafkaError.INVALID_REPLICATION_FACTOR:
            return TopicsNotReady(
                "ReplicationFactorTooHigh",
                f"{doing}: {error.str()}; lower replicationFactor, or add brokers",
            )
        if code in (KafkaError.INVALID_CONFIG, KafkaError.POLICY_VIOLATION):
            return TopicsNotReady("ConfigDrift", f"{doing}: {error.str()}; mend topics.*.config")
        if code in _UNREACHABLE:
            return self._unreachable(doing, error.str())
        return TopicsNotReady("KafkaUnreachable", f"{doing}: {error.str()}")

    def _unreachable(self, doing: str, why: str) -> TopicsNotReady:
        return TopicsNotReady(
            "KafkaUnreachable",
            f"{doing} at {self._connection.bootstrap_servers}: {why}; check "
            "spec.kafka.bootstrapServers and that the brokers run and can be reached from here",
        )


_ALLOWED: Final = object()


@dataclass(frozen=True)
class Shape:
    """A topic as the brokers have it."""

    partitions: int
    replication_factor: int


def _shape(partitions: Sequence[Any]) -> Shape:
    """Of a topic's partitions, as either request returns them."""
    return Shape(len(partitions), min((len(one.replicas) for one in partitions), default=0))


def _grows(topic: Topic, seen: Shape | None) -> bool:
    return seen is not None and topic.create and seen.partitions < topic.partitions


def _check(topic: Topic, seen: Shape) -> None:
    """What can't or may not be changed by us must be as asked already."""
    partitions = seen.partitions
    if topic.exact and partitions > topic.partitions:
        raise TopicsNotReady(
            "PartitionsCannotShrink",
            f"topic {topic.name} has {partitions} partitions and {topic.partitions} are asked: "
            f"set partitions to {partitions}, Kafka can't remove any",
            retry=False,
        )
    if topic.exact and partitions < topic.partitions:
        raise TopicsNotReady(
            "ConfigDrift",
            f"topic {topic.name} has {partitions} partitions and {topic.partitions} are asked, and "
            "topics.management is Existing: add partitions to the topic, or change the object",
        )
    factor = seen.replication_factor
    if topic.replication_factor is not None and factor != topic.replication_factor:
        raise TopicsNotReady(
            "ConfigDrift",
            f"topic {topic.name} has {factor} replicas of each partition and "
            f"{topic.replication_factor} are asked: reassign its partitions, or change the object",
        )


def _set_config(name: str, config: dict[str, str]) -> ConfigResource:
    return ConfigResource(
        ResourceType.TOPIC,
        name,
        incremental_configs=[
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ],
    )


class KafkaAdmins:
    """One `KafkaAdmin` per connection, shared by all objects that use it. Thread-safe."""

    def __init__(self, make: Callable[[KafkaConnection], KafkaAdmin] = KafkaAdmin) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._admins: dict[KafkaConnection, KafkaAdmin] = {}

    def to(self, connection: KafkaConnection) -> KafkaAdmin:
        """The client of this connection."""
        with self._lock:
            if connection not in self._admins:
                self._admins[connection] = self._make(connection)
            return self._admins[connection]

    def keep_only(self, connections: set[KafkaConnection]) -> None:
        """Lets go of the clients that no object uses any more."""
        with self._lock:
            for connection in self._admins.keys() - connections:
                del self._admins[connection]
