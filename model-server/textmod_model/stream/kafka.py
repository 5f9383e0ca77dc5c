"""The one door to confluent_kafka: opening the clients, and what its errors mean to us."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import Message as ClientMessage

from textmod_model.errors import ConfigurationError
from textmod_model.settings import Settings
from textmod_model.stream import aws, kafka_config

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

__all__ = [
    "OFFSET_BEGINNING",
    "OFFSET_END",
    "ClientMessage",
    "Consumer",
    "Fault",
    "KafkaError",
    "KafkaException",
    "Producer",
    "TopicPartition",
]

Client = TypeVar("Client")

LOG_SECONDS = 10.0


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


_CONSEQUENCE_CODES = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001


def is_rebalance(error: KafkaError) -> bool:
    """Tell whether offsets were refused only because the group has moved on."""
    return error.code() in _GROUP_CODES


def fault_of(error: KafkaError) -> Fault:
    """Classify a produce error."""
    if error.fatal():
        return Fault.CLIENT
    return Fault.RECORD if error.code() in _RECORD_CODES else Fault.TOPIC


def is_consequence(error: KafkaError) -> bool:
    """Tell whether a record failed only because the client gave up the ones around it."""
    return error.code() in _CONSEQUENCE_CODES


def open_producer(settings: Settings, batch_bytes: int) -> Producer:
    """Open a producer; it connects in the background. Raises ConfigurationError."""
    options = kafka_config.producer(settings, batch_bytes)
    return _open(Producer, options | {"error_cb": log_error})


def open_producer_with(options: dict[str, Any]) -> Producer:
    """Open a producer with these options. Raises ConfigurationError."""
    return _open(Producer, options)


def open_consumer(options: dict[str, Any]) -> Consumer:
    """Open a consumer with these options and callbacks. Raises ConfigurationError."""
    return _open(Consumer, options)


def open_admin(settings: Settings) -> "AdminClient":
    """Open a client for questions about topics and groups. Raises ConfigurationError."""
    from confluent_kafka.admin import AdminClient

    return _open(AdminClient, kafka_config.client(settings) | {"error_cb": log_error})


@contextlib.contextmanager
def closed_after(client: "AdminClient") -> "Iterator[AdminClient]":
    """Close a client behind its use, whatever happens: its threads and connections.

    Futures refer to their client, so that it would stay until a garbage collection comes by, and a
    stream without messages makes no garbage.
    """
    try:
        yield client
    finally:
        client.__exit__(None, None, None)  # no other method closes it


def is_unsupported(error: KafkaError) -> bool:
    """Tell whether the broker lacks what was asked of it, such as a group protocol."""
    text = error.str()
    return "UNSUPPORTED" in text.upper() or "not supported" in text


def partition_counts(producer: Producer, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has, 0 for one that doesn't exist. Raises KafkaException."""
    return {
        topic: len(producer.list_topics(topic, timeout=2).topics[topic].partitions)
        for topic in topics
    }


def _open(kind: Callable[[dict[str, Any]], Client], options: dict[str, Any]) -> Client:
    """Make a client; librdkafka's complaints about its configuration become ours."""
    if region := options.get(kafka_config.AWS_REGION):
        aws.token(region)  # says why there is none; the client waits ten seconds and does not
        options |= {"oauth_cb": aws.token}
    try:
        return kind(options | {"logger": _client_log})
    except KafkaException as exception:
        message = f"Kafka's client refuses its configuration: {exception.args[0].str()}."
        raise ConfigurationError(message) from None


def log_error(error: KafkaError) -> None:
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
