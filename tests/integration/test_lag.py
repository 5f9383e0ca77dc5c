"""What LagMonitor says about a real broker, in every state a topic and a group can be in.

Time is virtual where it can be: `poll(now)` takes the clock from the test.
"""

from __future__ import annotations

import gc
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    NewPartitions,
    NewTopic,
)

from textmod_dev.kafka_broker import KafkaBroker
from textmod_operator.kafka.lag import LagMonitor
from textmod_operator.kafka.offsets import Partition
from textmod_operator.state import KafkaConnection, LagReading, LagUnknown, ObjectKey

pytestmark = pytest.mark.integration

KEY = ObjectKey("team", "science")
BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Three brokers, so that a partition can lose its leader while the cluster goes on."""
    properties = {"log.cleaner.backoff.ms": "200"}
    folder = tmp_path_factory.mktemp("kafka")
    with KafkaBroker(folder, brokers=3, properties=properties) as broker:
        yield broker


@pytest.fixture(autouse=True)
def refused_connections() -> Iterator[None]:
    """kafka-python leaves the socket of a refused connection to the garbage collector."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def admin(kafka: KafkaBroker) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap_servers})


@pytest.fixture
def monitor(kafka: KafkaBroker) -> Iterator[LagMonitor]:
    monitor = LagMonitor(KafkaConnection(kafka.bootstrap_servers), request_seconds=5)
    yield monitor
    monitor.close()


class Stream:
    """One topic and one consumer group of the test."""

    def __init__(self, servers: str, admin: AdminClient) -> None:
        self.servers = servers
        self.admin = admin
        self.topic = f"input-{uuid.uuid4().hex[:8]}"
        self.group = f"group-{self.topic}"

    def create(self, partitions: int = 1, config: dict[str, str] | None = None) -> Stream:
        topic = NewTopic(self.topic, partitions, 1, config=config or {})
        self.admin.create_topics([topic])[self.topic].result(10)
        return self

    def produce(self, *values: str, partition: int = 0, at: float | None = None) -> None:
        producer = Producer({"bootstrap.servers": self.servers})
        stamp = {} if at is None else {"timestamp": int(at * 1000)}
        for value in values:
            producer.produce(self.topic, value, value, partition=partition, **stamp)
        assert producer.flush(10) == 0

    def consumer(self, **config: object) -> Consumer:
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": self.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                **config,
            }
        )
        consumer.subscribe([self.topic])
        return consumer

    def read(self, count: int) -> None:
        """Read and commit `count` messages as a member of the group."""
        consumer = self.consumer()
        messages = consumer.consume(count, 20)
        assert len(messages) == count
        consumer.commit(asynchronous=False)
        consumer.close()

    def commit(self, offset: int, partition: int = 0) -> None:
        """Set the group's committed offset from outside."""
        commit(self.admin, self.group, TopicPartition(self.topic, partition, offset))


def commit(admin: AdminClient, group: str, at: TopicPartition) -> None:
    def done() -> bool:
        request = ConsumerGroupTopicPartitions(group, [at])
        (future,) = admin.alter_consumer_group_offsets([request]).values()
        return future.result(10).topic_partitions[0].error is None

    wait_for(done, f"{at} committed")  # a new cluster's coordinator takes its time


@pytest.fixture
def stream(kafka: KafkaBroker, admin: AdminClient) -> Stream:
    return Stream(kafka.bootstrap_servers, admin)


def known(monitor: LagMonitor, now: float | None = None) -> LagReading:
    reading = monitor.poll(time.time() if now is None else now)[KEY]
    assert isinstance(reading, LagReading), reading
    return reading


def test_a_group_that_has_read_a_part(stream: Stream, monitor: LagMonitor) -> None:
    stream.create(partitions=2)
    stream.produce(*"abcdef")
    stream.produce(*"gh", partition=1)
    stream.commit(4)
    stream.commit(2, partition=1)
    monitor.watch(KEY, stream.topic, stream.group)
    reading = known(monitor)
    assert [(p.partition, p.committed, p.end, p.messages) for p in reading.partitions] == [
        (0, 4, 6, 2),
        (1, 2, 2, 0),
    ]
    assert reading.messages == reading.per_partition_max == 2


def test_a_group_that_never_committed_has_the_whole_log_before_it(
    stream: Stream, monitor: LagMonitor
) -> None:
    stream.create()
    stream.produce(*"abcdef")
    stream.admin.delete_records([TopicPartition(stream.topic, 0, 2)])
    monitor.watch(KEY, stream.topic, stream.group)
    reading = wait_for_reading(monitor, lambda r: r.partitions[0].log_start == 2)
    assert reading.partitions[0].committed is None
    assert reading.messages == 4


def test_retention_that_passed_the_committed_offset_is_not_lag(
    stream: Stream, monitor: LagMonitor
) -> None:
    stream.create()
    stream.produce(*"abcdefghij")
    stream.commit(2)
    monitor.watch(KEY, stream.topic, stream.group)
    assert known(monitor).messages == 8
    for future in stream.admin.delete_records([TopicPartition(stream.topic, 0, 7)]).values():
        future.result(10)
    assert wait_for_reading(monitor, lambda r: r.partitions[0].log_start == 7).messages == 3


def test_a_topic_made_anew_is_read_from_its_start(stream: Stream, monitor: LagMonitor) -> None:
    stream.create()
    stream.produce(*"abcdef")
    stream.read(6)
    monitor.watch(KEY, stream.topic, stream.group)
    assert known(monitor).messages == 0
    stream.admin.delete_topics([stream.topic])[stream.topic].result(10)
    wait_for(lambda: isinstance(monitor.poll(time.time())[KEY], LagUnknown), "topic gone")
    wait_for(lambda: stream.topic not in stream.admin.list_topics().topics, "metadata gone")
    stream.create()
    stream.produce(*"xy")
    stream.commit(6)  # what a broker that is slow to clean up would still answer
    reading = wait_for_reading(monitor, lambda r: r.partitions[0].end == 2)
    assert reading.messages == 2
    assert reading.partitions[0].committed is None


def test_transaction_markers_are_not_lag(stream: Stream, monitor: LagMonitor) -> None:
    stream.create()
    producer = Producer({"bootstrap.servers": stream.servers, "transactional.id": stream.group})
    producer.init_transactions(10)
    for ending in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for value in "abc":
            producer.produce(stream.topic, value)
        producer.flush(10)  # an abort drops what has not been sent
        ending(10)
    stream.read(3)
    monitor.watch(KEY, stream.topic, stream.group)
    wait_for_reading(monitor, lambda r: r.partitions[0].end == 8)  # markers come a moment later
    now = time.time()
    reading = known(monitor, now + 11)
    lag = reading.partitions[0]
    assert (lag.end, lag.committed, lag.residue) == (8, 3, 5)
    assert reading.messages == 0
    assert reading.seconds_behind == 0

    stream.produce("d")  # the next real message is lag again, residue or not
    assert known(monitor, now + 12).messages > 0


def test_records_of_an_open_transaction_are_nobody_s_lag_yet(
    stream: Stream, monitor: LagMonitor
) -> None:
    stream.create()
    producer = Producer({"bootstrap.servers": stream.servers, "transactional.id": stream.group})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(stream.topic, "a")
    producer.flush(10)
    monitor.watch(KEY, stream.topic, stream.group)
    assert known(monitor).messages == 0
    producer.commit_transaction(10)
    wait_for_reading(monitor, lambda r: r.messages > 0)


def test_what_compaction_took_has_no_age(stream: Stream, monitor: LagMonitor) -> None:
    """The committed offset lies in a hole: the age is that of the next record that is there."""
    stream.create(
        config={
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.01",
            "segment.ms": "100",
            "min.compaction.lag.ms": "0",
            **BROKER_TIME,
        }
    )
    written = time.time()
    stream.produce(*"aaaaa")
    stream.commit(1)

    def first_record_left() -> int:
        consumer = Consumer({"bootstrap.servers": stream.servers, "group.id": "look"})
        consumer.assign([TopicPartition(stream.topic, 0, 1)])
        message = consumer.poll(5)
        consumer.close()
        assert message is not None
        return int(message.offset() or 0)

    def compacted() -> bool:
        stream.produce("z")  # rolls the segment; the active one is never compacted
        return first_record_left() == 4

    wait_for(compacted, "the first records compacted", seconds=40)
    monitor.watch(KEY, stream.topic, stream.group)
    reading = known(monitor, written + 300)
    assert reading.partitions[0].position == 1
    assert reading.seconds_behind == pytest.approx(300, abs=2)


def test_a_rebalance_is_told(stream: Stream, monitor: LagMonitor) -> None:
    stream.create(partitions=2)
    first = stream.consumer()
    wait_for(lambda: first.poll(0.2) is not None or first.assignment(), "the first has joined")
    stream.produce(*"abc")
    monitor.watch(KEY, stream.topic, stream.group)
    now = time.time()
    assert not known(monitor, now).rebalancing
    second = stream.consumer()  # the group now waits for the first, which does not poll
    second.poll(1)
    moment = iter(range(11, 10_000, 11))
    wait_for(lambda: known(monitor, now + next(moment)).rebalancing, "the rebalance was seen")
    first.close()
    wait_for(lambda: second.poll(0.2) is not None, "the second reads")
    second.commit(asynchronous=False)
    assert not known(monitor, now + next(moment)).rebalancing
    second.close()


def test_a_partition_without_leader_makes_the_lag_unknown(
    kafka: KafkaBroker, stream: Stream, monitor: LagMonitor
) -> None:
    second = max(stream.admin.list_topics(timeout=10).brokers)
    first = min(stream.admin.list_topics(timeout=10).brokers)
    placed = NewTopic(stream.topic, 2, replica_assignment=[[first], [second]])
    stream.admin.create_topics([placed])[stream.topic].result(10)
    stream.produce(*"abc")
    monitor.watch(KEY, stream.topic, stream.group)
    assert wait_for_reading(monitor, lambda r: True).messages == 3
    kafka.stop_broker(2)
    try:

        def says_which() -> bool:  # until a new controller is elected, nobody says anything
            found = monitor.poll(time.time())[KEY]
            named = f"Partition 1 of topic {stream.topic}"
            return isinstance(found, LagUnknown) and named in found.why

        wait_for(says_which, "the partition is named")
    finally:
        kafka.start_broker(2)
        kafka.wait()
    assert wait_for_reading(monitor, lambda r: True).messages == 3


def test_offsets_that_expire_while_nobody_reads_are_put_back(
    stream: Stream, monitor: LagMonitor
) -> None:
    """Kafka deletes the offsets of a group without members after a week, and the group."""
    stream.create(partitions=2)
    stream.produce(*"abcdefghij")
    stream.read(10)
    monitor.watch(KEY, stream.topic, stream.group)
    assert wait_for_reading(monitor, lambda r: True).messages == 0
    wait_for(lambda: deleted(stream), "the group is deleted")
    stream.produce("k")
    assert wait_for_reading(monitor, lambda r: r.partitions[0].end == 11).messages == 1
    stream.read(1)
    assert wait_for_reading(monitor, lambda r: r.messages == 0).partitions[0].committed == 11


def deleted(stream: Stream) -> bool:
    """Kafka refuses it while a member is on its way out."""
    futures = stream.admin.delete_consumer_groups([stream.group])
    return futures[stream.group].exception(10) is None


def test_partitions_that_are_added_count_within_a_minute(
    stream: Stream, monitor: LagMonitor
) -> None:
    stream.create()
    monitor.watch(KEY, stream.topic, stream.group)
    now = time.time()
    assert len(known(monitor, now).partitions) == 1
    stream.admin.create_partitions([NewPartitions(stream.topic, 3)])[stream.topic].result(10)
    wait_for(
        lambda: len(stream.admin.list_topics(stream.topic).topics[stream.topic].partitions) == 3,
        "three partitions",
    )
    stream.produce(*"ab", partition=2)
    later = iter(range(61, 1000))

    def all_three() -> bool:  # not all brokers know of them at once
        reading = monitor.poll(now + next(later))[KEY]
        return isinstance(reading, LagReading) and len(reading.partitions) == 3

    wait_for(all_three, "three partitions read")
    assert known(monitor, now + next(later)).messages == 2


def test_a_topic_that_is_missing_is_unknown_and_not_empty(
    stream: Stream, monitor: LagMonitor
) -> None:
    monitor.watch(KEY, stream.topic, stream.group)
    unknown = monitor.poll(time.time())[KEY]
    assert isinstance(unknown, LagUnknown)
    assert stream.topic in unknown.why
    stream.create()
    assert wait_for_reading(monitor, lambda r: True).messages == 0


def test_a_broker_that_does_not_answer_is_unknown() -> None:
    monitor = LagMonitor(KafkaConnection("127.0.0.1:1"), request_seconds=1)
    monitor.watch(KEY, "input", "group")
    unknown = monitor.poll(time.time())[KEY]
    assert isinstance(unknown, LagUnknown)
    assert unknown.why.endswith(".")
    monitor.close()


def test_age_is_read_from_the_next_unread_record_after_a_restart(
    stream: Stream, monitor: LagMonitor
) -> None:
    stream.create(partitions=2, config=BROKER_TIME)
    stream.produce(*"ab", at=1.0)
    time.sleep(2)
    first = time.time()
    stream.produce("c", at=1.0)
    time.sleep(2)
    second = time.time()
    stream.produce("d", partition=1, at=1.0)
    stream.commit(2)
    monitor.watch(KEY, stream.topic, stream.group)
    now = first + 60
    assert known(monitor, now).seconds_behind == pytest.approx(60, abs=1)
    stream.commit(3)
    assert known(monitor, now).seconds_behind == pytest.approx(now - second, abs=1)
    stream.commit(1, partition=1)
    assert known(monitor, now).seconds_behind == 0


def test_a_producer_s_time_is_no_time_of_arrival(stream: Stream, monitor: LagMonitor) -> None:
    """A replay of old messages is not years behind, and a clock that is wrong is no news."""
    stream.create()
    stream.produce("a", at=time.time() - 1e8)
    monitor.watch(KEY, stream.topic, stream.group)
    assert known(monitor).messages == 1
    assert known(monitor).seconds_behind is None


def test_age_follows_the_monitor_s_own_record_of_arrivals(
    stream: Stream, monitor: LagMonitor
) -> None:
    stream.create()
    monitor.watch(KEY, stream.topic, stream.group)
    now = time.time()
    stream.commit(0)
    known(monitor, now)
    stream.produce(*"ab")
    known(monitor, now + 2)
    known(monitor, now + 10)
    stream.produce(*"cd")
    reading = known(monitor, now + 12)
    assert reading.seconds_behind == pytest.approx(12, abs=0.01)
    stream.commit(2)
    assert known(monitor, now + 12.5).seconds_behind == pytest.approx(2.5, abs=0.01)


def test_one_object_that_fails_leaves_the_others_known(
    stream: Stream, kafka: KafkaBroker, admin: AdminClient, monitor: LagMonitor
) -> None:
    stream.create()
    stream.produce("a")
    other = ObjectKey("team", "other")
    monitor.watch(KEY, stream.topic, stream.group)
    monitor.watch(other, "never-made", "group")
    readings = monitor.poll(time.time())
    assert isinstance(readings[KEY], LagReading)
    assert isinstance(readings[other], LagUnknown)
    monitor.forget(other)
    assert set(monitor.poll(time.time())) == {KEY}


def test_a_coordinator_that_moves_is_followed(
    kafka: KafkaBroker, stream: Stream, monitor: LagMonitor
) -> None:
    """librdkafka's own call ends the process here (librdkafka#5040)."""
    first = min(stream.admin.list_topics(timeout=10).brokers)
    placed = NewTopic(stream.topic, 1, replica_assignment=[[first]])
    stream.admin.create_topics([placed])[stream.topic].result(10)
    stream.produce(*"abc")
    groups = {ObjectKey("team", f"object-{i}"): f"{stream.group}-{i}" for i in range(8)}
    for key, group in groups.items():
        commit(stream.admin, group, TopicPartition(stream.topic, 0, 1))
        monitor.watch(key, stream.topic, group)  # some of them coordinated by the third broker

    def all_known() -> bool:
        readings = monitor.poll(time.time()).values()
        return all(isinstance(r, LagReading) and r.messages == 2 for r in readings)

    wait_for(all_known, "all known")
    kafka.stop_broker(2)
    try:
        wait_for(all_known, "all known with two brokers", 60)
    finally:
        kafka.start_broker(2)
        kafka.wait()
    wait_for(all_known, "all known with three again", 60)


def test_idle_objects_cost_no_request_of_their_own(
    stream: Stream, monitor: LagMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []
    real = monitor._source.committed

    def counted(groups: Mapping[str, Iterable[Partition]]) -> object:
        asked.append(set(groups))
        return real(groups)

    monkeypatch.setattr(monitor._source, "committed", counted)
    stream.create()
    groups = {ObjectKey("team", f"object-{i}"): f"{stream.group}-{i}" for i in range(5)}
    for key, group in groups.items():
        monitor.watch(key, stream.topic, group)

    def all_known() -> bool:  # brokers that have just come up know neither topic nor groups
        return all(isinstance(r, LagReading) for r in monitor.poll(time.time()).values())

    wait_for(all_known, "all known")
    assert all(one == set(groups.values()) for one in asked)  # one request for them all
    now = time.time()
    monitor.poll(now + 5)
    asked.clear()
    monitor.poll(now + 10)
    monitor.poll(now + 15)
    assert asked == []

    stream.produce("a")
    monitor.poll(now + 20)
    assert asked == [set(groups.values())]
    for group in groups.values():
        commit(stream.admin, group, TopicPartition(stream.topic, 0, 1))
    monitor.poll(now + 25)
    monitor.poll(now + 30)
    asked.clear()
    readings = monitor.poll(now + 35).values()
    assert [isinstance(r, LagReading) and r.messages for r in readings] == [0] * 5
    assert asked == []


def test_offsets_reset_by_hand_are_seen_within_minutes(stream: Stream, monitor: LagMonitor) -> None:
    stream.create()
    stream.produce(*"abc")
    stream.commit(3)
    monitor.watch(KEY, stream.topic, stream.group)
    now = time.time()
    assert known(monitor, now).messages == 0
    stream.commit(0)
    assert known(monitor, now + 301).messages == 3


# --- Waiting ------------------------------------------------------------------------------------


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.1)


def wait_for_reading(
    monitor: LagMonitor, condition: Callable[[LagReading], bool], seconds: float = 20
) -> LagReading:
    found: list[LagReading] = []

    def met() -> bool:
        reading = monitor.poll(time.time())[KEY]
        if isinstance(reading, LagReading) and condition(reading):
            found.append(reading)
        return bool(found)

    wait_for(met, "a reading as expected", seconds)
    return found[0]
