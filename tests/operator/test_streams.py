"""Lag and decisions of streams on a Kafka cluster in memory."""

from __future__ import annotations

from typing import Any

import pytest
from kafka_admin_fake import FakeKafka
from objects import PLAINTEXT, moderation

from textmod_operator.controller import streams as streams_module
from textmod_operator.controller.streams import Streams, stream_of
from textmod_operator.kafka.clusters import KafkaClusters
from textmod_operator.state import KafkaConnection, LagReading, LagUnknown, ObjectKey

KEY = ObjectKey("reddit", "science")
OTHER = ObjectKey("reddit", "other")
MOVED = KafkaConnection("elsewhere:9092")
GROUP = "textmod.reddit.science"


def kafka_with(partitions: int = 12, waiting: int = 0) -> FakeKafka:
    kafka = FakeKafka()
    kafka.create("science-input", partitions)
    for number in range(partitions):
        kafka.produce("science-input", waiting, partition=number)
    return kafka


def followed(kafka: FakeKafka, spec: dict[str, Any] | None = None) -> tuple[Streams, KafkaClusters]:
    clusters = kafka.clusters()
    streams = Streams(clusters)
    streams.follow(stream_of(moderation(spec), PLAINTEXT, 1))
    return streams, clusters


def test_what_cannot_be_read_keeps_the_replicas() -> None:
    streams, clusters = followed(FakeKafka(), {"replicas": 5})
    assert streams.scaling(KEY) is None
    assert streams.poll(clusters.to(PLAINTEXT), 1000.0) == [KEY]
    seen = streams.scaling(KEY)
    assert seen is not None
    assert (seen.desired, seen.condition) == (5, "LagUnknown")


def test_a_backlog_asks_for_more() -> None:
    spec = {"autoscaling": {"lag": {"messagesPerReplica": 100}}}
    streams, clusters = followed(kafka_with(waiting=100), spec)
    streams.poll(clusters.to(PLAINTEXT), 1000.0)
    seen = streams.scaling(KEY)
    assert seen is not None
    assert seen.desired == 12


def test_what_was_learned_is_remembered_and_nonsense_is_not() -> None:
    streams = Streams(FakeKafka().clusters())
    stream = stream_of(moderation(), PLAINTEXT, 1)
    streams.follow(stream, '{"rate": 812.5}')
    learned = streams.learned(KEY)
    assert learned == f'{{"rate": 810.0, "of": "{stream.way}"}}'
    streams.forget(KEY)
    for nonsense in ("{", "[]", '{"rate": "fast"}', '{"rate": -1}', None):
        streams.follow(stream, nonsense)
        assert streams.learned(KEY) is None
        streams.forget(KEY)


def test_after_a_move_nothing_of_the_old_cluster_counts() -> None:
    streams, clusters = followed(kafka_with(waiting=100))
    streams.follow(stream_of(moderation(), PLAINTEXT, 1), '{"rate": 812.5}')
    streams.poll(clusters.to(PLAINTEXT), 1000.0)
    assert streams.scaling(KEY) is not None
    streams.follow(stream_of(moderation(), MOVED, 1))
    assert streams.scaling(KEY) is None
    assert streams.poll(clusters.to(PLAINTEXT), 1002.0) == []
    assert streams.poll(clusters.to(MOVED), 1002.0) == [KEY]


def test_a_reading_that_is_under_way_during_a_move_is_dropped() -> None:
    kafka = kafka_with(waiting=100)
    streams, clusters = followed(kafka)
    kafka.before["list_offsets"] = lambda: streams.follow(stream_of(moderation(), MOVED, 1))
    assert streams.poll(clusters.to(PLAINTEXT), 1000.0) == []
    assert streams.scaling(KEY) is None


def test_a_law_that_fails_on_one_object_is_that_object_s_condition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka = kafka_with(waiting=1)
    kafka.create("other-input")
    streams, clusters = followed(kafka)
    streams.follow(stream_of(moderation(name="other"), PLAINTEXT, 1))
    decide = streams_module.decide

    def failing(reading: Any, workload: Any, policy: Any, memory: Any, now: float) -> Any:
        if isinstance(reading, LagReading) and len(reading.partitions) == 12:
            raise ZeroDivisionError
        return decide(reading, workload, policy, memory, now)

    monkeypatch.setattr(streams_module, "decide", failing)
    assert set(streams.poll(clusters.to(PLAINTEXT), 1000.0)) == {KEY, OTHER}
    broken, fine = streams.scaling(KEY), streams.scaling(OTHER)
    assert broken is not None
    assert isinstance(broken.reading, LagUnknown)
    assert "ZeroDivisionError" in broken.reading.why
    assert fine is not None
    assert isinstance(fine.reading, LagReading)


@pytest.mark.parametrize(
    "changed",
    [
        {"model": {"image": "another:1"}},
        {"model": {"resources": {"requests": {"cpu": "2"}}}},
        {"serving": {"streaming": "SeldonExecutor"}},
    ],
)
def test_a_speed_belongs_to_image_resources_and_way_of_reading(changed: dict[str, Any]) -> None:
    streams = Streams(FakeKafka().clusters())
    before, after = (stream_of(moderation(spec), PLAINTEXT, 1) for spec in ({}, changed))
    streams.follow(before, '{"rate": 812.5}')
    learned = streams.learned(KEY)
    streams.follow(after)
    assert streams.learned(KEY) is None
    restarted = Streams(FakeKafka().clusters())
    restarted.follow(after, learned)
    assert restarted.learned(KEY) is None
    restarted.forget(KEY)
    restarted.follow(before, learned)
    assert restarted.learned(KEY) == learned
