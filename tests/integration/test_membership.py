"""The consumer on a real broker, where librdkafka alone stands still or reads twice."""

import os
import runpy
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import free_port, wait_until
from textmod_model import settings
from textmod_model.health import Health
from textmod_model.stream import group_view, stall
from textmod_model.stream.consumer import GroupConsumer
from textmod_model.stream.group_lookup import GroupLookup
from textmod_model.stream.speed import Speed
from textmod_model.stream.topic_id_lookup import TopicIdLookup

pytestmark = pytest.mark.integration

REPRODUCTIONS = Path(__file__).parents[1] / "reproductions"
SECONDS = 30
MESSAGES = 100


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    properties = {"group.consumer.min.heartbeat.interval.ms": "500"}
    properties["group.consumer.heartbeat.interval.ms"] = "500"
    with KafkaBroker(tmp_path_factory.mktemp("kafka") / "kafka", properties=properties) as running:
        yield running


@pytest.fixture(scope="module")
def old_broker(tmp_path_factory):
    properties = {"group.coordinator.rebalance.protocols": "classic"}
    folder = tmp_path_factory.mktemp("old-kafka") / "kafka"
    with KafkaBroker(folder, properties=properties) as running:
        yield running


@pytest.mark.parametrize("name", ["paused_after_revocation", "unstable_offsets"])
def test_librdkafka_alone_still_has_the_fault(broker, name, capsys):
    """When this fails, librdkafka is mended: see whether `membership` can become simpler."""
    program = runpy.run_path(str(REPRODUCTIONS / f"{name}.py"))
    assert program["main"](broker.bootstrap_servers) == 1, capsys.readouterr().out


def test_librdkafka_alone_still_assigns_partitions_that_another_member_has(tmp_path):
    """When this fails, librdkafka is mended: members may join before they can take partitions."""
    proxy = free_port()
    properties = {"group.consumer.min.heartbeat.interval.ms": "500"}
    properties["group.consumer.heartbeat.interval.ms"] = "1000"
    program = REPRODUCTIONS / "unserved_assignment.py"
    with KafkaBroker(tmp_path / "kafka", properties=properties, behind=[proxy]) as broker:
        ports = (str(proxy), str(broker.own_ports[0]))
        command = [sys.executable, str(program), broker.bootstrap_servers, *ports]
        # A busy machine may miss the moment.
        assert any(subprocess.run(command, check=False).returncode == 1 for _ in range(6))


class Group:
    """A topic of two partitions and members of one group on it."""

    def __init__(self, bootstrap, delivery, pods, topic=None):
        self.bootstrap = bootstrap
        self.topic = topic or f"in-{uuid.uuid4().hex[:8]}"
        self.delivery, self.pods = delivery, pods
        self.members = []
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.create_topics([NewTopic(self.topic, 2, 1)])[self.topic].result(30)
        self.producer = Producer({"bootstrap.servers": bootstrap})

    def environment(self):
        return {
            "TEXTMOD_STREAMING": "Native",
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "TEXTMOD_INPUT_TOPIC": self.topic,
            "TEXTMOD_OUTPUT_TOPIC": "out",
            "TEXTMOD_DEAD_LETTER_TOPIC": "dead",
            "TEXTMOD_CONSUMER_GROUP": self.topic,
            "TEXTMOD_DELIVERY": self.delivery,
            "TEXTMOD_POD_NAME": f"pod-{len(self.members)}" if self.pods else "",
        }

    def join(self):
        read = settings.load(self.environment())
        member = GroupConsumer(
            read,
            Health(streaming=True),
            Speed(1000.0, 1, 256),
            group=GroupLookup(read),
            topic_ids=TopicIdLookup(read),
        )
        self.members.append(member)
        return member

    def send(self, partition, count=1):
        for _ in range(count):
            self.producer.produce(self.topic, b"hello", partition=partition)
        assert self.producer.flush(30) == 0


def owned(member):
    return {one.partition for one in member.topic_partitions({0: 0, 1: 0})}


def read(members, *, until=lambda _found: False, seconds=SECONDS):
    """Let members read; returns (partition, offset) of each message."""
    found, deadline = [], time.monotonic() + seconds
    while not until(found) and time.monotonic() < deadline:
        for member in members:
            for message in member.fetch(100, wait=0.1):
                found.append((message.partition(), message.offset()))  # noqa: PERF401 - one by one
    return found


@pytest.fixture(params=["consumer", "classic", "classic-static"])
def group(request, delivery):
    kind = request.param
    running = request.getfixturevalue("broker" if kind == "consumer" else "old_broker")
    one = Group(running.bootstrap_servers, delivery, pods=kind == "classic-static")
    yield one
    for member in one.members:
        member.close()


@pytest.fixture(params=["AtLeastOnce", "ExactlyOnce"])
def delivery(request):
    return request.param


def test_a_partition_that_leaves_while_held_and_comes_back_is_read(group):
    first = group.join()
    read([first], until=lambda _: len(owned(first)) == 2)
    first.hold()
    second = group.join()
    deadline = time.monotonic() + SECONDS
    while len(owned(second)) != 1 and time.monotonic() < deadline:
        first.hold()
        second.fetch(1, wait=0.1)
    [moved] = owned(second)
    first.hold()
    first.resume()
    group.members.remove(second)
    second.close()
    read([first], until=lambda _: len(owned(first)) == 2)
    group.send(moved)
    assert read([first], until=bool) == [(moved, 0)]


def test_pending_offsets_are_waited_for_while_the_assignment_changes(group):
    group.send(0, MESSAGES)
    group.send(1, MESSAGES)
    options = {"bootstrap.servers": group.bootstrap, "group.id": group.topic}
    dead = Consumer(options | {"enable.auto.commit": False})
    done = [TopicPartition(group.topic, number, MESSAGES) for number in (0, 1)]
    dead.commit(offsets=done, asynchronous=False)
    transaction = Producer(
        {"bootstrap.servers": group.bootstrap, "transactional.id": f"dead-{group.topic}"}
    )
    transaction.init_transactions(30)
    transaction.begin_transaction()
    transaction.send_offsets_to_transaction(done[:1], dead.consumer_group_metadata(), 30)
    dead.close()

    heir = group.join()
    read([heir], until=lambda _: len(owned(heir)) == 2)
    other = group.join()
    assert read([heir, other], until=lambda _: len(owned(other)) == 1) == []
    assert read([heir, other], seconds=2) == []
    group.members.remove(other)
    other.close()
    assert read([heir], until=lambda _: len(owned(heir)) == 2) == []
    transaction.abort_transaction(30)
    assert read([heir], seconds=3) == []
    group.send(0)
    group.send(1)
    assert sorted(read([heir], until=lambda found: len(found) == 2)) == [
        (0, MESSAGES),
        (1, MESSAGES),
    ]


@pytest.mark.parametrize("pod", ["", "pod-a"])
def test_stopped_while_it_finds_the_protocol_it_leaves_nothing_behind(old_broker, pod):
    """On a broker without KIP-848 the first try ends with a fatal error, maybe while it closes."""
    group = Group(old_broker.bootstrap_servers, "AtLeastOnce", pods=bool(pod))
    admin = AdminClient({"bootstrap.servers": group.bootstrap})
    for milliseconds in range(0, 1400, 100):
        member = group.join()
        deadline = time.monotonic() + milliseconds / 1000
        while time.monotonic() < deadline:
            member.fetch(1, wait=0.01)
        member.close()
        found = admin.describe_consumer_groups([group.topic])[group.topic]
        try:
            assert found.result(30).members == []
        except KafkaException as error:
            assert error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND
    group.members.clear()


def test_the_coordinators_view_is_the_same_from_a_process_of_its_own(group):
    member = group.join()
    read([member], until=lambda _: owned(member) == {0, 1})
    answers = []
    for apart in (None, os.environ | group.environment()):
        lookup = GroupLookup(settings.load(group.environment()), apart=apart)
        lookup.ask()
        wait_until(
            lambda lookup=lookup: answers.append(lookup.answer()) or answers[-1] is not None,
            "the answer",
        )
    here, there = filter(None, answers)
    assert here == there
    assert [one.assigned for one in there.values()] == [{0, 1}]


def test_a_partition_that_stands_still_is_restarted_and_an_idle_one_is_not(
    group, monkeypatch, caplog
):
    monkeypatch.setattr(stall, "SUSPECT_SECONDS", 3)
    transaction = Producer(
        {"bootstrap.servers": group.bootstrap, "transactional.id": f"input-{group.topic}"}
    )
    transaction.init_transactions(30)
    transaction.begin_transaction()
    transaction.produce(group.topic, b"hello", partition=1)
    transaction.commit_transaction(30)  # its control record is no message
    member = group.join()
    assert read([member], until=bool) == [(1, 0)]
    member.store({1: 1})
    assert read([member], seconds=8) == []
    assert "restart it" not in caplog.text

    member._consumer.pause(member._consumer.assignment())  # whoever does that
    group.send(0)
    assert read([member], until=bool) == [(0, 0)]
    assert "partition 0 has messages and does not move: restart it" in caplog.text
    assert member._health.stalled is None


def test_an_assignment_that_got_lost_on_its_way_makes_the_member_join_anew(
    broker, monkeypatch, caplog, delivery
):
    """The coordinator believes that we read both; nothing that this member sees says so."""
    monkeypatch.setattr(group_view, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(group_view, "DISAGREE_SECONDS", 2.0)
    group = Group(broker.bootstrap_servers, delivery, pods=False)
    member = group.join()
    try:
        group.send(0)
        assert read([member], until=bool) == [(0, 0)]
        assert owned(member) == {0, 1}
        assert read([member], seconds=5) == []
        assert "rejoining" not in caplog.text, "a healthy group is left alone"

        member._membership.unassign(member._consumer, [1])  # as if it had never come
        group.send(1)
        member._view.note(-1)
        assert (1, 0) in read([member], until=lambda found: (1, 0) in found)
        assert "differ on partitions [1]; rejoining" in caplog.text
        assert owned(member) == {0, 1}
    finally:
        member.close()


def test_a_mirrored_offset_is_taken_on_the_other_cluster(broker, old_broker):
    """As MirrorMaker leaves it: the offset translated, the note as it was."""
    there = Group(broker.bootstrap_servers, "AtLeastOnce", pods=False)
    there.send(0, 5)
    first = there.join()
    assert len(read([first], until=lambda found: len(found) == 5)) == 5
    first.store({0: 5})
    first.close()

    here = Group(old_broker.bootstrap_servers, "AtLeastOnce", pods=False, topic=there.topic)
    here.send(0, 4)
    options = {"group.id": here.topic, "enable.auto.commit": False}
    old, new = (Consumer(options | {"bootstrap.servers": one.bootstrap}) for one in (there, here))
    [mirrored] = old.committed([TopicPartition(there.topic, 0)], timeout=30)
    assert mirrored.offset == 5
    assert ";cluster=" in mirrored.metadata
    mirrored.offset = 3
    new.commit(offsets=[mirrored], asynchronous=False)
    old.close()
    second = here.join()
    try:
        assert read([second], until=bool) == [(0, 3)]
        second.store({0: 4})
    finally:
        second.close()
    [own] = new.committed([TopicPartition(here.topic, 0)], timeout=30)
    new.close()
    assert own.offset == 4
    ids = [dict(part.split("=") for part in one.metadata.split(";")) for one in (mirrored, own)]
    assert not set(ids[0].items()) & set(ids[1].items()) - {("rate", "1000.0")}
