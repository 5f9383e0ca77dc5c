"""What the demo sees of the stream in Kafka: live, and counted afterwards."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import ConsumerGroupTopicPartitions as GroupPartitions
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from textmod_dev.demo_decisions import Decisions
from textmod_dev.errors import LocalClusterError

LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Topics:
    """The three topics of a TextModeration and the group that reads the first."""

    input: str
    output: str
    dead_letter: str
    group: str


@dataclass
class Reading:
    """What the live reader has seen; written by its thread, read by the view."""

    verdicts: int = 0
    dead_letters: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    """When each verdict came, monotonic seconds."""
    last: deque[str] = field(default_factory=lambda: deque(maxlen=6))
    decisions: Decisions = field(default_factory=Decisions)


class LiveReader:
    """Reads verdicts and dead letters in a thread, timing each against its comment.

    Use as a context manager; `reading` stays afterwards.

    A verdict's header has the timestamp of the comment that it answers. The time from there to here
    is what a consumer of verdicts waits for: from the producer's call to the verdict in our hands.
    """

    def __init__(self, bootstrap_servers: str, topics: Topics) -> None:
        self.reading = Reading()
        self._servers = bootstrap_servers
        self._topics = topics
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="verdicts")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        with _reader(self._servers, self._topics.output, self._topics.dead_letter) as consumer:
            while not self._over.is_set():
                for message in consumer.consume(500, timeout=0.2):
                    self._take(message)

    def _take(self, message: Message) -> None:
        if message.error() is not None:
            return  # the next poll tries again; what is missing shows in the count
        value = (message.value() or b"").decode(errors="replace")
        if message.topic() == self._topics.dead_letter:
            self.reading.dead_letters += 1
            reason = _headers(message).get("textmod.error.reason", "?")
            self.reading.last.append(f"dead letter: {reason}")
            return
        self.reading.verdicts += 1
        self.reading.arrivals.append(time.monotonic())
        self.reading.latencies_ms.append(time.time() * 1000 - _sent_ms(message))
        self.reading.last.append(value)
        self.reading.decisions.take(_headers(message).get("ce_id", ""), value)


class Meter:
    """How much has come in, and how much of it nobody has read."""

    def __init__(self, bootstrap_servers: str, topics: Topics) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        self._topics = topics

    def read(self) -> tuple[int, int | None]:
        """Comments sent, and the lag from committed offsets as any lag exporter sees it.

        The lag is None when the group's offsets cannot be read now.

        Raises:
            KafkaException: the brokers do not answer.
        """
        ends = _ends(self._admin, self._topics.input)
        request = GroupPartitions(self._topics.group)
        try:
            committed = self._admin.list_consumer_group_offsets([request], request_timeout=5)
            positions = committed[self._topics.group].result(5).topic_partitions
        except KafkaException:
            return sum(ends.values()), None
        read = {p.partition: max(0, p.offset) for p in positions if p.topic == self._topics.input}
        lag = sum(max(0, end - read.get(partition, 0)) for partition, end in ends.items())
        return sum(ends.values()), lag


@dataclass(frozen=True)
class Count:
    """The books after the stream: every comment in, and what became of it."""

    comments_in: int
    verdicts: int
    dead_letters: int
    lost: int
    duplicates: int


def count(bootstrap_servers: str, topics: Topics) -> Count:
    """Counts everything from the topics themselves, from their beginning to their end.

    Each verdict and dead letter names the input it answers, as ``topic/partition/offset``. A
    comment that nothing names is lost; a name that comes twice is a duplicate, and only its first
    counts as a verdict or a dead letter.

    Raises:
        LocalClusterError: the topics cannot be read to their end.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    inputs = {
        f"{topics.input}/{partition}/{offset}"
        for partition, end in _ends(admin, topics.input).items()
        for offset in range(end)
    }
    verdicts: set[str] = set()
    dead: set[str] = set()
    total = 0
    for message in _everything(bootstrap_servers, admin, [topics.output, topics.dead_letter]):
        headers = _headers(message)
        total += 1
        if message.topic() == topics.output:
            verdicts.add(headers.get("ce_id", "?"))
        else:
            parts = (headers.get(f"textmod.error.{part}", "?") for part in ("topic", "partition"))
            dead.add("/".join([*parts, headers.get("textmod.error.offset", "?")]))
    return Count(
        comments_in=len(inputs),
        verdicts=len(verdicts),
        dead_letters=len(dead - verdicts),
        lost=len(inputs - verdicts - dead),
        duplicates=total - len(verdicts | dead),
    )


def comment(bootstrap_servers: str, place: str) -> str | None:
    """The text of the comment at `topic/partition/offset`; None if it can't be read."""
    topic, partition, offset = place.rsplit("/", 2)
    with _reader(bootstrap_servers, topic) as consumer:
        consumer.assign([TopicPartition(topic, int(partition), int(offset))])
        message = consumer.poll(10)
    if message is None or message.error() is not None:
        return None
    try:
        return str(json.loads(message.value() or b"")["body"])
    except (ValueError, KeyError, TypeError):
        return None


def _ends(admin: AdminClient, topic: str) -> dict[int, int]:
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    latest = {TopicPartition(topic, number): LATEST for number in partitions}
    futures = admin.list_offsets(latest, request_timeout=10)
    return {place.partition: future.result(10).offset for place, future in futures.items()}


def _everything(bootstrap: str, admin: AdminClient, names: list[str]) -> Iterator[Message]:
    ends = {
        (name, partition): end
        for name in names
        for partition, end in _ends(admin, name).items()
        if end > 0
    }
    deadline = time.monotonic() + 60
    with _reader(bootstrap, *names) as consumer:
        while ends:
            for message in consumer.consume(1000, timeout=0.5):
                if (error := message.error()) is not None:
                    raise LocalClusterError(f"Counting stopped: {error.str()}")
                yield message
            # Positions, not records: transaction markers take offsets and are never handed out.
            for place in consumer.position([TopicPartition(*key) for key in ends]):
                if place.offset >= ends[place.topic, place.partition]:
                    del ends[place.topic, place.partition]
            if time.monotonic() > deadline:
                raise LocalClusterError(f"Counting {', '.join(names)} took more than a minute.")


@contextlib.contextmanager
def _reader(bootstrap: str, *names: str) -> Iterator[Consumer]:
    """A consumer of all partitions from their beginning, that belongs to no group's books."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "textmod-demo",
            "enable.auto.commit": "false",
            "log_level": 0,  # the screen is the demo's; failures come as exceptions
            "isolation.level": "read_committed",
        }
    )
    try:
        metadata = consumer.list_topics(timeout=10).topics
        consumer.assign(
            [
                TopicPartition(name, partition, OFFSET_BEGINNING)
                for name in names
                for partition in metadata[name].partitions
            ]
        )
        yield consumer
    finally:
        consumer.close()


def _headers(message: Message) -> dict[str, str]:
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        for name, value in dict(message.headers() or []).items()
    }


def _sent_ms(message: Message) -> float:
    """When the comment of a verdict was sent, in milliseconds since the epoch.

    The topic's own time is when the verdict was written; its header has the comment's.
    """
    sent = dict(message.headers() or []).get("textmod.source.timestamp")
    if isinstance(sent, bytes):
        return datetime.fromisoformat(sent.decode()).timestamp() * 1000
    return float(message.timestamp()[1])
