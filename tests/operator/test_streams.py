from __future__ import annotations

from objects import PLAINTEXT, moderation

from textmod_operator.controller.streams import Streams, stream_of
from textmod_operator.state import KafkaConnection, LagReading, LagUnknown, ObjectKey, PartitionLag

KEY = ObjectKey("reddit", "science")


class Monitor:
    """Answers what the test sets; notes who is watched."""

    def __init__(self, connection: KafkaConnection) -> None:
        self.connection = connection
        self.watched: dict[ObjectKey, tuple[str, str]] = {}
        self.answer: LagReading | LagUnknown = LagUnknown(0.0, "no answer")
        self.closed = False

    def watch(self, key: ObjectKey, topic: str, group: str) -> None:
        self.watched[key] = (topic, group)

    def forget(self, key: ObjectKey) -> None:
        del self.watched[key]

    def poll(self, now: float) -> dict[ObjectKey, LagReading | LagUnknown]:
        return dict.fromkeys(self.watched, self.answer)

    def close(self) -> None:
        self.closed = True


class Monitors:
    def __init__(self) -> None:
        self.made: list[Monitor] = []

    def __call__(self, connection: KafkaConnection) -> Monitor:
        self.made.append(Monitor(connection))
        return self.made[-1]


def test_objects_on_one_kafka_share_a_monitor() -> None:
    monitors = Monitors()
    streams = Streams(monitors)
    streams.follow(stream_of(moderation(), PLAINTEXT, 1))
    streams.follow(stream_of(moderation(name="other"), PLAINTEXT, 1))
    (monitor,) = monitors.made
    assert monitor.watched[KEY] == ("science-input", "textmod.reddit.science")
    assert streams.connections() == [PLAINTEXT]
    streams.forget(KEY)
    streams.forget(ObjectKey("reddit", "other"))
    assert monitor.closed
    assert streams.connections() == []


def test_a_change_of_credentials_moves_to_another_monitor() -> None:
    monitors = Monitors()
    streams = Streams(monitors)
    streams.follow(stream_of(moderation(), PLAINTEXT, 1))
    renewed = KafkaConnection("kafka:9092", "PLAIN", "sally", "new")
    streams.follow(stream_of(moderation(), renewed, 1))
    old, new = monitors.made
    assert old.closed
    assert KEY in new.watched


def test_what_cannot_be_read_keeps_the_replicas() -> None:
    monitors = Monitors()
    streams = Streams(monitors)
    streams.follow(stream_of(moderation({"replicas": 5}), PLAINTEXT, 5))
    assert streams.scaling(KEY) is None
    assert streams.poll(PLAINTEXT, 1000.0) == [KEY]
    seen = streams.scaling(KEY)
    assert seen is not None
    assert (seen.desired, seen.condition) == (5, "LagUnknown")


def test_a_backlog_asks_for_more() -> None:
    monitors = Monitors()
    streams = Streams(monitors)
    spec = {"autoscaling": {"lag": {"messagesPerReplica": 100}}}
    streams.follow(stream_of(moderation(spec), PLAINTEXT, 1))
    waiting = tuple(PartitionLag(number, 0, 100, 0) for number in range(12))
    monitors.made[0].answer = LagReading(1000.0, waiting)
    streams.poll(PLAINTEXT, 1000.0)
    seen = streams.scaling(KEY)
    assert seen is not None
    assert seen.desired == 12


def test_what_was_learned_is_remembered_and_nonsense_is_not() -> None:
    streams = Streams(Monitors())
    stream = stream_of(moderation(), PLAINTEXT, 1)
    streams.follow(stream, '{"rate": 812.5}')
    assert streams.learned(KEY) == '{"rate": 810.0}'
    streams.forget(KEY)
    for nonsense in ("{", "[]", '{"rate": "fast"}', '{"rate": -1}', None):
        streams.follow(stream, nonsense)
        assert streams.learned(KEY) is None
        streams.forget(KEY)
