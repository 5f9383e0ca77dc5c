"""Kafka's admin API: topics are created, grown, configured, checked and deleted.

Never shrunk, never deleted unless asked and on record as ours by their topic id. What a broker
refuses becomes the condition's reason.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AclOperation,
    AdminClient,
    NewPartitions,
    NewTopic,
)

from textmod_operator import metrics
from textmod_operator.errors import TopicsNotReady
from textmod_operator.kafka.configs import GroupConfigs, TopicConfigs
from textmod_operator.kafka.connection import (
    REQUEST_SECONDS,
)
from textmod_operator.kafka.requests import ALLOWED, AdminRequests, MakeClient, is_refusal
from textmod_operator.kafka.topic_rules import check_live, check_shape, warnings
from textmod_operator.state import KafkaConnection, Topic, TopicSeen

LISTED_SECONDS: Final = 15.0
"""A list of all topics counts for so long; one is read every ten seconds."""
SETTLE_SECONDS: Final = 5.0
"""A created or grown topic reaches every broker's metadata well within this."""
MANAGING: Final = frozenset({AclOperation.ALTER, AclOperation.ALTER_CONFIGS, AclOperation.DELETE})
"""What Strimzi may do with the topic of a KafkaTopic, whoever made that."""
_UNKNOWN_TOPIC: Final = KafkaError.UNKNOWN_TOPIC_OR_PART

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
        make_client: MakeClient = AdminClient,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._requests = AdminRequests(connection, make_client)
        self._configs = TopicConfigs(self._requests, clock)
        self._groups = GroupConfigs(self._requests, clock)
        self._clock = clock
        self._sleep = sleep
        self._listed: dict[str, Shape] = {}
        self._listed_at = -math.inf
        self._ids: dict[str, str] = {}

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
        names = [topic.name for topic in asked]
        seen = self._as_listed(names)
        if not seen or any(_grows(topic, seen[topic.name]) for topic in asked):
            seen = self._describe(names)
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
        live = self._configs.ensure(asked)
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

    def topic_ids(self, names: Iterable[str]) -> dict[str, str]:
        """Those of the topics that exist, each with its id (empty: the brokers have none)."""
        wanted = list(names)
        shapes = self._as_listed(wanted) or (self._describe(wanted) if wanted else {})
        return {name: shape.topic_id for name, shape in shapes.items()}

    def cluster_id(self) -> str:
        """The id of the cluster, by the broker that answers; empty when it has none."""
        metrics.KAFKA_REQUESTS.labels("describe_cluster").inc()
        future = self._requests.client.describe_cluster(request_timeout=REQUEST_SECONDS)
        return str(self._requests.result(future, "describing the cluster").cluster_id or "")

    def manageable(self, names: Iterable[str]) -> set[str]:
        """Those of the topics that exist and that our user may grow, configure and delete."""
        wanted = list(names)
        found = self._descriptions(wanted, include_authorized_operations=True) if wanted else {}
        return {
            name
            for name, topic in found.items()
            if MANAGING.issubset(topic.authorized_operations or ())
        }

    def partitions(self) -> dict[str, int]:
        """Number of partitions of every topic that we may see, in one request for all of them.

        `ensure` goes by the same list for a moment, and asks only after what is not as asked there.
        """
        listed = self._requests.list_topics()
        self._listed = {
            name: _shape(list(topic.partitions.values()), self._ids.get(name, ""))
            for name, topic in listed.items()
        }
        # Copied first: passes add to it in their threads.
        self._ids = {name: one for name, one in list(self._ids.items()) if name in self._listed}
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
        for name, future in self._requests.client.delete_topics(
            wanted, operation_timeout=REQUEST_SECONDS, request_timeout=REQUEST_SECONDS
        ).items():
            self._requests.result(future, f"deleting topic {name}", _UNKNOWN_TOPIC)

    def close(self) -> None:
        """Close the connections. Nothing may be asked afterwards."""
        self._requests.close()

    def ensure_group(
        self, group: str, session_seconds: int | None, before: int | None
    ) -> int | None:
        """Set how long a dead member keeps its partitions; see `GroupConfigs.ensure`."""
        return self._groups.ensure(group, session_seconds, before)

    # --- steps ------------------------------------------------------------------------------

    def _as_listed(self, names: list[str]) -> dict[str, Shape]:
        """The topics by the last list, if that is fresh and has them all; else none."""
        if self._clock() > self._listed_at + LISTED_SECONDS:
            return {}
        listed, ids = self._listed, self._ids  # the cluster's worker replaces both
        if not all(name in listed and name in ids for name in names):
            return {}
        return {name: listed[name] for name in names}

    def _describe(self, names: list[str]) -> dict[str, Shape]:
        shapes = {
            name: _shape(description.partitions, str(description.topic_id or ""))
            for name, description in self._descriptions(names).items()
        }
        self._ids.update({name: shape.topic_id for name, shape in shapes.items()})
        return shapes

    def _descriptions(self, names: list[str], **how: bool) -> dict[str, Any]:
        """Of the topics that exist, as the client has them."""
        metrics.KAFKA_REQUESTS.labels("describe_topics").inc()
        futures = self._requests.client.describe_topics(
            TopicCollection(names), request_timeout=REQUEST_SECONDS, **how
        )
        found = {
            name: self._requests.result(future, f"describing topic {name}", _UNKNOWN_TOPIC)
            for name, future in futures.items()
        }
        return {name: one for name, one in found.items() if one is not ALLOWED}

    def _create(self, topics: list[Topic]) -> _Created:
        metrics.KAFKA_REQUESTS.labels("create_topics").inc()
        futures = self._requests.client.create_topics(
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
                answer = self._requests.result(
                    future, f"creating topic {name}", KafkaError.TOPIC_ALREADY_EXISTS
                )
            except TopicsNotReady as refused:
                result.problem = result.problem or refused
                if refused.reason == "KafkaUnreachable" and not is_refusal(refused):
                    result.doubtful.add(name)
            else:
                if answer is not ALLOWED:
                    result.created.add(name)
        return result

    def _grow(self, topics: list[Topic]) -> None:
        if not topics:
            return
        metrics.KAFKA_REQUESTS.labels("create_partitions").inc()
        futures = self._requests.client.create_partitions(
            [NewPartitions(topic.name, topic.partitions) for topic in topics],
            operation_timeout=REQUEST_SECONDS,
            request_timeout=REQUEST_SECONDS,
        )
        for name, future in futures.items():
            self._requests.result(future, f"adding partitions to topic {name}")

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
                    "Creating",
                    f"the brokers do not show {', '.join(behind)} yet, {SETTLE_SECONDS:.0f} s "
                    "after the change: look at the brokers' logs",
                )
            self._sleep(0.02)


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
        if topic.management == "Strimzi":
            raise TopicsNotReady(
                "TopicMissing",
                f"topic {topic.name} does not exist although its KafkaTopic is ready: make "
                "topics.strimzi.cluster the Kafka cluster that kafka.bootstrapServers leads to",
            )
        if not topic.create:
            raise TopicsNotReady(
                "TopicMissing",
                f"topic {topic.name} does not exist and topics.management is Existing: create "
                "it, or set topics.management to Managed",
            )
