"""A consumer and a producer alone: what Kafka's clients make of the same faults, without a model.

Copies each message to the output with its headers and a `ce_id`, in transactions for ExactlyOnce;
the settings are the stream worker's, the loop is that of Confluent's examples. Its recovery is
measured beside the worker's; it is not part of the product.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

BATCH = 256
SECONDS = 0.1


class Bare:
    """The loop."""

    def __init__(self) -> None:
        self._stopped = False
        environment = os.environ
        servers = {"bootstrap.servers": environment["TEXTMOD_KAFKA_BOOTSTRAP_SERVERS"]}
        self._output = environment["TEXTMOD_OUTPUT_TOPIC"]
        self._transactional = environment["TEXTMOD_DELIVERY"] == "ExactlyOnce"
        self._consumer = Consumer(
            servers
            | {
                "group.id": environment["TEXTMOD_CONSUMER_GROUP"],
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        options: dict[str, str | int | bool] = {
            "enable.idempotence": True,
            "max.in.flight.requests.per.connection": 1,  # as for the sender
        }
        if self._transactional:
            options |= {
                "transactional.id": environment["TEXTMOD_POD_NAME"],
                "transaction.timeout.ms": 10_000,
            }
        self._producer = Producer(servers | options)
        self._consumer.subscribe([environment["TEXTMOD_INPUT_TOPIC"]])

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """End after the batch."""
        self._stopped = True

    def run(self) -> None:
        """Copy until stopped. Raises KafkaException; the process is then started again."""
        if self._transactional:
            self._producer.init_transactions(60)
        while not self._stopped:
            messages = self._consumer.consume(BATCH, SECONDS)
            batch = [message for message in messages if message.error() is None]
            if batch:
                self._write(batch)
        self._consumer.close()

    def _write(self, batch: list[Message]) -> None:
        ends: dict[tuple[str, int], int] = {}
        if self._transactional:
            self._producer.begin_transaction()
        for message in batch:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            identity = ("ce_id", f"{topic}/{partition}/{offset}".encode())
            headers = [*(message.headers() or []), identity]
            self._producer.produce(self._output, b"{}", message.key(), headers=headers)
            ends[topic, partition] = offset + 1
        offsets = [TopicPartition(topic, number, end) for (topic, number), end in ends.items()]
        if self._transactional:
            member = self._consumer.consumer_group_metadata()
            self._producer.send_offsets_to_transaction(offsets, member)
            self._producer.commit_transaction()
        else:
            self._producer.flush()
            self._consumer.commit(offsets=offsets, asynchronous=False)


def main() -> int:
    """Run until SIGTERM; 1 when Kafka's clients gave up."""
    bare = Bare()
    signal.signal(signal.SIGTERM, bare.stop)
    try:
        bare.run()
    except KafkaException as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
