"""What a lag monitor asks one Kafka cluster, in batched requests: the door to the clients.

Answers for a topic, partition or group that fail alone are sentences in place of the value. When
nothing answers at all, `TopicsNotReady` is raised with the cause, so that no further request waits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, Final, Literal, NamedTuple, Protocol

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from textmod_operator import metrics
from textmod_operator.kafka.connection import (
    REQUEST_SECONDS,
    UNAUTHENTICATED,
    UNREACHABLE,
    Causes,
    client_config,
    problem,
    unreachable,
    words,
)
from textmod_operator.kafka.offsets import Committed, GroupOffsets, Partition
from textmod_operator.kafka.requests import close_client
from textmod_operator.state import KafkaConnection

logger = logging.getLogger(__name__)

PROBE_SECONDS: Final = 3.0
"""Records are waited for at most this long, for all partitions together."""

LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]


class TopicShape(NamedTuple):
    """A topic's identity and its partition numbers, ascending."""

    topic_id: str
    partitions: tuple[int, ...]


class Missing(str):
    """Why a topic can't be read: it does not exist."""

    __slots__ = ()


class Record(NamedTuple):
    """What a probe found at a position: no record up to the end, or one.

    `arrived` is the Unix time at which the broker appended it; None when the topic keeps the
    producer's time, which says nothing about the arrival.
    """

    exists: bool
    arrived: float | None = None


class LagSource(Protocol):
    """One Kafka cluster as the lag monitor sees it; not thread-safe.

    Every method but `close` raises `TopicsNotReady` when the cluster does not answer at all.
    """

    def topics(self, names: Iterable[str]) -> Mapping[str, TopicShape | str]:
        """Return the shape of each topic; `Missing` for those that do not exist."""

    def offsets(
        self, wanted: Iterable[Partition], where: Literal["first", "end"]
    ) -> Mapping[Partition, int | str]:
        """Return the first offset or the end of each partition. What an open transaction wrote is
        left out: nobody can read it yet."""

    def committed(
        self, groups: Mapping[str, Iterable[Partition]]
    ) -> Mapping[str, Mapping[Partition, Committed] | str]:
        """Return the committed offsets of each group; partitions without one are left out."""

    def put(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Set committed offsets of a group without members; `OffsetsError` when refused."""

    def rebalancing(self) -> set[str]:
        """Return the groups that are known to rebalance now."""

    def first_records(self, positions: Mapping[Partition, int]) -> Mapping[Partition, Record]:
        """Return what is at each position. Partitions that did not answer in time are left out."""

    def close(self) -> None:
        """Close the connections. Idempotent."""


class KafkaLagSource:
    """The real one: librdkafka's admin client and consumer, and `GroupOffsets`.

    Args:
        request_seconds: bounds every request.
        make_admin, make_consumer: make librdkafka's clients from their configuration.
        groups: asks the groups' coordinators, and sets committed offsets.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        request_seconds: float = REQUEST_SECONDS,
        make_admin: Callable[[dict[str, Any]], AdminClient] = AdminClient,
        make_consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
        groups: GroupOffsets | None = None,
    ) -> None:
        self._connection = connection
        self._request_seconds = request_seconds
        self._make_admin = make_admin
        self._make_consumer = make_consumer
        self._causes = Causes(connection)
        self._admin: AdminClient | None = None
        self._groups = groups or GroupOffsets(connection, request_seconds=request_seconds)
        self._consumer: Consumer | None = None

    def topics(self, names: Iterable[str]) -> dict[str, TopicShape | str]:
        """See `LagSource`."""
        wanted = sorted(names)
        answers = self._ask(
            "describe_topics",
            lambda admin: admin.describe_topics(
                TopicCollection(wanted), request_timeout=self._request_seconds
            ),
        )
        return {
            name: _missing_or_why(answer)
            if isinstance(answer, KafkaError | str)
            else TopicShape(
                str(answer.topic_id), tuple(sorted(part.id for part in answer.partitions))
            )
            for name, answer in answers.items()
        }

    def offsets(
        self, wanted: Iterable[Partition], where: Literal["first", "end"]
    ) -> dict[Partition, int | str]:
        """One ListOffsets request per broker; see `LagSource`."""
        spec = LATEST if where == "end" else EARLIEST
        request = {TopicPartition(topic, partition): spec for topic, partition in wanted}
        if not request:
            return {}
        answers = self._ask(
            "list_offsets",
            lambda admin: admin.list_offsets(
                request,
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=self._request_seconds,
            ),
            by_any_broker=False,
        )
        return {
            (at.topic, at.partition): _why(answer)
            if isinstance(answer, KafkaError | str)
            else int(answer.offset)
            if answer.offset >= 0
            else "it has no leader"  # the client answers -1001 and no error
            for at, answer in answers.items()
        }

    def committed(
        self, groups: Mapping[str, Iterable[Partition]]
    ) -> dict[str, dict[Partition, Committed] | str]:
        """See `LagSource`."""
        return self._groups.fetch(groups)

    def put(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """See `LagSource`."""
        self._groups.put(group, offsets)

    def rebalancing(self) -> set[str]:
        """See `LagSource`."""
        return self._groups.rebalancing()

    def first_records(self, positions: Mapping[Partition, int]) -> dict[Partition, Record]:
        """See `LagSource`."""
        if self._consumer is None:
            self._consumer = self._make_consumer(
                {
                    **client_config(self._connection, "textmod-lag"),
                    "error_cb": self._causes.note,
                    "group.id": "textmod-lag",  # required by the client; never joined or committed
                    "enable.auto.commit": False,
                    "enable.partition.eof": True,
                    "isolation.level": "read_committed",
                    "auto.offset.reset": "error",
                    "queued.min.messages": 1,
                    "fetch.wait.max.ms": 50,  # report the end without waiting for more
                    "fetch.message.max.bytes": 1024,  # one record is wanted, not what follows it
                }
            )
        metrics.KAFKA_REQUESTS.labels("fetch").inc()
        found: dict[Partition, Record] = {}
        deadline = time.monotonic() + PROBE_SECONDS
        try:
            self._consumer.assign([TopicPartition(*at, offset) for at, offset in positions.items()])
            while len(found) < len(positions) and (left := deadline - time.monotonic()) > 0:
                message = self._consumer.poll(left)
                if message is None:
                    continue
                at = (str(message.topic()), int(message.partition() or 0))
                error = message.error()
                if error is None:
                    kind, stamp = message.timestamp()
                    appended = kind == TIMESTAMP_LOG_APPEND_TIME
                    found.setdefault(
                        at, Record(exists=True, arrived=stamp / 1000 if appended else None)
                    )
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    found.setdefault(at, Record(exists=False))
            self._consumer.unassign()
        except KafkaException as error:
            metrics.KAFKA_ERRORS.inc()
            logger.warning("read the next unread records: %s", words(error))
        return found

    def close(self) -> None:
        """See `LagSource`."""
        consumer, self._consumer = self._consumer, None
        admin, self._admin = self._admin, None
        with ExitStack() as each:  # one that fails to close leaves none of the others open
            each.callback(self._groups.close)
            if consumer is not None:
                each.callback(consumer.close)
            if admin is not None:
                each.callback(close_client, admin)

    def _ask(
        self,
        request: str,
        call: Callable[[AdminClient], Mapping[Any, Future[Any]]],
        *,
        by_any_broker: bool = True,
    ) -> dict[Any, Any]:
        """The answers of one batched request; a `KafkaError` or a sentence stands for a failure.

        Args:
            by_any_broker: whether any broker can answer. What only the partitions' leaders can
                may fail altogether while the cluster goes on.

        Raises:
            TopicsNotReady: all failed, and for a reason that concerns the whole cluster.
        """
        metrics.KAFKA_REQUESTS.labels(request).inc()
        doing = f"reading the lag ({request})"
        try:
            if self._admin is None:
                config = client_config(self._connection, "textmod-lag")
                self._admin = self._make_admin({**config, "error_cb": self._causes.note})
            futures = call(self._admin)
        except KafkaException as error:
            metrics.KAFKA_ERRORS.inc()
            raise unreachable(doing, words(error)) from error
        answers = {key: self._answer(future) for key, future in futures.items()}
        failures = [one for one in answers.values() if isinstance(one, KafkaError | str)]
        if not failures:
            self._causes.clear()
            return answers
        metrics.KAFKA_ERRORS.inc()
        if len(failures) < len(answers) or not all(_concerns_all(one) for one in failures):
            return answers
        if by_any_broker:
            self._admin.poll(0)  # hands the client's own errors to error_cb
            first = failures[0]
            if isinstance(first, KafkaError):
                raise problem(self._connection, first, doing, self._causes)
            raise unreachable(doing, self._causes.sentence())
        topic = next(iter(answers)).topic
        self.topics([topic])  # raises when nobody answers at all
        return answers

    def _answer(self, future: Future[Any]) -> Any:  # noqa: ANN401 - of any request
        try:
            return future.result(2 * self._request_seconds)
        except KafkaException as error:
            return error.args[0] if isinstance(error.args[0], KafkaError) else words(error)
        except TimeoutError as error:
            return words(error)


def _concerns_all(failure: KafkaError | str) -> bool:
    return isinstance(failure, str) or failure.code() in UNREACHABLE | UNAUTHENTICATED


def _why(failure: KafkaError | str) -> str:
    return failure if isinstance(failure, str) else str(failure.str()).rstrip(".")


def _missing_or_why(failure: KafkaError | str) -> str:
    if isinstance(failure, KafkaError) and failure.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return Missing(_why(failure))
    return _why(failure)
