"""Both deliveries on producers that fail as librdkafka does: nothing lost, nothing out of order."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
from background import Later
from confluent_kafka import KafkaError
from fake_kafka import FakeBrokers, FakeMessage, FakeProducer, FakeTopic

from textmod_model import settings
from textmod_model.errors import ConfigurationError, StreamError
from textmod_model.review.event import ReviewRequest
from textmod_model.stream.background import in_background
from textmod_model.stream.delivery import at_least_once, exactly_once, writer
from textmod_model.stream.delivery.at_least_once import BATCHES_IN_FLIGHT, AtLeastOnce
from textmod_model.stream.delivery.exactly_once import ExactlyOnce
from textmod_model.stream.delivery.rules import TopicRules
from textmod_model.stream.delivery.writer import Writer
from textmod_model.stream.letters import DeadLetters
from textmod_model.stream.records import Batch, Record

STREAM = {
    "TEXTMOD_STREAMING": "Native",
    "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "TEXTMOD_INPUT_TOPIC": "in",
    "TEXTMOD_OUTPUT_TOPIC": "out",
    "TEXTMOD_DEAD_LETTER_TOPIC": "dead",
    "TEXTMOD_CONSUMER_GROUP": "group",
    "TEXTMOD_REVIEW_TOPIC": "review",
    "TEXTMOD_REVIEW_SALT": "reddit/science",
}


class FakeLookup:
    """What the brokers say of the topics, or nothing: then only they refuse."""

    def __init__(self):
        self.rules = None
        self.asked = 0

    def ask(self):
        self.asked += 1

    def answer(self, wait):
        return self.rules


class Parts:
    """A delivery, the brokers that it writes to, and what is known of their topics."""

    def __init__(self, kind, background=in_background):
        self.brokers = FakeBrokers("out", "dead", "review")
        self.lookup = FakeLookup()
        self.capacity = 100_000
        self.refused = None
        """Why no client can be opened."""
        self.writer = Writer(
            settings.load(STREAM), self.open, DeadLetters("science:1"), self.lookup, background
        )
        self.claims = SimpleNamespace(
            topic_partitions=lambda offsets: [
                SimpleNamespace(partition=p, offset=o) for p, o in offsets.items()
            ],
            confirm=lambda _partitions: True,
            group_metadata=object,
        )
        exactly_once = kind == "ExactlyOnce"
        self.delivery = ExactlyOnce(self.writer, self.claims) if exactly_once else None
        self.delivery = self.delivery or AtLeastOnce(self.writer)
        assert self.delivery.prepare()

    def open(self, batch_bytes):
        if self.refused:
            raise ConfigurationError(self.refused)
        return FakeProducer(self.brokers, batch_bytes=batch_bytes, capacity=self.capacity)

    def know(self, **limits):
        """Give topics limits that are known before anything is sent."""
        for name, limit in limits.items():
            self.brokers.topics[name].max_bytes = limit
        self.lookup.rules = {n: TopicRules(t.max_bytes) for n, t in self.brokers.topics.items()}

    def submit(self, *batches):
        for batch in batches:
            self.delivery.submit(batch)
        return list(batches)

    def run(self, turns=200, wait=5):
        """Turn until all is delivered; returns the batches in the order of their delivery."""
        done = []
        for _ in range(turns):
            done += self.delivery.collect(wait)
            self.delivery.write()
            if not self.delivery.busy:
                return done
        return done

    def written(self, topic="out"):
        return self.brokers.topics[topic].values()


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(at_least_once, "RETRY_SECONDS", 0)
    monkeypatch.setattr(at_least_once, "LOOK_SECONDS", 0)
    monkeypatch.setattr(writer, "OPEN_RETRY_SECONDS", 0)
    monkeypatch.setattr(exactly_once, "RETRY_SECONDS", 0)
    monkeypatch.setattr(exactly_once, "REBALANCE_SECONDS", 0)


@pytest.fixture
def least():
    return Parts("AtLeastOnce")


@pytest.fixture
def exact():
    return Parts("ExactlyOnce")


@pytest.fixture(params=["AtLeastOnce", "ExactlyOnce"])
def parts(request):
    return Parts(request.param)


def batch(*values, start=0, partition=0, time=None):
    records, offset = [], start
    for value in values:
        message = FakeMessage(partition, offset, b"original")
        records.append(Record(None, message, b"k", value, [], time))
        offset += 1
    return Batch(records, {partition: offset}, np.zeros(len(records)))


BIG = b"x" * 5_000


def reasons(parts):
    return [
        dict(r["headers"])["textmod.error.reason"] for r in parts.brokers.topics["dead"].records
    ]


def outgrown(parts):
    """Have the producer replaced: its batches are larger than the topic takes."""
    parts.know(out=500_000)
    parts.writer._refresh_at = 0.0


# --- both ---------------------------------------------------------------------------------------


def test_batches_are_delivered_in_order(parts):
    batches = parts.submit(batch(b"a", b"b"), batch(b"c", start=2))
    assert parts.run() == batches
    assert parts.written() == [b"a", b"b", b"c"]


def test_nothing_is_written_before_it_is_known_where_it_goes(parts, monkeypatch):
    """By its key's hash a verdict could go to another partition than the next of the same key."""
    monkeypatch.setattr(writer, "LOOKUP_RETRY_SECONDS", 0)
    parts.brokers.unknown = True
    batches = parts.submit(batch(b"a", b"b", partition=1))
    assert parts.run(turns=5) == []
    assert parts.written() == []
    assert parts.delivery.busy
    parts.brokers.unknown = False
    assert parts.run() == batches
    assert [one["partition"] for one in parts.brokers.topics["out"].records] == [1, 1]


def test_what_is_known_of_the_partitions_stands_while_nobody_answers(parts, monkeypatch):
    monkeypatch.setattr(writer, "ROUTES_SECONDS", 0)
    parts.submit(batch(b"a", partition=1))
    parts.run()
    parts.brokers.unknown = True
    parts.submit(batch(b"b", start=1, partition=1))
    parts.run()
    assert [one["partition"] for one in parts.brokers.topics["out"].records] == [1, 1]


def test_what_is_known_of_the_partitions_stands_while_a_broker_knows_no_such_topic(
    parts, monkeypatch
):
    """One that has just started may answer so."""
    monkeypatch.setattr(writer, "ROUTES_SECONDS", 0)
    parts.brokers.topics["in"] = FakeTopic()
    parts.submit(batch(b"a", partition=1))
    parts.run()
    parts.brokers.topics["in"].partitions = 0
    parts.submit(batch(b"b", start=1, partition=1))
    parts.run()
    assert [one["partition"] for one in parts.brokers.topics["out"].records] == [1, 1]


def test_a_record_that_its_topic_does_not_take_is_a_dead_letter_before_it_is_sent(parts):
    parts.know(out=2_000)
    parts.submit(batch(*[b"a"] * 50, BIG, *[b"b"] * 50, BIG, b"c"))
    parts.run()
    assert parts.written() == [*[b"a"] * 50, *[b"b"] * 50, b"c"]
    assert reasons(parts) == [b"OutputRefused"] * 2
    assert parts.written("dead") == [b"original"] * 2
    assert parts.brokers.aborts == 0


def test_a_dead_letter_that_its_topic_does_not_take_is_written_without_the_original(parts):
    parts.know(out=2_000, dead=1_000)
    message = FakeMessage(0, 0, b"y" * 1_500)
    parts.submit(Batch([Record(None, message, b"k", BIG, [], None)], {0: 1}, np.zeros(1)))
    parts.run()
    assert parts.written("dead") == [None]
    assert parts.brokers.aborts == 0


def test_batches_of_the_producer_fit_the_topic(parts):
    """Otherwise every batch would be refused as a whole, and be written record by record."""
    parts.know(out=3_000)
    parts.submit(batch(*[b"v" * 500] * 40))
    parts.run()
    assert len(parts.written()) == 40
    assert parts.brokers.aborts == 0
    assert parts.writer.producer.batch_bytes < 3_000


def test_a_refusal_that_nobody_could_foresee_costs_no_order(parts):
    """The limit was lowered a moment ago, or may not be described."""
    parts.writer.producer.batch_bytes = 300
    parts.brokers.topics["out"].max_bytes = 2_000
    values = [b"a%d" % n for n in range(20)]
    parts.submit(batch(*values[:10], BIG, *values[10:]))
    parts.run()
    assert parts.written() == values
    assert reasons(parts) == [b"OutputRefused"]
    assert parts.delivery.blocked is None


def test_a_refused_time_stamp_is_known_before_it_is_sent(parts):
    parts.lookup.rules = {"out": TopicRules(1_000_000, after_ms=3_600_000)}
    parts.submit(batch(b"a", time=1 << 60), batch(b"b", start=1, time=1000))
    parts.run()
    assert parts.written() == [b"b"]
    assert [r["timestamp"] for r in parts.brokers.topics["dead"].records] == [0]


def test_a_compacted_topic_takes_no_record_without_a_key(parts):
    parts.lookup.rules = {"out": TopicRules(1_000_000, keyed=True)}
    one = batch(b"a")
    one.records[0] = one.records[0]._replace(key=None)
    parts.submit(one)
    parts.run()
    assert parts.written() == []
    assert reasons(parts) == [b"OutputRefused"]


def test_a_topic_that_cannot_be_written_blocks_with_its_name_until_it_can(parts):
    parts.brokers.topics["out"].error = KafkaError.TOPIC_AUTHORIZATION_FAILED
    parts.submit(batch(b"a", b"b"))
    assert parts.run(turns=5) == []
    assert parts.delivery.blocked.startswith("The topic out can't be written: ")
    assert "authorization" in parts.delivery.blocked
    parts.brokers.topics["out"].error = None
    assert len(parts.run()) == 1
    assert parts.delivery.blocked is None
    assert parts.written() == [b"a", b"b"]


def test_a_dead_letter_topic_that_takes_nothing_blocks_too(parts):
    parts.know(out=2_000, dead=10)
    parts.submit(batch(b"a", BIG, b"c"))
    assert parts.run(turns=5) == []
    assert parts.delivery.blocked.startswith("The topic dead can't be written: ")


def test_records_of_partitions_that_went_are_not_written_nor_their_offsets_committed(parts):
    parts.submit(batch(b"a"), batch(b"b", partition=1))
    parts.delivery.forget({0})
    [first, second] = parts.run()
    assert parts.written() == [b"b"]
    assert (first.next_offsets(), second.next_offsets()) == ({}, {1: 1})


def test_a_full_queue_is_no_refusal(parts):
    parts.writer.producer.capacity = 3
    parts.submit(batch(*[b"%d" % n for n in range(8)]))
    parts.run(turns=4)
    parts.writer.producer.capacity = 100
    parts.run()
    assert parts.written() == [b"%d" % n for n in range(8)]
    assert parts.written("dead") == []


def test_credentials_that_are_away_when_a_client_is_replaced_block_the_stream_until_they_are_there(
    parts,
):
    parts.refused = "AWS gave this pod no credentials."
    outgrown(parts)
    batches = parts.submit(batch(b"a"))
    assert parts.run(5) == []
    assert parts.delivery.blocked == parts.refused
    parts.refused = None
    assert parts.run() == batches
    assert parts.delivery.blocked is None
    assert parts.written() == [b"a"]


@pytest.mark.parametrize("kind", ["AtLeastOnce", "ExactlyOnce"])
def test_the_loop_does_not_wait_for_a_client_that_takes_the_place_of_another(kind):
    """Opening one takes seconds with AWS_MSK_IAM, fencing while the coordinator does not answer."""
    later = Later()
    parts = Parts(kind, later)
    outgrown(parts)
    batches = parts.submit(batch(b"a"))
    seen, done = [], []
    while parts.delivery.busy:
        done += parts.run(2, wait=0)
        seen += later.run()
    assert done == batches
    expected = ["open producer", "init transactions", "commit"]
    assert seen == (expected if kind == "ExactlyOnce" else expected[:1])
    assert parts.written() == [b"a"]


def test_the_rules_are_asked_for_now_and_then_and_taken_when_they_come(parts):
    now = 5_000.0
    parts.writer.refresh(now)
    parts.lookup.rules = {"out": TopicRules(2_000)}
    parts.writer.refresh(now + 1)  # the answer was late
    assert parts.writer.outdated
    asked = parts.lookup.asked
    parts.writer.refresh(now + 59)
    assert parts.lookup.asked == asked
    parts.writer.refresh(now + 61)
    assert parts.lookup.asked == asked + 1


ONE, TWO = "1" * 22, "2" * 22


def known(parts, **ids):
    parts.lookup.rules = {topic: TopicRules(id=one) for topic, one in ids.items()}
    parts.writer.refresh(time.monotonic(), force=True)


@pytest.mark.parametrize("id_after", [TWO, ""])
def test_a_producer_that_waits_for_a_topic_that_is_gone_is_opened_again(id_after):
    """It would ask the old topic's leader for ever; see librdkafka's issue 4898."""
    parts = Parts("AtLeastOnce")
    known(parts, out=ONE, dead=ONE)
    first = parts.submit(batch(b"a", b"b"))
    assert parts.run() == first
    parts.brokers.topics["out"].moves += 1
    parts.lookup.rules = {"out": TopicRules(id=id_after)}
    batches = parts.submit(batch(b"c", b"d", start=2), batch(b"e", start=4))
    assert parts.run() == (batches if id_after else [])
    assert parts.written() == [b"a", b"b", *([b"c", b"d", b"e"] if id_after else [])]
    assert parts.brokers.opened == (2 if id_after else 1)


def test_before_anything_is_written_to_a_topic_that_was_created_again(parts):
    known(parts, out=ONE)
    opened = parts.brokers.opened
    known(parts, dead=TWO)  # for a moment nothing is known of the first
    known(parts, out=ONE)
    parts.run()
    assert not parts.writer.outdated
    parts.brokers.topics["out"].moves += 1
    known(parts, out=TWO)
    batches = parts.submit(batch(b"a"))
    assert parts.run() == batches
    assert parts.written() == [b"a"]
    assert parts.brokers.opened == opened + 1


def test_limits_stay_known_while_only_ids_are_answered(parts):
    """Without its limits a batch that the topic refuses would be sent."""
    parts.know(out=300)
    parts.writer.refresh(time.monotonic(), force=True)
    known(parts, out=ONE)
    known(parts, out=TWO)
    opened = parts.brokers.opened
    batches = parts.submit(batch(b"small", b"x" * 400))
    assert parts.run() == batches
    assert parts.written() == [b"small"]
    assert len(parts.written("dead")) == 1
    assert parts.brokers.opened == opened + 1, "for the new topic, and not for a refusal"
    assert parts.brokers.aborts == 0


def test_and_a_record_that_is_tried_again():
    """The topic is gone for a while; then there is one that the client does not find."""
    parts = Parts("AtLeastOnce")
    known(parts, out=ONE)
    parts.brokers.topics["out"].error = KafkaError.UNKNOWN_TOPIC_OR_PART
    batches = parts.submit(batch(b"a", b"b"))
    assert parts.run(5) == []
    assert "can't be written" in parts.delivery.blocked
    parts.brokers.topics["out"].error = None
    parts.brokers.topics["out"].moves += 1
    parts.lookup.rules = {"out": TopicRules(id=TWO)}
    assert parts.run() == batches
    assert parts.written() == [b"a", b"b"]


# --- review requests ------------------------------------------------------------------------------


def requested(*texts, start=0, verdict=b"verdict", partition=0):
    """Return a batch in which every verdict is followed by a request to review its text."""
    records, offset = [], start
    for text in texts:
        message = FakeMessage(partition, offset, b"original")
        item = f"in/{partition}/{offset}"
        request = ReviewRequest({"item": item, "text": text, "context": "c" * 200}, "Policy")
        records += [
            Record(None, message, b"k", verdict, [], None),
            Record(None, message, item.encode(), request.value(), [], None, request=request),
        ]
        offset += 1
    return Batch(records, {partition: offset}, np.zeros(len(texts)), requests=len(texts))


def asked(parts):
    return [json.loads(value) for value in parts.written("review")]


def test_a_request_goes_to_the_review_topic_by_its_item(parts):
    batches = parts.submit(requested("a", "b"), batch(b"c", start=2, partition=1))
    assert parts.run() == batches
    assert parts.written() == [b"verdict", b"verdict", b"c"]
    assert [one["text"] for one in asked(parts)] == ["a", "b"]
    found = parts.brokers.topics["review"].records
    assert [(one["key"], one["partition"]) for one in found] == [(b"in/0/0", 0), (b"in/0/1", 0)]


def test_requests_of_an_input_partition_share_one_of_the_review_topic(parts):
    parts.submit(requested("a", "b", partition=1), requested("c", partition=7))
    parts.run()
    assert [one["partition"] for one in parts.brokers.topics["review"].records] == [1, 1, 1]


def test_a_review_topic_with_fewer_partitions_than_before_costs_no_verdict(parts):
    parts.writer.refresh(time.monotonic(), force=True)
    parts.brokers.topics["review"].partitions = 1
    batches = parts.submit(requested("a", "b", partition=1))
    assert parts.run() == batches
    found = [parts.brokers.topics[name].records for name in ("out", "review")]
    assert [[one["partition"] for one in records] for records in found] == [[1, 1], [-1, -1]]


@pytest.mark.parametrize("known", [True, False])
def test_a_request_that_its_topic_does_not_take_gets_shorter_and_costs_no_verdict(parts, known):
    if known:
        parts.know(review=2_000)
    parts.brokers.topics["review"].max_bytes = 2_000
    batches = parts.submit(requested("short", "é" * 5_000, "short too"))
    assert parts.run() == batches
    assert parts.written() == [b"verdict"] * 3
    first, second, third = asked(parts)
    assert (first["text"], third["text"]) == ("short", "short too")
    assert set(second["text"]) == {"é"}
    assert 400 < len(second["text"]) < 2_000
    assert (second["truncatedFrom"], "context" in second) == (5_000, False)
    assert parts.written("dead") == []
    assert parts.delivery.blocked is None


@pytest.mark.parametrize("known", [True, False])
def test_a_review_topic_that_takes_no_text_costs_the_request_and_nothing_else(parts, known):
    if known:
        parts.know(review=150)
    parts.brokers.topics["review"].max_bytes = 150
    batches = parts.submit(requested("x" * 400), batch(b"b", start=1))
    assert parts.run() == batches
    assert parts.written() == [b"verdict", b"b"]
    assert (parts.written("review"), parts.written("dead")) == ([], [])
    assert [record.withdrawn for record in batches[0].records] == [False, True]


def test_a_review_topic_that_cannot_be_written_blocks_the_stream_until_it_can(parts):
    parts.brokers.topics["review"].error = KafkaError.UNKNOWN_TOPIC_OR_PART
    batches = parts.submit(requested("a"), batch(b"b", start=1))
    assert parts.run(turns=6) == []
    assert parts.delivery.blocked.startswith("The topic review can't be written: ")
    parts.brokers.topics["review"].error = None
    assert parts.run() == batches
    assert parts.delivery.blocked is None
    assert [one["text"] for one in asked(parts)] == ["a"]
    assert parts.written() == [b"verdict", b"b"]


@pytest.mark.parametrize("known", [True, False])
def test_counts_go_to_the_review_topic_and_cost_no_verdict_where_it_takes_none(parts, known):
    def counted(value, start):
        message = FakeMessage(0, start)
        counts = Record(None, message, b"in/0", value, [], None, counts=True)
        verdict = Record(None, message, b"k", b"verdict", [], None)
        return Batch([verdict, counts], {0: start + 1}, np.zeros(1), counts=1)

    if known:
        parts.know(review=2_000)
    parts.brokers.topics["review"].max_bytes = 2_000
    batches = parts.submit(counted(b"small", 0), counted(b"x" * 3_000, 1), counted(b"again", 2))
    assert parts.run() == batches
    assert parts.written("review") == [b"small", b"again"]
    assert parts.written() == [b"verdict"] * 3
    assert (parts.written("dead"), parts.delivery.blocked) == ([], None)


def test_nobody_is_asked_about_a_verdict_that_became_a_dead_letter(parts):
    parts.know(out=2_000)
    one = requested("a", "b")
    one.records[0] = one.records[0]._replace(value=BIG)
    parts.submit(one)
    parts.run()
    assert reasons(parts) == [b"OutputRefused"]
    assert [each["item"] for each in asked(parts)] == ["in/0/1"]


def test_requests_of_partitions_that_went_are_not_written(parts):
    parts.submit(requested("a"))
    parts.delivery.forget({0})
    parts.run()
    assert (parts.written(), parts.written("review")) == ([], [])


def test_a_verdict_and_its_request_are_committed_together_or_not_at_all(exact):
    exact.brokers.topics["review"].error = KafkaError.NOT_ENOUGH_REPLICAS
    exact.submit(requested("a"))
    exact.run(turns=2)
    assert (exact.written(), exact.written("review"), exact.brokers.offsets) == ([], [], {})
    assert exact.brokers.aborts
    exact.brokers.topics["review"].error = None
    exact.run()
    assert exact.written() == [b"verdict"]
    assert [one["text"] for one in asked(exact)] == ["a"]
    assert exact.brokers.offsets == {0: 1}


# --- at least once ------------------------------------------------------------------------------


def test_what_comes_while_batches_are_on_their_way_waits_and_then_goes_together(least):
    least.brokers.silent = True
    batches = least.submit(batch(b"a"), batch(b"b", start=1))
    least.delivery.write()
    batches += least.submit(batch(b"c", start=2))
    least.delivery.write()
    assert len(least.writer.producer) == 2
    assert least.delivery.collect(0) == []
    least.brokers.silent = False
    assert least.run() == batches
    assert least.written() == [b"a", b"b", b"c"]


def test_what_waits_counts_for_what_may_be_in_flight(least):
    for number in range(BATCHES_IN_FLIGHT):
        assert not least.delivery.full
        least.submit(batch(b"a", start=number))
    assert least.delivery.full


def test_after_a_fatal_error_a_new_producer_writes_the_rest_in_order(least):
    least.brokers.silent = True
    least.submit(batch(b"a", b"b", b"c"))
    least.delivery.write()
    least.writer.producer.fatal = KafkaError(KafkaError._FATAL, "epoch", True)
    least.brokers.silent = False
    assert len(least.run()) == 1
    assert least.brokers.opened == 2
    assert least.written() == [b"a", b"b", b"c"]


# --- exactly once -------------------------------------------------------------------------------


def test_offsets_are_committed_with_the_records(exact):
    exact.submit(batch(b"a", b"b"), batch(b"c", start=2), batch(b"d", partition=1))
    exact.run()
    assert exact.brokers.offsets == {0: 3, 1: 1}


def test_nothing_of_an_aborted_transaction_counts(exact):
    exact.brokers.commit_errors.append(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE))
    exact.submit(batch(b"a"))
    exact.delivery.write()
    assert exact.delivery.collect(5) == []
    assert exact.written() == []
    assert exact.delivery.blocked.startswith("No transaction can be committed: ")
    exact.run()
    assert exact.written() == [b"a"]
    assert exact.delivery.blocked is None


def test_behind_an_aborted_transaction_a_new_client_goes_on(exact):
    """In its old epoch the next writes could pass for repetitions of the aborted ones."""
    exact.submit(batch(b"a"))
    exact.brokers.commit_errors.append(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE))
    opened, client = exact.brokers.opened, exact.writer.producer
    exact.run()
    assert exact.written() == [b"a"]
    assert exact.brokers.opened == opened + 1
    assert exact.writer.producer is not client


def test_a_refusal_that_teaches_a_smaller_batch_opens_one_client(exact):
    exact.know(out=1_000_000)
    exact.submit(batch(b"a"))
    exact.run()
    exact.know(out=2_000)
    opened = exact.brokers.opened
    exact.submit(batch(b"b", BIG, start=1))
    exact.run()
    assert exact.written() == [b"a", b"b"]
    assert reasons(exact) == [b"OutputRefused"]
    assert (exact.brokers.aborts, exact.brokers.opened) == (1, opened + 1)


def test_a_retriable_error_repeats_the_call_alone(exact):
    exact.brokers.commit_errors += [
        KafkaError(KafkaError._TIMED_OUT, "slow", False, True),
        KafkaError(KafkaError._TIMED_OUT, "slow", False, True),
    ]
    exact.submit(batch(b"a"))
    exact.run()
    assert exact.written() == [b"a"]
    assert exact.brokers.aborts == 0


def test_a_rebalance_that_aborts_is_no_reason_to_say_blocked(exact):
    exact.brokers.commit_errors.append(KafkaError(KafkaError.STALE_MEMBER_EPOCH))
    exact.submit(batch(b"a"))
    exact.delivery.write()
    assert exact.delivery.collect(5) == []
    assert exact.delivery.blocked is None
    exact.run()
    assert exact.written() == [b"a"]


def test_a_fenced_producer_ends_the_stream(exact):
    exact.brokers.commit_errors.append(KafkaError(KafkaError._FENCED, "fenced", True))
    exact.submit(batch(b"a"))
    exact.delivery.write()
    with pytest.raises(StreamError, match="Another process has this one's place"):
        exact.delivery.collect(5)


def test_a_slow_acknowledgement_is_no_refusal_while_looking_for_the_refused(exact):
    """In careful mode each record is flushed alone; one that is late was not refused."""
    exact.writer.producer.batch_bytes = 300
    exact.brokers.topics["out"].max_bytes = 2_000
    exact.submit(batch(b"a", BIG, b"c"))
    exact.delivery.write()
    assert exact.delivery.collect(5) == []  # refused, nobody knows which
    exact.writer.producer.flush = lambda wait: len(exact.writer.producer)
    exact.delivery.write()
    assert exact.delivery.collect(5) == []
    exact.run()
    assert exact.written() == [b"a", b"c"]
    assert reasons(exact) == [b"OutputRefused"]


def test_other_batches_do_not_wait_for_the_search_of_a_refused_record(exact):
    exact.brokers.topics["out"].max_bytes = 2_000
    exact.submit(batch(b"a"), batch(BIG, start=1), *[batch(b"b", start=2 + n) for n in range(10)])
    exact.run()
    assert exact.written() == [b"a", *[b"b"] * 10]
    assert exact.brokers.aborts == 2


def test_an_unreachable_coordinator_blocks_before_anything_is_read(exact):
    exact.brokers.silent = True
    assert not exact.delivery.prepare()
    assert exact.delivery.blocked.startswith("No transaction can be committed: ")
    exact.brokers.silent = False
    assert exact.delivery.prepare()
    assert exact.delivery.blocked is None


def test_a_coordinator_that_refuses_at_once_is_not_asked_without_a_pause(exact, monkeypatch):
    monkeypatch.setattr(exactly_once, "RETRY_SECONDS", 60)
    waited = []
    exact.writer.producer.poll = waited.append
    exact.brokers.silent = True
    assert not exact.delivery.prepare()
    assert not exact.delivery.prepare()
    assert waited == [pytest.approx(60, rel=0.1)]


def test_a_client_that_is_stuck_while_it_fences_ends_the_stream(monkeypatch):
    monkeypatch.setattr(exactly_once, "STUCK_SECONDS", -1)
    later = Later()
    exact = Parts("ExactlyOnce", later)
    outgrown(exact)
    exact.submit(batch(b"a"))
    exact.run(2, wait=0)
    assert later.run() == ["open producer"]
    with pytest.raises(StreamError, match="stuck"):
        exact.run(2, wait=0)


# --- two members with one partition ---------------------------------------------------------------


def test_nothing_is_written_while_it_is_not_known_whether_another_member_went_on(
    exact, monkeypatch
):
    answers = iter([False, True])
    exact.claims.confirm = lambda _partitions: next(answers)
    [one] = exact.submit(batch(b"a"))
    with monkeypatch.context() as patched:
        patched.setattr(exactly_once, "REBALANCE_SECONDS", 60)
        exact.delivery.write()
        exact.delivery.write()  # not asked again at once
    exact.delivery._retry_at = 0
    assert exact.written() == []
    assert exact.run() == [one]
    assert exact.written() == [b"a"]


def test_what_another_member_went_on_with_is_not_written(exact):
    first, second = batch(b"a", partition=0), batch(b"b", partition=1)
    asked = []

    def confirm(partitions):
        asked.append(partitions)
        exact.delivery.forget({0})
        return True

    exact.claims.confirm = confirm
    exact.submit(first, second)
    exact.run()
    assert asked == [{0, 1}]
    assert exact.written() == [b"b"]
    assert exact.brokers.offsets == {1: 1}
