"""The loop on a fake cluster: what it holds, gives up, reports, and how it ends."""

import json
from threading import Event

import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException
from fake_kafka import Clock, FakeBrokers, FakeCluster, FakeConsumer, FakeProducer

from textmod_model import settings
from textmod_model.budget import SCORING_SECONDS
from textmod_model.errors import StreamError
from textmod_model.formats import catalog
from textmod_model.formats.message import Reading, RegistryUnavailable, Verdicts, Writing
from textmod_model.formats.verdict_headers import VerdictHeaders
from textmod_model.health import STALL_SECONDS, Health
from textmod_model.metrics import Metrics
from textmod_model.review.event import EventHeaders
from textmod_model.stream import counting as counting_module
from textmod_model.stream import worker as worker_module
from textmod_model.stream.consumer import GroupConsumer
from textmod_model.stream.counting import Counting
from textmod_model.stream.delivery.at_least_once import AtLeastOnce
from textmod_model.stream.delivery.exactly_once import ExactlyOnce
from textmod_model.stream.delivery.writer import Writer
from textmod_model.stream.judge import Judge
from textmod_model.stream.letters import DeadLetters
from textmod_model.stream.observer import Observer
from textmod_model.stream.speed import Speed
from textmod_model.stream.worker import Worker

STREAM = {
    "TEXTMOD_STREAMING": "Native",
    "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "TEXTMOD_INPUT_TOPIC": "in",
    "TEXTMOD_OUTPUT_TOPIC": "out",
    "TEXTMOD_DEAD_LETTER_TOPIC": "dead",
    "TEXTMOD_CONSUMER_GROUP": "group",
}


class NoRules:
    def ask(self):
        pass

    def answer(self, wait):
        return None


class Stream:
    """A whole worker between a fake input and fake outputs."""

    def __init__(self, delivery, counts=False):
        self.cluster = FakeCluster(2)
        self.brokers = FakeBrokers("out", "dead", "review")
        self.brokers.offsets = self.cluster.committed  # a transaction commits the group's offsets
        self.counts = counts
        self.health = Health(streaming=True, model="science:1")
        self.broken = None
        review = {"TEXTMOD_REVIEW_TOPIC": "review", "TEXTMOD_REVIEW_SALT": "salt"} if counts else {}
        configuration = settings.load(STREAM | {"TEXTMOD_DELIVERY": delivery} | review)
        self.clients = []

        def connect(options):
            self.clients.append(FakeConsumer(self.cluster, options, Clock()))
            return self.clients[-1]

        self.consumer = GroupConsumer(
            configuration, self.health, Speed(1000.0, 1, 256), connect=connect
        )
        letters = DeadLetters("science:1")
        writer = Writer(configuration, self.open_producer, letters, NoRules())
        exactly_once = delivery == "ExactlyOnce"
        self.metrics = Metrics()
        self.worker = Worker(
            configuration,
            self.consumer,
            judge=self.judge(letters),
            delivery=ExactlyOnce(writer, self.consumer) if exactly_once else AtLeastOnce(writer),
            observer=Observer(self.metrics),
            health=self.health,
        )
        self.worker._delivery.prepare()
        self.stop = Event()

    def open_producer(self, batch_bytes):
        return FakeProducer(self.brokers, batch_bytes=batch_bytes)

    def judge(self, letters):
        verdicts = Verdicts(("kept", "removed"), 0.5, "science:1")
        return Judge(
            decode=catalog.decoder("Auto", Reading(("body",))),
            score=self.score,
            encode=catalog.encoder("Verdict", Writing(verdicts)),
            headers=VerdictHeaders("/source", "1", "sha256:00"),
            letters=letters,
            counting=Counting(EventHeaders("/source"), verdicts, "sha256:00")
            if self.counts
            else None,
        )

    def counted(self):
        """Return the ranges of the events in the review topic, and how many texts they count."""
        events = [json.loads(one["value"]) for one in self.brokers.topics["review"].records]
        texts = sum(count["texts"] for event in events for count in event["counts"])
        return [(event["source"], event["from"], event["until"]) for event in events], texts

    def score(self, texts):
        if self.broken is not None:
            self.broken()
        return np.full(len(texts), 0.5)

    @property
    def client(self):
        return self.clients[-1]

    def turn(self, times=1):
        for _ in range(times):
            self.worker.turn(self.stop)

    def lose_unwritten(self):
        """Read a message whose verdict no broker takes, and lose its partition."""
        self.client.rebalance(assigned=[0])
        self.cluster.append(0, b"a")
        self.brokers.topics["out"].error = KafkaError.NOT_ENOUGH_REPLICAS
        self.turn()
        self.client.rebalance(revoked=[0])
        self.consumer.fetch(1, 0, revocation=self.worker)

    def ids(self):
        records = self.brokers.topics["out"].records
        return [dict(record["headers"])["ce_id"].decode() for record in records]


@pytest.fixture(params=["AtLeastOnce", "ExactlyOnce"])
def stream(request, monkeypatch):
    monkeypatch.setattr(worker_module, "JUDGE_RETRY_SECONDS", 0)
    monkeypatch.setattr(worker_module, "STEP_SECONDS", 0.01)
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0)
    return Stream(request.param)


def test_what_is_read_is_written_and_then_done(stream):
    stream.client.rebalance(assigned=[0, 1])
    stream.cluster.append(0, b"a", b"b")
    stream.cluster.append(1, b"c")
    stream.turn(3)
    assert stream.ids() == ["in/0/0", "in/0/1", "in/1/0"]
    assert stream.consumer._commits._settled == {0: 2, 1: 1}


def test_a_broken_model_blocks_the_stream_with_the_type_of_its_error(stream):
    stream.client.rebalance(assigned=[0])
    stream.cluster.append(0, b"a")
    seen = []

    def broken():
        seen.append(stream.health.blocked)
        if len(seen) > 9:
            stream.broken = None
        raise RuntimeError("text of a user")

    stream.broken = broken
    stream.turn(3)
    assert seen[-1] == ("The model cannot score any text: RuntimeError.")
    assert stream.brokers.topics["dead"].records == []
    assert stream.ids() == ["in/0/0"]
    assert stream.health.blocked is None


def test_a_text_that_takes_long_is_no_reason_to_end_the_process(stream):
    """The next one would get the same message."""
    stream.client.rebalance(assigned=[0])
    stream.cluster.append(0, b"a " * (1 << 19))
    alive = []
    after = STALL_SECONDS + 0.9 * SCORING_SECONDS

    def look():
        alive.append(stream.health.live(stream.health.last_turn + after).ok)

    stream.broken = look
    stream.turn(2)
    assert alive == [True]
    assert not stream.health.live(stream.health.last_turn + after).ok


def test_messages_in_hand_of_a_partition_that_goes_are_given_up(stream):
    stream.client.rebalance(assigned=[0, 1])
    stream.cluster.append(0, b"a")
    stream.cluster.append(1, b"b")
    seen = []

    def broken():
        seen.append(1)
        if len(seen) == 1:
            stream.client.rebalance(revoked=[0])
        if len(seen) > 9:
            stream.broken = None
        raise RuntimeError

    stream.broken = broken
    stream.turn(3)
    assert stream.ids() == ["in/1/0"]


def test_what_is_in_flight_is_finished_before_partitions_go(stream):
    stream.client.rebalance(assigned=[0])
    stream.cluster.append(0, b"a")
    stream.turn()
    stream.client.rebalance(revoked=[0])
    stream.turn()
    assert stream.ids() == ["in/0/0"]
    assert {**stream.cluster.committed, **stream.brokers.offsets} == {0: 1}


@pytest.fixture(params=["AtLeastOnce", "ExactlyOnce"])
def counted(request, monkeypatch):
    monkeypatch.setattr(worker_module, "STEP_SECONDS", 0.01)
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0)
    return Stream(request.param, counts=True)


def test_what_is_counted_is_written_before_partitions_go(counted):
    counted.client.rebalance(assigned=[0, 1])
    counted.cluster.append(0, b"a", b"b")
    counted.cluster.append(1, b"c")
    counted.turn(3)
    assert counted.counted() == ([], 0)
    counted.client.rebalance(revoked=[0])
    counted.turn(2)
    assert counted.counted() == ([("in/0", 0, 2)], 2)
    counted.cluster.append(1, b"d")
    counted.turn(2)
    counted.stop.set()
    assert counted.worker.run(counted.stop)
    assert counted.counted() == ([("in/0", 0, 2), ("in/1", 0, 2)], 4)
    assert counted.ids() == ["in/0/0", "in/0/1", "in/1/0", "in/1/1"]


def test_what_is_read_by_another_is_not_counted(counted, monkeypatch):
    monkeypatch.setattr(worker_module, "REVOKE_SECONDS", 0)
    counted.lose_unwritten()
    assert counted.worker._judge.rest(None) is None
    assert counted.counted() == ([], 0)


def test_a_partition_that_comes_back_is_counted_without_what_another_read(counted):
    counted.client.rebalance(assigned=[0])
    counted.cluster.append(0, b"a")
    counted.turn(2)
    counted.client.rebalance(revoked=[0])
    counted.turn(2)
    counted.cluster.append(0, b"read by another", b"b")
    counted.cluster.committed[0] = 2
    counted.client.rebalance(assigned=[0])
    counted.turn(2)
    counted.stop.set()
    assert counted.worker.run(counted.stop)
    assert counted.counted() == ([("in/0", 0, 1), ("in/0", 2, 3)], 2)


def test_counts_beside_verdicts_are_no_verdicts_in_the_metrics(counted, monkeypatch):
    monkeypatch.setattr(counting_module, "INTERVAL_SECONDS", 0)
    counted.client.rebalance(assigned=[0])
    counted.cluster.append(0, b"a", b"b")
    counted.turn(3)
    assert counted.counted() == ([("in/0", 0, 2)], 2)
    text = counted.metrics.text().decode()
    assert 'textmod_messages_total{outcome="verdict"} 2.0' in text
    assert "textmod_batch_size_sum 2.0" in text


def test_what_cannot_be_finished_before_partitions_go_is_given_up(stream, monkeypatch):
    monkeypatch.setattr(worker_module, "REVOKE_SECONDS", 0)
    stream.lose_unwritten()
    assert stream.brokers.offsets == stream.cluster.committed == {}


def test_an_error_of_the_client_leaves_the_group_and_is_a_sentence(stream):
    def consume(_most, _wait):
        raise KafkaException(KafkaError(KafkaError._FAIL, "no more"))

    stream.client.consume = consume
    stream.consumer._joined = True
    with pytest.raises(StreamError, match="Kafka's client failed: no more"):
        stream.worker.run(stream.stop)
    assert stream.client.closed


def test_told_to_stop_while_the_model_is_broken_it_leaves_what_it_read(stream):
    stream.client.rebalance(assigned=[0])
    stream.cluster.append(0, b"a")

    def broken():
        stream.stop.set()
        raise RuntimeError

    stream.broken = broken
    assert not stream.worker.run(stream.stop)
    assert stream.ids() == []
    assert stream.client.closed


def test_a_registry_that_does_not_answer_blocks_until_it_does(stream):
    stream.client.rebalance(assigned=[0])
    stream.cluster.append(0, b"a")
    judge, seen = stream.worker._judge.judge, []

    def judged(messages):
        seen.append(stream.health.blocked)
        if len(seen) < 4:
            raise RegistryUnavailable("The schema registry does not answer.")
        return judge(messages)

    stream.worker._judge.judge = judged
    stream.turn(3)
    assert seen[-1] == "The schema registry does not answer."
    assert stream.ids() == ["in/0/0"]
    assert stream.health.blocked is None
