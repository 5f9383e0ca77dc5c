"""`textmod-model redrive` against a real broker: each dead letter once, whatever interrupts it."""

import collections
import json
import os
import subprocess
import sys
import time
import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from textmod_dev.kafka_broker import KafkaBroker
from textmod_model.formats.dead_letter import dead_letter_headers
from textmod_model.formats.message import Refused

pytestmark = pytest.mark.integration

LETTERS = 3000


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with KafkaBroker(tmp_path_factory.mktemp("kafka") / "kafka") as running:
        yield running


class Topics:
    def __init__(self, bootstrap):
        name = uuid.uuid4().hex[:8]
        self.bootstrap = bootstrap
        self.input, self.output, self.letters = f"in-{name}", f"out-{name}", f"dead-{name}"
        admin = AdminClient({"bootstrap.servers": bootstrap})
        made = admin.create_topics(
            [NewTopic(topic, 2, 1) for topic in (self.input, self.output, self.letters)]
        )
        for future in made.values():
            future.result(30)
        self.environment = os.environ | {
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "TEXTMOD_INPUT_TOPIC": self.input,
            "TEXTMOD_OUTPUT_TOPIC": self.output,
            "TEXTMOD_DEAD_LETTER_TOPIC": self.letters,
            "TEXTMOD_CONSUMER_GROUP": f"textmod.{name}",
        }

    def fill(self, count):
        producer = Producer({"bootstrap.servers": self.bootstrap})
        for number in range(count):
            refused = Refused("NotUtf8" if number % 3 else "NotJson", "it is wrong.")
            headers = dead_letter_headers(
                [("number", str(number).encode())],
                refused,
                topic=self.input,
                partition=0,
                offset=number,
                milliseconds=1_700_000_000_000 + number,
                model="m:1",
            )
            producer.produce(self.letters, f"v{number}", f"k{number}", headers=headers)
        producer.flush(30)

    def redrive(self, *arguments):
        command = [sys.executable, "-m", "textmod_model", "redrive", *arguments]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def report(self, *arguments):
        out, err = self.redrive(*arguments).communicate(timeout=120)
        assert out, err
        return json.loads(out)

    def sent(self):
        """What is committed on the input."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(self.input, number, 0) for number in range(2)])
        messages, ends = [], 0
        while ends < 2:
            for message in consumer.consume(1000, 5):
                if message.error():
                    ends += 1
                else:
                    messages.append(message)
        consumer.close()
        return messages


@pytest.fixture
def topics(broker):
    return Topics(broker.bootstrap_servers)


def test_each_letter_is_sent_once_however_often_the_command_runs(topics):
    topics.fill(LETTERS)
    assert topics.report("--dry-run")["redriven"] == LETTERS
    assert topics.sent() == []
    began = time.monotonic()
    assert topics.report("--reason", "NotJson")["redriven"] == LETTERS // 3
    report = topics.report()
    assert time.monotonic() - began < 60
    assert (report["redriven"], report["already"]) == (LETTERS * 2 // 3, LETTERS // 3)
    assert topics.report()["redriven"] == 0
    found = topics.sent()
    numbers = collections.Counter(dict(one.headers())["number"] for one in found)
    assert len(numbers) == LETTERS
    assert set(numbers.values()) == {1}
    for message in found:
        headers = dict(message.headers())
        number = int(headers["number"])
        assert message.value() == f"v{number}".encode()
        assert abs(message.timestamp()[1] / 1000 - time.time()) < 300
        assert headers.pop("textmod.redrive.timestamp").startswith(b"2023-11-14T22:13:2")
        assert headers == {"number": str(number).encode(), "textmod.redrive.count": b"1"}


def test_a_run_that_is_killed_sends_nothing_twice(topics):
    topics.fill(LETTERS)
    running = topics.redrive("--rate", "100")  # half a minute, in which it is killed
    deadline = time.monotonic() + 120
    while not topics.sent():
        assert time.monotonic() < deadline
    running.kill()
    running.communicate()
    before = len(topics.sent())
    assert 0 < before < LETTERS
    assert topics.report()["redriven"] > 0
    numbers = collections.Counter(dict(one.headers())["number"] for one in topics.sent())
    assert (len(numbers), set(numbers.values())) == (LETTERS, {1})


def test_a_second_run_fences_the_first(topics):
    topics.fill(LETTERS)
    first = topics.redrive("--rate", "50")  # a minute, in which the second one comes
    deadline = time.monotonic() + 120
    while not topics.sent():
        assert time.monotonic() < deadline
    topics.report()
    _, err = first.communicate(timeout=120)
    assert first.returncode == 75
    # A transaction that is just being ended when the other one comes is refused as unknown.
    assert "fenced" in err or "Nothing of the last" in err
    assert "Traceback" not in err
    numbers = collections.Counter(dict(one.headers())["number"] for one in topics.sent())
    assert (len(numbers), set(numbers.values())) == (LETTERS, {1})
