"""Suggested scores on a real broker: acknowledged once written, refused in time when not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from textmod_dev.kafka_broker import KafkaBroker
from textmod_model.settings import load
from textmod_model.stream import kafka, kafka_config
from textmod_model.stream.feedback import Feedback, NotWrittenError, feedback

pytestmark = pytest.mark.integration
TOPIC = "science-feedback"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as running:
        admin = AdminClient({"bootstrap.servers": running.bootstrap_servers})
        admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)
        yield running


def writer(servers: str, topic: str = TOPIC) -> Feedback:
    found = feedback(
        load({"TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": servers, "TEXTMOD_FEEDBACK_TOPIC": topic})
    )
    assert found is not None
    return found


def read(servers: str, count: int) -> list[tuple[bytes, bytes]]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test"})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    found: list[tuple[bytes, bytes]] = []
    deadline = time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < deadline
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            found.append((message.key(), message.value()))
    consumer.close()
    return found


def test_what_was_acknowledged_is_in_the_topic(broker: KafkaBroker) -> None:
    one = writer(broker.bootstrap_servers)
    for number in range(3):
        one.write(b"item", json.dumps(number).encode(), [("ce_id", b"x")])
    assert read(broker.bootstrap_servers, 3) == [(b"item", str(n).encode()) for n in range(3)]


def test_without_a_broker_or_a_topic_the_caller_is_told_in_time(broker: KafkaBroker) -> None:
    settings = load({"TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    options = kafka_config.single_records(settings, 1.0)
    began = time.monotonic()
    with pytest.raises(NotWrittenError):
        Feedback(TOPIC, lambda: kafka.open_producer_with(options), seconds=1.0).write(b"", b"", [])
    assert time.monotonic() - began < 10
    with pytest.raises(NotWrittenError):
        writer(broker.bootstrap_servers, "no/topic").write(b"", b"", [])
