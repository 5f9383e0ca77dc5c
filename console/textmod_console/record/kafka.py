"""The one door to confluent_kafka: opening the clients, and a message as the store takes it."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import methodcaller
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka import Message as ClientMessage
from confluent_kafka.admin import AdminClient

from textmod_console.errors import RecordError
from textmod_console.events import header
from textmod_console.record import aws, kafka_config
from textmod_console.settings import Settings
from textmod_console.store.intake import Message
from textmod_console.store.projection import Place

__all__ = ["AdminClient", "Consumer", "Producer", "TopicPartition"]

log = logging.getLogger(__name__)
REQUEST_SECONDS = 15.0
"""Timeout of one request to the cluster."""


def open_consumer(settings: Settings) -> Consumer:
    """Open a consumer with no partitions yet."""
    return Consumer(_complete(settings, kafka_config.consumer(settings)))


def open_admin(settings: Settings) -> AdminClient:
    """Open a client that asks for the topics' ids."""
    return AdminClient(_complete(settings, kafka_config.client(settings)))


def open_producer(settings: Settings) -> Producer:
    """Open a transactional producer that has fenced its predecessor. Raises RecordError."""
    producer = Producer(_complete(settings, kafka_config.producer(settings)))
    with as_record_error("open the feedback topic's producer"):
        producer.init_transactions(REQUEST_SECONDS)
    return producer


def open_plain_producer(settings: Settings) -> Producer:
    """Open a producer without transactions."""
    return Producer(_complete(settings, kafka_config.plain_producer(settings)))


def _complete(settings: Settings, options: kafka_config.Configuration) -> dict[str, Any]:
    complete: dict[str, Any] = {**options, "error_cb": _error, "logger": log}
    if settings.kafka_sasl_mechanism == "AWS_MSK_IAM":
        complete["oauth_cb"] = aws.token
    return complete


def _error(error: KafkaError) -> None:
    log.info("Kafka client: %s", error.str())


@contextmanager
def as_record_error(act: str) -> Iterator[None]:
    """Raise RecordError for a KafkaException; `act` names what failed."""
    try:
        yield
    except KafkaException as raised:
        error = raised.args[0]
        reason = error.str() if isinstance(error, KafkaError) else str(error)
        raise RecordError(f"can't {act}: {reason}.") from None


def partitions(consumer: Consumer, topic: str) -> list[int]:
    """Return the topic's partitions. Raises RecordError if there is no such topic."""
    with as_record_error(f"look up topic {topic}"):
        found = consumer.list_topics(topic, timeout=REQUEST_SECONDS).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return sorted(found.partitions)


def bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the first offset that the partition has and the one behind its last."""
    with as_record_error(f"ask for the offsets of topic {topic}"):
        low, high = consumer.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=REQUEST_SECONDS
        )
        return int(low), int(high)


def topic_id(admin: AdminClient, topic: str) -> str | None:
    """Return the topic's id, which one that is created again does not share; None without ids.

    Raises:
        RecordError: there is no such topic, or the brokers don't answer.
    """
    with as_record_error(f"look up topic {topic}"):
        asked = admin.describe_topics(TopicCollection([topic]), request_timeout=REQUEST_SECONDS)
        found = asked[topic].result(REQUEST_SECONDS).topic_id
    # Brokers before 2.8, and some that are no Kafka, have none.
    return str(found) if found and found.get_most_significant_bits() else None


def split(
    received: Iterable[ClientMessage],
) -> tuple[list[tuple[str, Message]], dict[tuple[str, int], int]]:
    """Return the messages by topic, and up to where each partition was read.

    Raises:
        RecordError: the client says that it can't go on.
    """
    messages = []
    ends: dict[tuple[str, int], int] = {}
    for one in received:
        error = one.error()
        where = (one.topic() or "", one.partition() or 0)
        if error is None:
            messages.append((where[0], _message(one)))
            ends[where] = (one.offset() or 0) + 1
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            # Control records end a partition that holds transactions; the end lies behind them.
            ends[where] = max(ends.get(where, 0), one.offset() or 0)
        elif error.fatal() or not error.retriable():
            raise RecordError(f"can't read topic {where[0]}: {error.str()}.")
    return messages, ends


_headers = methodcaller("headers")
"""Not a plain call: that, once the interpreter has specialised it, no longer looks whether the
client's method has left an error behind."""


def _message(one: ClientMessage) -> Message:
    try:
        given = _headers(one)
    except SystemError:  # a header's name is not UTF-8: what the client returned can't be looked at
        given = []
    headers = [(name, _bytes(value)) for name, value in dict(given or []).items()]
    return Message(
        place=Place(one.partition() or 0, one.offset() or 0),
        key=_bytes(one.key()),
        ce_type=header(headers, "ce_type"),
        ce_id=header(headers, "ce_id"),
        value=_bytes(one.value()),
    )


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
