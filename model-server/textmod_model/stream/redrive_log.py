"""The dead-letter topic as `redrive` reads it, and the transactions that settle letters.

Progress is the committed offsets of a consumer group for each reason; nobody is a member of them.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Self, cast

from textmod_model.errors import StreamError
from textmod_model.settings import Settings
from textmod_model.stream import kafka_config
from textmod_model.stream.kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
    open_consumer,
    open_producer_with,
)
from textmod_model.stream.records import Message
from textmod_model.stream.redrive import MOST_AT_ONCE, Done, Letter, Sent

CALL_SECONDS = 30.0

_FENCED = {
    KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own codes have names like this
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}
"""What a transaction fails with once another run has taken over, by the request that noticed."""


class KafkaLog:
    """The dead-letter topic of a stream. Use as a context manager."""

    def __init__(self, settings: Settings, most: int = MOST_AT_ONCE) -> None:
        self._settings = settings
        self._most = most
        self._group = f"{settings.consumer_group}.redrive"
        self._groups: dict[str, Consumer] = {}
        self._reader = self._open(self._group)
        self._producer: Producer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for consumer in (self._reader, *self._groups.values()):
            consumer.close()

    def take_over(self) -> None:
        """Open the producer; another run that has one open is fenced, and fails."""
        options = kafka_config.producer(self._settings) | {
            "transactional.id": self._group,
            "transaction.timeout.ms": 60_000,
        }
        options.pop("message.timeout.ms", None)
        producer = open_producer_with(options)
        try:
            producer.init_transactions(CALL_SECONDS)
        except KafkaException as exception:
            message = f"Kafka gives no transaction: {exception.args[0].str()}."
            raise StreamError(message) from None
        self._producer = producer

    def batches(self) -> Iterator[Sequence[Letter]]:
        topic = self._settings.dead_letter_topic
        ends: dict[int, int] = {}
        starts = []
        for partition in self._partitions():
            at = TopicPartition(topic, partition)
            low, high = self._reader.get_watermark_offsets(at, CALL_SECONDS)
            if low < high:
                starts.append(TopicPartition(topic, partition, low))
                ends[partition] = high
        self._reader.assign(starts)
        deadline = time.monotonic() + CALL_SECONDS
        while ends:
            letters = self._read(ends)
            if letters:
                yield letters
                deadline = time.monotonic() + CALL_SECONDS
            elif ends and time.monotonic() > deadline:
                raise StreamError(f"The topic {topic} can't be read to its end.")

    def _read(self, ends: dict[int, int]) -> list[Letter]:
        """Read on; take partitions that are read to their end out of `ends`."""
        letters = []
        for message in self._reader.consume(self._most, 1.0):
            error, partition, offset = message.error(), message.partition(), message.offset()
            end = ends.get(partition or 0, 0)
            if error is None and offset is not None:
                if offset < end:
                    letters.append(Letter(cast("Message", message)))
                if offset + 1 >= end:
                    ends.pop(partition or 0, None)
            elif error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                ends.pop(partition or 0, None)
        return letters

    def done(self, reason: str) -> dict[int, int]:
        topic = self._settings.dead_letter_topic
        asked = [TopicPartition(topic, partition) for partition in self._partitions()]
        found = self._of(reason).committed(asked, CALL_SECONDS)
        return {one.partition: one.offset for one in found if one.offset >= 0}

    def settle(self, records: Sequence[Sent], progress: Done) -> None:
        producer = self._producer
        assert producer is not None, "take_over comes first"  # noqa: S101 - a caller's mistake
        topic = self._settings.dead_letter_topic
        try:
            producer.begin_transaction()
            for record in records:
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    headers=record.headers,
                    timestamp=record.milliseconds or 0,
                )
            for reason, partitions in progress.items():
                offsets = [TopicPartition(topic, *place) for place in partitions.items()]
                metadata = self._of(reason).consumer_group_metadata()
                producer.send_offsets_to_transaction(offsets, metadata, CALL_SECONDS)
            producer.commit_transaction(CALL_SECONDS)
        except KafkaException as exception:
            error = exception.args[0]
            why = "another run has fenced this one" if error.code() in _FENCED else error.str()
            message = f"Nothing of the last {len(records)} letters was sent: {why}."
            raise StreamError(message) from None

    def _of(self, reason: str) -> Consumer:
        if reason not in self._groups:
            self._groups[reason] = self._open(f"{self._group}.{reason}")
        return self._groups[reason]

    def _open(self, group: str) -> Consumer:
        return open_consumer(
            kafka_config.client(self._settings)
            | {
                "group.id": group,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )

    def _partitions(self) -> list[int]:
        topic = self._settings.dead_letter_topic
        try:
            found = self._reader.list_topics(topic, CALL_SECONDS).topics[topic].partitions
        except KafkaException as exception:
            message = f"The topic {topic} can't be read: {exception.args[0].str()}."
            raise StreamError(message) from None
        if not found:
            raise StreamError(f"There is no topic {topic}.")
        return sorted(found)
