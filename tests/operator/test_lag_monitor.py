"""The lag monitor's decisions on a Kafka cluster in memory; tests/integration/test_lag.py has the
same on real brokers."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError
from kafka_admin_fake import FakeKafka
from objects import PLAINTEXT

from textmod_operator.kafka.lag import REFRESH_SECONDS, LagMonitor
from textmod_operator.state import LagReading, LagUnknown, ObjectKey, ReaderKey

KEY = ReaderKey(ObjectKey("reddit", "science"))
OWN_TIME = {"message.timestamp.type": "LogAppendTime"}


def watched(kafka: FakeKafka) -> LagMonitor:
    monitor = kafka.monitor(PLAINTEXT)
    monitor.watch(KEY, "input", "group")
    return monitor


def reading(monitor: LagMonitor, now: float) -> LagReading:
    found = monitor.poll(now)[KEY]
    assert isinstance(found, LagReading), found
    return found


def why(monitor: LagMonitor, now: float) -> str:
    found = monitor.poll(now)[KEY]
    assert isinstance(found, LagUnknown), found
    return found.why


def cluster(waiting: int = 10, **topic: object) -> FakeKafka:
    kafka = FakeKafka()
    kafka.create("input", **topic)
    kafka.produce("input", waiting, at=400.0)
    return kafka


def test_a_log_start_that_cannot_be_read_is_unknown_and_not_0() -> None:
    kafka = cluster()
    kafka.topics["input"].starts[0] = 7
    monitor = watched(kafka)
    kafka.refuse["first", "input/0"] = KafkaError.LEADER_NOT_AVAILABLE
    assert "first offset is not known" in why(monitor, 1000.0)
    kafka.refuse.clear()
    assert reading(monitor, 1002.0).messages == 3
    kafka.refuse["first", "input/0"] = KafkaError.LEADER_NOT_AVAILABLE
    assert "first offset is not known" in why(monitor, 1004.0)


@pytest.mark.parametrize(("config", "behind"), [(OWN_TIME, 600.0), ({}, None)])
def test_only_the_broker_s_time_is_a_time_of_arrival(
    config: dict[str, str], behind: float | None
) -> None:
    monitor = watched(cluster(config=config))
    assert reading(monitor, 1000.0).seconds_behind == behind


def test_expired_offsets_of_an_idle_group_are_put_back() -> None:
    kafka = cluster()
    kafka.groups["group"] = {("input", 0): 10}
    monitor = watched(kafka)
    assert reading(monitor, 1000.0).messages == 0
    del kafka.groups["group"]
    kafka.produce("input", at=1001.0)
    assert reading(monitor, 1002.0).messages == 1
    assert kafka.groups["group"] == {("input", 0): 10}


def test_not_while_the_group_has_members() -> None:
    kafka = cluster()
    kafka.groups["group"] = {("input", 0): 10}
    monitor = watched(kafka)
    reading(monitor, 1000.0)
    kafka.groups["group"], kafka.members = {}, {"group"}
    kafka.produce("input", at=1001.0)
    assert reading(monitor, 1002.0).messages == 11
    assert kafka.groups["group"] == {}


def test_not_into_a_topic_that_was_made_again() -> None:
    """Its first messages would be skipped."""
    kafka = cluster()
    kafka.groups["group"] = {("input", 0): 10}
    monitor = watched(kafka)
    reading(monitor, 1000.0)
    kafka.create("input")
    kafka.produce("input", 12, at=1001.0)
    del kafka.groups["group"]
    assert reading(monitor, 1002.0).messages == 12
    assert "group" not in kafka.groups
    assert reading(monitor, 1004.0).messages == 12


def test_offsets_that_were_reset_by_hand_stay_so() -> None:
    kafka = cluster()
    kafka.groups["group"] = {("input", 0): 10}
    monitor = watched(kafka)
    reading(monitor, 1000.0)
    kafka.groups["group"] = {("input", 0): 0}
    kafka.produce("input", at=1001.0)
    assert reading(monitor, 1002.0).messages == 11


def test_partitions_that_fail_alone_are_named_and_spoil_nobody_else() -> None:
    kafka = cluster(partitions=2)
    kafka.create("other")
    monitor = watched(kafka)
    other = ReaderKey(ObjectKey("reddit", "other"))
    monitor.watch(other, "other", "other")
    kafka.refuse["end", "input/1"] = KafkaError.LEADER_NOT_AVAILABLE
    assert "Partition 1 of topic input" in why(monitor, 1000.0)
    assert isinstance(monitor.poll(1002.0)[other], LagReading)
    assert monitor.problem is None


def test_a_cluster_that_does_not_answer_is_one_problem_for_all() -> None:
    kafka = cluster()
    kafka.down = True
    monitor = watched(kafka)
    assert "kafka:9092: no answer in time" in why(monitor, 1000.0)
    assert monitor.problem is not None
    kafka.down = False
    assert reading(monitor, 1002.0).messages == 10
    assert monitor.problem is None


def test_a_clock_that_goes_back_does_not_stop_the_refreshes() -> None:
    kafka = cluster()
    monitor = watched(kafka)
    reading(monitor, 5000.0)
    kafka.topics["input"].records.append([])
    assert len(reading(monitor, 1000.0).partitions) == 2


def test_a_group_that_rebalances_is_told() -> None:
    kafka = cluster()
    kafka.groups["group"], kafka.rebalancing = {("input", 0): 1}, {"group"}
    monitor = watched(kafka)
    reading(monitor, 1000.0)
    assert reading(monitor, 1011.0).rebalancing
    kafka.rebalancing.clear()
    assert not reading(monitor, 1022.0).rebalancing


def test_topics_that_nobody_watches_any_more_are_forgotten() -> None:
    kafka = cluster()
    kafka.create("other")
    monitor = watched(kafka)
    reading(monitor, 500.0)
    monitor.watch(KEY, "other", "group")
    reading(monitor, 500.0 + REFRESH_SECONDS)
    assert set(monitor._topics) == set(monitor._ids) == {"other"}
    assert set(monitor._starts) == {("other", 0)}


def test_a_closed_monitor_asks_nothing() -> None:
    kafka = cluster()
    monitor = watched(kafka)
    monitor.close()
    assert monitor.poll(1000.0) == {}
    assert "list_offsets" not in kafka.requests


def test_two_readers_of_one_object_have_a_lag_each() -> None:
    kafka = cluster()
    monitor = watched(kafka)
    shadow = ReaderKey(KEY.object, "shadow")
    monitor.watch(shadow, "input", "group.shadow")
    kafka.groups["group"] = {("input", 0): 10}
    kafka.groups["group.shadow"] = {("input", 0): 4}
    assert reading(monitor, 1000.0).messages == 0
    found = monitor.poll(1002.0)[shadow]
    assert isinstance(found, LagReading)
    assert found.messages == 6
    monitor.forget(shadow)
    assert set(monitor.poll(1004.0)) == {KEY}
