"""Kafka's admin API: topics are created, grown, configured, checked and deleted.

Never shrunk, never deleted unless asked and on record as ours by their topic id. What a broker
refuses becomes the condition's reason.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
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
from textmod_operator.kafka.connection import (
    REQUEST_SECONDS,
    Causes,
    client_config,
    no_token,
    problem,
    unreachable,
    words,
)
from textmod_operator.kafka.tokens import TokenError, ask_aws
from textmod_operator.kafka.topic_rules import check_live, check_shape, warnings
from textmod_operator.state import KafkaConnection, Topic, TopicSeen

LISTED_SECONDS: Final = 15.0
"""A list of all topics counts for so long; one is read every ten seconds."""
SETTLE_SECONDS: Final = 5.0
"""A created or grown topic reaches every broker's metadata well within this."""
CONFIG_SECONDS: Final = 300.0
"""The settings of a topic that the object names none of are read this often."""

Owned = Mapping[str, str]
"""Name → topic id of the topics that the object has on record as its own; an empty id: it was about
to create the topic, or the brokers have no topic ids."""


class KafkaAdmin:
    """The topics of one Kafka cluster, over one client. Thread-safe.

    Every method raises `TopicsNotReady` with the reason when the brokers can't be reached, don't
    know us, or refuse.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        make_client: Callable[[dict[str, Any]], AdminClient] = AdminClient,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._sleep = sleep
        self._causes = Causes(connection)
        self._listed: dict[str, Shape] = {}
        self._listed_at = -math.inf
        self._ids: dict[str, str] = {}
        self._configs: dict[str, tuple[float, dict[str, str]]] = {}
        """Topic → when its settings were read, and what they were."""
        config = {
            **client_config(connection, "textmod-operator"),
            "topic.metadata.refresh.interval.ms": -1,  # the topics are listed anyway
        }
        _require_aws(connection)
        try:
            self._client = make_client({**config, "error_cb": self._causes.note})
        except KafkaException as exception:
            raise unreachable("making a Kafka client", words(exception)) from exception

    def ensure(
        self,
        topics: Iterable[Topic],
        owned: Owned | None = None,
        record: Callable[[list[str]], None] = lambda _: None,
    ) -> tuple[TopicSeen, ...]:
        """Make the topics as asked, or raise which one is not and why.

        Args:
            topics: what is asked.
            owned: the topics that the object has on record as created by it.
            record: called with the names of the topics that are about to be created; it puts them
                on record as owned, so that none is left behind when the process ends here. Called
                again, with those that may exist now, when the brokers refuse some.

        Returns:
            The topics in the order given, as the brokers have them now.
        """
        asked = tuple(topics)
        on_record = dict(owned or {})
        seen = self._as_listed(asked) or self._describe([topic.name for topic in asked])
        missing = [topic for topic in asked if topic.name not in seen]
        _refuse_unmanaged(missing)
        if missing:
            record([topic.name for topic in missing])
            result = self._create(missing)
            if result.problem is not None:
                record(sorted(result.created | result.doubtful))  # the others are not ours
                raise result.problem
            on_record |= dict.fromkeys(result.created, "")
        growing = [topic for topic in asked if _grows(topic, seen.get(topic.name))]
        self._grow(growing)
        if missing or growing:
            seen = self._settled(asked)
        for topic in asked:
            check_shape(topic, seen[topic.name].partitions, seen[topic.name].replication_factor)
        live = self._configure(asked)
        for topic in asked:
            check_live(topic, seen[topic.name].replication_factor, live.get(topic.name, {}))
        return tuple(
            TopicSeen(
                topic.role,
                topic.name,
                seen[topic.name].partitions,
                seen[topic.name].replication_factor,
                created=_is_ours(seen[topic.name], on_record.get(topic.name)),
                topic_id=seen[topic.name].topic_id,
                warnings=warnings(topic, live.get(topic.name, {})),
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
        self._causes.clear()
        self._listed = {
            name: _shape(list(topic.partitions.values()), self._ids.get(name, ""))
            for name, topic in listed.items()
        }
        self._ids = {name: one for name, one in self._ids.items() if name in self._listed}
        self._listed_at = self._clock()
        return {name: shape.partitions for name, shape in self._listed.items()}

    def delete(self, owned: Owned) -> None:
        """Delete the topics that are still the ones on record, by topic id; those that are not
        there count as deleted, and what has another id was made by somebody else."""
        if not owned:
            return
        found = self._describe(list(owned))
        wanted = [name for name, shape in found.items() if _is_ours(shape, owned[name])]
        if not wanted:
            return
        self._listed = {name: shape for name, shape in self._listed.items() if name not in wanted}
        metrics.KAFKA_REQUESTS.labels("delete_topics").inc()
        for name, future in self._client.delete_topics(
            wanted, operation_timeout=REQUEST_SECONDS, request_timeout=REQUEST_SECONDS
        ).items():
            self._result(future, f"deleting topic {name}", KafkaError.UNKNOWN_TOPIC_OR_PART)

    def close(self) -> None:
        """Close the connections, even while an error's frames still hold this object. Nothing may
        be asked afterwards."""
        vars(self).pop("_client", None)

    # --- steps ------------------------------------------------------------------------------

    def _as_listed(self, topics: tuple[Topic, ...]) -> dict[str, Shape]:
        """The topics by the last list, if that is fresh and they are as asked there; else none."""
        if self._clock() > self._listed_at + LISTED_SECONDS:
            return {}
        seen = {topic.name: self._listed.get(topic.name) for topic in topics}
        known = {
            name: shape for name, shape in seen.items() if shape is not None and name in self._ids
        }
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
        shapes = {
            name: _shape(description.partitions, str(description.topic_id or ""))
            for name, description in found.items()
            if description is not None
        }
        self._ids.update({name: shape.topic_id for name, shape in shapes.items()})
        return shapes

    def _create(self, topics: list[Topic]) -> _Created:
        metrics.KAFKA_REQUESTS.labels("create_topics").inc()
        futures = self._client.create_topics(
            [
                NewTopic(
                    topic.name,
                    num_partitions=topic.partitions,
                    replication_factor=topic.replication_factor or -1,
                    config={**topic.creation_config, **topic.config},
                )
                for topic in topics
            ],
            operation_timeout=REQUEST_SECONDS,
            request_timeout=REQUEST_SECONDS,
        )
        result = _Created()
        for name, future in futures.items():
            try:
                answer = self._result(
                    future, f"creating topic {name}", KafkaError.TOPIC_ALREADY_EXISTS
                )
            except TopicsNotReady as refused:
                result.problem = result.problem or refused
                if refused.reason == "KafkaUnreachable":
                    result.doubtful.add(name)
            else:
                if answer is not _ALLOWED:
                    result.created.add(name)
        return result

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
        deadline = self._clock() + SETTLE_SECONDS
        while True:
            seen = self._describe([topic.name for topic in topics])
            behind = [
                topic.name
                for topic in topics
                if topic.name not in seen or _grows(topic, seen[topic.name])
            ]
            if not behind:
                return seen
            if self._clock() > deadline:
                raise TopicsNotReady(
                    "KafkaUnreachable",
                    f"the brokers do not show {', '.join(behind)} yet, {SETTLE_SECONDS:.0f} s "
                    "after the change: look at the brokers' logs",
                )
            self._sleep(0.02)

    def _configure(self, topics: tuple[Topic, ...]) -> dict[str, dict[str, str]]:
        """Bring the named settings, and only those, to their values; returns the settings of every
        topic as they are then, where they may be read."""
        by_name = {topic.name: topic for topic in topics}
        live = self._live_configs(topics)
        changes = {}
        for name, topic in by_name.items():
            drifted = {
                key: value
                for key, value in topic.config.items()
                if live.get(name, {}).get(key) != value
            }
            if drifted and not topic.create:
                raise TopicsNotReady(
                    "ConfigDrift",
                    f"topic {name} has another {', '.join(sorted(drifted))} than asked and "
                    "topics.management is Existing: change the topic, or the object",
                )
            if drifted:
                changes[name] = drifted
        if changes:
            metrics.KAFKA_REQUESTS.labels("alter_configs").inc()
            for resource, future in self._client.incremental_alter_configs(
                [_set_config(name, drifted) for name, drifted in changes.items()],
                request_timeout=REQUEST_SECONDS,
            ).items():
                self._result(future, f"setting the config of topic {resource.name}")
            for name, drifted in changes.items():
                live[name] = {**live.get(name, {}), **drifted}
        return live

    def _live_configs(self, topics: tuple[Topic, ...]) -> dict[str, dict[str, str]]:
        """The settings of the topics: read now where the object names some, else at times, and
        then only where we may."""
        now = self._clock()
        known = {
            topic.name: self._configs[topic.name][1]
            for topic in topics
            if not topic.config
            and topic.name in self._configs
            and now - self._configs[topic.name][0] < CONFIG_SECONDS
        }
        wanted = {topic.name: topic for topic in topics if topic.name not in known}
        if not wanted:
            return known
        metrics.KAFKA_REQUESTS.labels("describe_configs").inc()
        futures = self._client.describe_configs(
            [ConfigResource(ResourceType.TOPIC, name) for name in wanted],
            request_timeout=REQUEST_SECONDS,
        )
        for resource, future in futures.items():
            name = resource.name
            try:
                entries = self._result(future, f"reading the config of topic {name}")
            except TopicsNotReady as refused:
                if wanted[name].config or refused.reason != "AuthorizationFailed":
                    raise
                entries = {}
            known[name] = {key: entry.value for key, entry in (entries or {}).items()}
            self._configs[name] = (now, known[name])
        return known

    # --- errors -----------------------------------------------------------------------------

    def _result(self, future: Future[Any], doing: str, allowed: int | None = None) -> Any:  # noqa: ANN401
        """The future's result; `_ALLOWED` when it failed with the error code that is allowed."""
        try:
            result = future.result(REQUEST_SECONDS * 2)
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() == allowed:
                return _ALLOWED if allowed == KafkaError.TOPIC_ALREADY_EXISTS else None
            raise self._problem(error, doing) from exception
        except TimeoutError as exception:
            metrics.KAFKA_ERRORS.inc()
            raise unreachable(doing, self._causes.sentence()) from exception
        self._causes.clear()
        return result

    def _problem(self, error: KafkaError, doing: str) -> TopicsNotReady:
        metrics.KAFKA_ERRORS.inc()
        self._client.poll(0)  # hands the client's own errors to error_cb
        return problem(self._connection, error, doing, self._causes)


def _require_aws(connection: KafkaConnection) -> None:
    """Ask for a token before the client does, which then waits ten seconds and keeps the reason."""
    if connection.aws_region is None:
        return
    try:
        ask_aws(connection.aws_region)
    except TokenError as error:
        raise no_token(connection, str(error)) from error


_ALLOWED: Final = object()


@dataclass(frozen=True)
class Shape:
    """A topic as the brokers have it."""

    partitions: int
    replication_factor: int
    topic_id: str
    """Empty when it is not known, or the brokers have none (before Kafka 2.8)."""


@dataclass
class _Created:
    """What came of creating topics; one that existed already is in neither set."""

    created: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    """Without an answer: they may have been created, or may still be."""
    problem: TopicsNotReady | None = None


_NO_ID: Final = frozenset({"", "AAAAAAAAAAAAAAAAAAAAAA"})
"""The second is Kafka's Uuid of zeros."""


def _shape(partitions: Sequence[Any], topic_id: str) -> Shape:
    """Of a topic's partitions, as either request returns them."""
    factor = min((len(one.replicas) for one in partitions), default=0)
    return Shape(len(partitions), factor, "" if topic_id in _NO_ID else topic_id)


def _is_ours(shape: Shape, recorded: str | None) -> bool:
    """Whether a topic is the one on record: by its id, or by its name where there is no id."""
    return recorded is not None and (recorded == shape.topic_id or "" in (recorded, shape.topic_id))


def _grows(topic: Topic, seen: Shape | None) -> bool:
    return seen is not None and topic.create and seen.partitions < topic.partitions


def _refuse_unmanaged(missing: list[Topic]) -> None:
    for topic in missing:
        if not topic.create:
            raise TopicsNotReady(
                "TopicMissing",
                f"topic {topic.name} does not exist and topics.management is Existing: create "
                "it, or set topics.management to Managed",
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
