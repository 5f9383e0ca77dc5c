"""What a rebalance in the middle of a fetch takes away, and what it must not."""

from collections import deque

import pytest
from confluent_kafka import TopicPartition

from textmod_model import settings
from textmod_model.health import Health
from textmod_model.stream.consumer import BATCH_BYTES, GroupConsumer
from textmod_model.stream.records import HeadersUnread
from textmod_model.stream.speed import Speed

STREAM = {
    "TEXTMOD_STREAMING": "Native",
    "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "TEXTMOD_INPUT_TOPIC": "in",
    "TEXTMOD_OUTPUT_TOPIC": "out",
    "TEXTMOD_DEAD_LETTER_TOPIC": "dead",
    "TEXTMOD_CONSUMER_GROUP": "group",
}


class FakeMessage:
    def __init__(self, partition, offset, size=1):
        self.where = (partition, offset)
        self._size = size

    def __len__(self):
        return self._size

    def topic(self):
        return "in"

    def offset(self):
        return self.where[1]

    key = value = timestamp = topic

    def headers(self):
        return None

    def partition(self):
        return self.where[0]

    def error(self):
        return None


class FakeConsumer:
    """Returns what it is given, after doing what happens during that call."""

    def __init__(self):
        self.calls = deque()

    def consume(self, _most, _wait):
        if not self.calls:
            return []
        during, messages = self.calls.popleft()
        during()
        return messages

    def committed(self, partitions, timeout):
        return partitions

    def position(self, partitions):
        return partitions

    def nothing(self, *_partitions, **_options):
        pass

    commit = subscribe = incremental_assign = incremental_unassign = pause = resume = nothing


@pytest.fixture
def source():
    return GroupConsumer(
        settings.load(STREAM),
        Health(streaming=True),
        Speed(812.5, 1, 256),
        connect=lambda _options: FakeConsumer(),
    )


def nothing():
    pass


def rebalance(source, revoked, assigned):
    def happen():
        source._revoked(source._consumer, [TopicPartition("in", number) for number in revoked])
        source._assigned(source._consumer, [TopicPartition("in", number) for number in assigned])

    return happen


def where(messages):
    return [message.where for message in messages]


def test_what_was_read_before_a_partition_went_is_dropped(source):
    source._consumer.calls += [
        (nothing, [FakeMessage(0, 5), FakeMessage(1, 7)]),
        (rebalance(source, [0, 1], [1]), []),
    ]
    assert where(source.fetch(10, wait=0)) == []


def test_what_was_read_after_a_partition_came_back_is_kept(source):
    source._consumer.calls += [
        (nothing, [FakeMessage(0, 5), FakeMessage(1, 7)]),
        (rebalance(source, [0, 1], [1]), [FakeMessage(1, 7), FakeMessage(1, 8)]),
    ]
    assert where(source.fetch(10, wait=0)) == [(1, 7), (1, 8)]


def test_the_same_holds_for_what_was_put_aside_while_nothing_could_be_written(source):
    source._consumer.calls += [
        (nothing, [FakeMessage(0, 5)]),
        (nothing, [FakeMessage(1, 7)]),
        (rebalance(source, [0, 1], [1]), [FakeMessage(1, 7)]),
    ]
    for _ in range(3):
        source.hold()
    assert where(source.fetch(10, wait=0)) == [(1, 7)]


class FakeMessageWithBadHeader(FakeMessage):
    def headers(self):
        raise SystemError("returned a result with an exception set")


def test_a_message_whose_headers_the_client_cant_read_is_told_from_others(source):
    source._consumer.calls.append((nothing, [FakeMessageWithBadHeader(0, 5), FakeMessage(0, 6)]))
    bad, good = source.fetch(10, wait=0)
    assert isinstance(bad, HeadersUnread)
    assert (bad.partition(), bad.offset(), bad.headers()) == (0, 5, None)
    assert good.where == (0, 6)


def test_a_batch_is_bounded_in_bytes_and_the_rest_comes_with_the_next(source):
    sizes = [1, BATCH_BYTES - 1, 1, BATCH_BYTES + 1, BATCH_BYTES]
    source._consumer.calls.append(
        (nothing, [FakeMessage(0, at, size) for at, size in enumerate(sizes)])
    )
    batches = [where(source.fetch(10, wait=0)) for _ in range(5)]
    assert batches == [[(0, 0), (0, 1)], [(0, 2)], [(0, 3)], [(0, 4)], []]


def test_offsets_of_partitions_given_up_are_not_ours_to_store(source):
    rebalance(source, [], [0, 1])()
    rebalance(source, [1], [])()
    [kept] = source.topic_partitions({0: 5, 1: 7})
    assert (kept.partition, kept.metadata) == (0, "rate=812.5")
