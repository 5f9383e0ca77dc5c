"""The one door to confluent_kafka: opening the clients, reading, and what its errors mean to us."""

import logging
import time
from collections.abc import Callable, Iterable
from enum import Enum, auto
from itertools import accumulate
from operator import methodcaller
from typing import Any, TypeVar, cast

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from textmod_model.errors import ConfigurationError, StreamError
from textmod_model.health import Health
from textmod_model.settings import Settings
from textmod_model.stream import kafka_config
from textmod_model.stream.judge import HeadersUnread, Message
from textmod_model.stream.speed import Speed

__all__ = ["Fault", "KafkaError", "KafkaException", "Producer", "Source", "TopicPartition"]

log = logging.getLogger(__name__)

Client = TypeVar("Client")

Settle = Callable[[set[int]], None]

BATCH_BYTES = 1 << 20
"""Of values in one batch: what is scored at a go must take little memory and, however new its words
are, no more than seconds, or the loop would not turn."""

LEAVE_SECONDS = 2.0
LOG_SECONDS = 10.0

PROTOCOLS = ("consumer", "classic")
"""Kafka's group protocols, the better one first (KIP-848; brokers since 4.0)."""


class Fault(Enum):
    """What a failed write says about what to do next."""

    RECORD = auto()
    """This record can't be written to this topic, now or later."""
    TOPIC = auto()
    """Nothing can be written there for now: wait, say so, try again."""
    CLIENT = auto()
    """The client itself is finished; a new one may do."""


_RECORD_CODES = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_MSG,
    }
)


_GROUP_CODES = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
    }
)


def is_rebalance(error: KafkaError) -> bool:
    """Tell whether offsets were refused only because the group has moved on."""
    return error.code() in _GROUP_CODES


def fault_of(error: KafkaError) -> Fault:
    """Classify a produce error."""
    if error.fatal():
        return Fault.CLIENT
    return Fault.RECORD if error.code() in _RECORD_CODES else Fault.TOPIC


def open_producer(settings: Settings) -> Producer:
    """A producer; it connects in the background. Raises ConfigurationError."""
    return _open(Producer, kafka_config.producer(settings) | {"error_cb": _log_error})


def partition_counts(producer: Producer, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has, 0 for one that doesn't exist. Raises KafkaException."""
    return {
        topic: len(producer.list_topics(topic, timeout=5).topics[topic].partitions)
        for topic in topics
    }


class Source:
    """The input topic, read as a member of the consumer group.

    It connects and joins in the background from the moment it is made. Use from one thread.
    """

    def __init__(self, settings: Settings, health: Health, speed: Speed) -> None:
        self._settings = settings
        self.speed = speed
        """Told with every offset."""
        self._health = health
        self._settle: Settle = _nothing
        self._forget: Settle = _nothing
        self._owned: set[int] = set()
        self._lost: set[int] = set()
        """Partitions given up during the running call of the consumer."""
        self._carried: list[Message] = []
        self._held = False
        self._joined = False
        self._settled: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        """Where our partitions end, as of the last statistics."""
        self._protocols = list(PROTOCOLS)
        self._consumer = self._subscribe()

    def before_leaving(self, settle: Settle, forget: Settle) -> None:
        """Say what to do when partitions go to another consumer.

        `settle` is called first and finishes what is in flight; `forget` is called once the
        partitions are gone, for what could not be finished.
        """
        self._settle, self._forget = settle, forget

    # --- reading ----------------------------------------------------------------------------------

    @property
    def more_waits(self) -> bool:
        """Whether the last batch was cut short: the next is here already."""
        return bool(self._carried)

    def fetch(self, most: int, wait: float, linger: float = 0.0) -> list[Message]:
        """Return what is there, at most `most` messages and BATCH_BYTES; one may be larger.

        Args:
            most: the batch's size.
            wait: seconds to wait for a first message if there is none.
            linger: seconds to wait for a batch to fill that a first message has begun.

        Raises:
            StreamError: the group threw this member out for good.
        """
        messages = self._carried or self._fetch(most, wait, linger)
        count = min(most, _within(messages, BATCH_BYTES))
        self._carried = messages[count:]
        return messages[:count]

    def _fetch(self, most: int, wait: float, linger: float) -> list[Message]:
        messages = self._more([], most, 0)
        if not messages and wait:
            messages = self._more([], 1, wait)
            linger = 0
        if messages and len(messages) < most:
            messages = self._more(messages, most, linger)
        return messages

    def _more(self, have: list[Message], most: int, wait: float) -> list[Message]:
        """Read on; a rebalance meanwhile takes away what we had of the partitions given up.

        Only what we had: what this very call returns of such a partition was read after it came
        back (librdkafka drops the rest itself), and would be lost if it were dropped.
        """
        self._lost.clear()
        more = self._consume(most - len(have), wait)
        if self._lost:
            have = [message for message in have if message.partition() not in self._lost]
        return have + more

    def lags(self) -> dict[int, int]:
        """Return how far behind each of our partitions is, in messages; unknown ones left out."""
        ends, settled = self._ends, dict(self._settled)
        return {
            partition: max(0, end - settled[partition])
            for partition, end in ends.items()
            if end >= 0 and settled.get(partition, -1) >= 0
        }

    def store(self, offsets: dict[int, int]) -> None:
        """Mark offsets as done; they're committed soon, and before a partition is given up."""
        self._settled.update(offsets)
        if self._settings.delivery == "ExactlyOnce":
            return
        owned = self.topic_partitions(offsets)
        if owned:
            self._consumer.store_offsets(offsets=owned)

    def topic_partitions(self, offsets: dict[int, int]) -> list[TopicPartition]:
        """The offsets of partitions that are still ours, as the client wants them."""
        topic, told = self._settings.input_topic, self.speed.metadata
        return [
            TopicPartition(topic, partition, offset, told)
            for partition, offset in offsets.items()
            if partition in self._owned
        ]

    def group_metadata(self) -> object:
        """Who this member is in the group, for a transaction's offsets."""
        return self._consumer.consumer_group_metadata()

    def hold(self) -> None:
        """Stay a member of the group while reading nothing; call it every few seconds."""
        self._held = True
        assignment = self._consumer.assignment()
        if assignment:
            self._consumer.pause(assignment)
        self._carried = self._more(self._carried, len(self._carried) + 1, 0)

    def resume(self) -> None:
        """Read again after `hold`."""
        if self._held:
            self._held = False
            self._consumer.resume(self._consumer.assignment())

    def close(self) -> None:
        """Commit and leave the group, so that others take over at once.

        A static member stays in the group when it closes; unsubscribing first makes it leave. One
        that closes while it joins is a member whom nobody told that it left (librdkafka 2.16): its
        partitions would stand still until its session ends. So it comes to the end of that first.
        """
        deadline = time.monotonic() + LEAVE_SECONDS
        while not self._joined and time.monotonic() < deadline:
            self._consumer.poll(0.05)
        self._consumer.unsubscribe()
        while self._owned and time.monotonic() < deadline:
            self._consumer.poll(0.05)
        self._consumer.close()

    def _consume(self, most: int, wait: float) -> list[Message]:
        good: list[Message] = []
        for message in self._consumer.consume(most, wait):
            error = message.error()
            if error is None:
                good.append(_with_headers(cast("Message", message)))
            else:
                self._event(error)
        return good

    def _event(self, error: KafkaError) -> None:
        """Handle what the consumer says instead of a message."""
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - librdkafka's name
            if _unsupported(error) and len(self._protocols) > 1:
                log.info("The broker has no %s group protocol.", self._protocols.pop(0))
                self._consumer.close()
                self._consumer = self._subscribe()
                return
            raise StreamError(f"The consumer group ended this member: {error.str()}.")
        log.warning("Reading %s: %s.", self._settings.input_topic, error.str())

    # --- membership -------------------------------------------------------------------------------

    def _subscribe(self) -> Consumer:
        options = kafka_config.consumer(self._settings, self._protocols[0])
        consumer = _open(
            Consumer, options | {"error_cb": self._error, "stats_cb": self._statistics}
        )
        consumer.subscribe(
            [self._settings.input_topic],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._gone,
        )
        return consumer

    def _error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - says that, not why
            self._health.kafka_error = error.str()
        _log_error(error)

    def _assigned(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._joined = True
        self._health.kafka_seen = time.monotonic()
        self._owned |= {one.partition for one in partitions}
        log.info("Assigned partitions %s.", sorted(one.partition for one in partitions))

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        leaving = {one.partition for one in partitions}
        self._settle(leaving)
        if self._settings.delivery == "AtLeastOnce" and leaving:
            try:
                consumer.commit(asynchronous=False)
            except KafkaException as exception:
                error = exception.args[0]
                if error.code() != KafkaError._NO_OFFSET:  # noqa: SLF001 - nothing to commit
                    log.warning("Committing before a rebalance: %s.", error.str())
        self._drop(leaving)

    def _gone(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._drop({one.partition for one in partitions})

    def _drop(self, partitions: set[int]) -> None:
        self._owned -= partitions
        self._lost |= partitions
        for partition in partitions:
            self._settled.pop(partition, None)
        self._forget(partitions)
        log.info("Gave up partitions %s.", sorted(partitions))

    # --- statistics -------------------------------------------------------------------------------

    def _statistics(self, text: str) -> None:
        """Take from librdkafka's own figures what health and the lag metric need."""
        figures = orjson.loads(text)
        if any(broker.get("state") == "UP" for broker in figures.get("brokers", {}).values()):
            self._health.kafka_seen = time.monotonic()
        topic = figures.get("topics", {}).get(self._settings.input_topic, {})
        ends = {}
        for name, partition in topic.get("partitions", {}).items():
            number = int(name)
            if number in self._owned:
                ends[number] = partition.get("ls_offset", -1)
                self._settled.setdefault(number, partition.get("committed_offset", -1))
        self._ends = ends


def _open(kind: Callable[[dict[str, Any]], Client], options: dict[str, Any]) -> Client:
    """Make a client; librdkafka's complaints about its configuration become ours."""
    try:
        return kind(options | {"logger": _client_log})
    except KafkaException as exception:
        message = f"Kafka's client refuses its configuration: {exception.args[0].str()}."
        raise ConfigurationError(message) from None


_headers = methodcaller("headers")
"""Not a plain call: that, once the interpreter has specialised it, no longer looks whether the
client's method has left an error behind."""


def _with_headers(message: Message) -> Message:
    """Make sure of the headers, which the client decodes when it is first asked for them.

    A name that is not UTF-8 makes it fail, and return a list that must not be looked at, on pain of
    a segmentation fault, when it is asked again (confluent-kafka 2.16).
    """
    try:
        _headers(message)
    except SystemError:  # what it returned comes with an error
        return HeadersUnread(message)
    return message


def _within(messages: list[Message], size: int) -> int:
    """Return how many messages have at most `size` bytes together; at least one."""
    for count, total in enumerate(accumulate(map(len, messages))):
        if total > size:
            return max(count, 1)
    return len(messages)


def _nothing(_partitions: set[int]) -> None:
    """Nothing is in flight before the worker says otherwise."""


def _unsupported(error: KafkaError) -> bool:
    text = error.str()
    return "UNSUPPORTED" in text.upper() or "not supported" in text


def _log_error(error: KafkaError) -> None:
    _client_log.warning("%s: %s.", error.name(), error.str())


class _Sparing(logging.Filter):
    """Lets through one record of a kind in ten seconds: an outage says the same 50 times a second.

    The kind is what librdkafka's lines and its errors' names begin with.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.getMessage().split(" ", 1)[0]
        if record.created - self._last.get(kind, 0.0) < LOG_SECONDS:
            return False
        self._last[kind] = record.created
        return True


_client_log = logging.getLogger("textmod_model.librdkafka")
_client_log.addFilter(_Sparing())
