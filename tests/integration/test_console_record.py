"""The console between a real broker and reviewers, both killed: nothing lost, nothing twice."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from raw_headers import produce_raw_header

from bench.console.crowd import Crowd
from bench.console.stage import Console, judge, make_topics, produce, read_feedback, requests
from textmod_console import settings
from textmod_console.commands.erase import erase_texts
from textmod_console.commands.rebuild import rebuild
from textmod_console.desk import Answer
from textmod_console.errors import RecordError
from textmod_console.events import DECISION, REVIEW_REQUESTED
from textmod_console.record.leader import Leader, catch_up
from textmod_console.record.publisher import Publisher
from textmod_console.record.reader import BATCH, Reader
from textmod_console.store import auditing, migrations, outbox, reading
from textmod_console.store.database_desk import DatabaseDesk
from textmod_console.store.engine import Database
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        make_topics(broker.bootstrap_servers)
        yield broker


def test_kills_of_console_and_broker_lose_no_decision_and_repeat_none(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    produce(kafka.bootstrap_servers, requests(400))
    console = Console(kafka.bootstrap_servers, tmp_path)
    console.start()
    crowd = Crowd(console.port, size=6, wanted=330, seed=1, undo_share=0.05, pace=0.2)
    try:
        console.wait()
        crowd.start()
        for wanted in (60, 160):
            wait_until(lambda wanted=wanted: len(crowd.seen.accepted) >= wanted, "decisions came")
            console.kill()
            console.start()
        console.wait()
        wait_until(lambda: len(crowd.seen.accepted) >= 220, "decisions came")
        kafka.stop_broker(kill=True)
        wait_until(lambda: len(crowd.seen.accepted) >= 250, "decisions are accepted without Kafka")
        console.kill()
        console.start()
        kafka.start_broker()
        console.wait()
        wait_until(crowd.done, "all decisions came")
    finally:
        crowd.stop()
        servers = kafka.bootstrap_servers
        try:
            wait_until(
                lambda: judge(crowd.seen.accepted, read_feedback(servers)).decisions_lost == 0,
                "every accepted decision stands in the feedback topic",
                every=1,
            )
        finally:
            assert console.stop() == 0, (tmp_path / "console.log").read_text()[-4000:]
    found = judge(crowd.seen.accepted, read_feedback(servers))
    assert (found.decisions_lost, found.published_twice, found.decided_twice) == (0, 0, 0)
    assert found.decisions >= 330
    before = console.run("digest")
    assert console.run("rebuild") == before
    assert "is whole" in console.run("verify")
    # The database is lost altogether.
    for file in tmp_path.glob("console.db*"):
        file.unlink()
    assert console.run("rebuild") == before
    assert "is whole" in console.run("verify")


# --- reader and publisher, without a process around them ----------------------------------------


class Record:
    """A database beside the broker, and topics of the test's own."""

    def __init__(self, servers: str, folder: Path) -> None:
        self.names = f"review-{uuid.uuid4().hex[:8]}", f"feedback-{uuid.uuid4().hex[:8]}"
        self.admin = AdminClient({"bootstrap.servers": servers})
        self.settings = settings.load(
            {
                "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": servers,
                "TEXTMOD_REVIEW_TOPIC": self.names[0],
                "TEXTMOD_FEEDBACK_TOPIC": self.names[1],
                "TEXTMOD_CONSUMER_GROUP": f"console-{self.names[1]}",
                "TEXTMOD_CONSOLE_DATA": str(folder),
            }
        )
        self.now = datetime.now(UTC)
        self.database = Database(self.settings.database_url)
        migrations.upgrade(self.database)
        self.desk = DatabaseDesk(self.database, lambda: self.now)
        self.readers: list[Reader] = []
        for name in self.names:
            self.make(name)

    def make(self, name: str) -> None:
        self.admin.create_topics([NewTopic(name, 1, 1)])[name].result(20)

    def reader(self) -> Reader:
        reader = Reader(self.settings, self.database)
        self.readers.append(reader)
        reader.assign()
        return reader

    def produce(self, *values: tuple[str, bytes | None], partition: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap_servers})
        for item, value in values:
            found = [("ce_type", REVIEW_REQUESTED.encode()), ("ce_id", item.encode())]
            producer.produce(
                self.names[0], key=item, value=value, headers=found, partition=partition
            )
        assert producer.flush(20) == 0

    def decisions(self) -> list[str]:
        """Return the decision ids of the feedback topic, in order."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.kafka_bootstrap_servers,
                "group.id": "check",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            }
        )
        consumer.assign([TopicPartition(self.names[1], 0, 0)])
        found = []
        while (message := consumer.poll(20)) is not None and message.error() is None:
            given = dict(message.headers())
            if given["ce_type"] == DECISION.encode():
                found.append(given["ce_id"].decode())
        consumer.close()
        return found

    def close(self) -> None:
        for reader in self.readers:
            reader.close()
        self.database.close()


@pytest.fixture
def record(kafka: KafkaBroker, tmp_path: Path) -> Iterator[Record]:
    made = Record(kafka.bootstrap_servers, tmp_path)
    yield made
    made.close()


def open_items(record: Record) -> int:
    with record.database.read() as connection:
        return reading.counts(connection, record.now).open


def waiting(record: Record) -> int:
    with record.database.read() as connection:
        return outbox.size(connection)


def keep_reading(reader: Reader, condition: Callable[[], bool], what: str) -> None:
    def read_and_look() -> bool:
        reader.turn(0.1)
        return condition()

    wait_until(read_and_look, what, timeout=60)


def test_a_publisher_that_died_unmarked_is_fenced_and_nothing_is_repeated(record: Record) -> None:
    record.produce(*((one.item, one.value()) for one in requests(3)))
    reader = record.reader()
    catch_up(reader, lambda: False)
    first = Publisher(record.settings, record.database)
    made = []
    for one in requests(3):
        made.append(record.desk.decide(one.item, "ann", Answer("Remove"), 0).id)
        record.now += timedelta(seconds=11)
        if len(made) < 3:
            assert first.turn(record.now) > 0
    # The first died behind its write; a second begins as the leader does.
    second = Publisher(record.settings, record.database)
    with pytest.raises(RecordError, match="fenced"):
        first.turn(record.now)
    catch_up(reader, lambda: False)
    assert second.turn(record.now) > 0
    assert second.turn(record.now) == 0
    assert record.decisions() == made
    catch_up(reader, lambda: False)
    with record.database.read() as connection:
        assert outbox.size(connection) == 0


def test_a_leader_reads_to_the_end_before_it_writes(record: Record) -> None:
    (one,) = requests(1)
    record.produce((one.item, one.value()))
    catch_up(record.reader(), lambda: False)
    decision = record.desk.decide(one.item, "ann", Answer("Remove"), 0).id
    record.now += timedelta(seconds=11)
    # More than a turn reads lies before what a publisher wrote that died unmarked.
    producer = Producer({"bootstrap.servers": record.settings.kafka_bootstrap_servers})
    for _ in range(3 * BATCH):
        producer.produce(record.names[1], value=b"{}", headers=[("ce_type", b"of.another")])
    assert producer.flush(20) == 0
    assert Publisher(record.settings, record.database).turn(record.now) > 0

    stopping = threading.Event()
    leader = Leader(record.settings, record.database, lambda: record.now, stopping)
    thread = threading.Thread(target=leader.run)
    thread.start()
    try:
        wait_until(lambda: waiting(record) == 0, "everything was read back", timeout=60)
    finally:
        stopping.set()
        thread.join()
    assert record.decisions() == [decision]


def test_partitions_that_grow_are_read_and_what_retention_removed_is_erased(
    record: Record,
) -> None:
    one, other, third = requests(3)
    record.produce((one.item, one.value()), (other.item, other.value()))
    reader = record.reader()
    catch_up(reader, lambda: False)
    grown = record.admin.create_partitions([NewPartitions(record.names[0], 2)])
    grown[record.names[0]].result(20)
    wait_until(reader.assign, "the new partition was seen", timeout=30)
    record.produce((third.item, third.value()), partition=1)
    keep_reading(reader, lambda: open_items(record) == 3, "it was read")
    record.admin.delete_records([TopicPartition(record.names[0], 0, 1)])[
        TopicPartition(record.names[0], 0, 1)
    ].result(20)
    wait_until(lambda: reader.erase_expired() == 1, "the first text was erased", timeout=30)
    texts = [record.desk.card(event.item, None).text for event in (one, other, third)]
    assert [text is None for text in texts] == [True, False, False]


def test_records_that_no_console_writes_are_passed_over(record: Record) -> None:
    """A header whose name is not UTF-8, keys and types of any bytes, values that are none."""
    servers = record.settings.kafka_bootstrap_servers
    producer = Producer({"bootstrap.servers": servers})
    for topic in record.names:
        produce_raw_header(servers, topic, b"hello", b"bad\xff\xfename")
        for value in (None, b"", b"\xff", b"[1]"):
            headers = [("ce_type", b"\xff\xfe"), ("ce_id", None), ("ce_type", DECISION.encode())]
            producer.produce(topic, value, b"\xff\x00", headers=headers)
            producer.produce(topic, value)
    assert producer.flush(20) == 0
    (good,) = requests(1)
    record.produce((good.item, good.value()))
    reader = record.reader()
    keep_reading(reader, lambda: open_items(record) == 1, "the item behind them is here")
    keep_reading(reader, lambda: reader.has_read(reader.ends()), "both topics are read")


def test_erasing_an_author_outlasts_the_database(record: Record) -> None:
    one, other = requests(2)
    record.produce((one.item, one.value()), (other.item, other.value()))
    reader = record.reader()
    catch_up(reader, lambda: False)
    assert erase_texts(record.settings, record.database, author=one.author or "", actor="ann") == 1
    assert record.desk.card(one.item, None).text is None
    before = rebuild(record.settings, record.database)
    assert record.desk.card(one.item, None).text is None
    assert record.desk.card(other.item, None).text is not None
    assert rebuild(record.settings, record.database) == before


def make_again(record: Record, name: str) -> None:
    """Delete a topic, and create another one of its name."""
    record.admin.delete_topics([name])[name].result(20)

    def made() -> bool:
        with contextlib.suppress(KafkaException):
            record.make(name)
            return True
        return False

    wait_until(made, "the topic could be made again", timeout=60)


def acts(record: Record) -> list[str]:
    return [entry.act for entry in record.desk.audit(None, 100)]


@pytest.mark.parametrize("count", [1, 9], ids=["shorter", "longer"])
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_a_topic_that_was_made_again_is_read_from_its_beginning(
    record: Record, count: int, *, running: bool
) -> None:
    """Longer than the old one: the stored offsets are valid in it, and only its id is another."""
    record.produce(*((one.item, one.value()) for one in requests(4)))
    reader = record.reader()
    catch_up(reader, lambda: False)
    make_again(record, record.names[0])
    record.produce(*((one.item, one.value()) for one in requests(count, first=50)))
    readers = [reader] if running else []

    def seen() -> bool:
        with contextlib.suppress(RecordError):
            if not readers:
                readers.append(record.reader())
            readers[0].assign()
            readers[0].turn(0.1)
        return open_items(record) == 4 + count

    wait_until(seen, "the late texts were read", timeout=60)
    assert acts(record).count("topic-created-again") == 1
    assert record.desk.card(requests(1)[0].item, None).text is not None


def test_decisions_of_a_feedback_topic_that_was_made_again_are_written_again(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textmod_console.record.leader.HOUSEKEEPING_SECONDS", 0.5)
    texts = requests(3)
    record.produce(*((one.item, one.value()) for one in texts))
    catch_up(record.reader(), lambda: False)
    made = [record.desk.decide(one.item, "ann", Answer("Remove"), 0).id for one in texts]
    record.now += timedelta(seconds=11)
    stopping = threading.Event()
    leader = Leader(record.settings, record.database, lambda: record.now, stopping)
    thread = threading.Thread(target=leader.run)
    thread.start()
    try:
        wait_until(lambda: waiting(record) == 0, "everything was read back", timeout=60)
        make_again(record, record.names[1])
        wait_until(lambda: "topic-created-again" in acts(record), "it was noticed", timeout=60)
        wait_until(lambda: waiting(record) == 0, "everything was read back again", timeout=60)
    finally:
        stopping.set()
        thread.join()
    assert sorted(record.decisions()) == sorted(made)
    before = rebuild(record.settings, record.database)
    assert [len(record.desk.card(one.item, None).decided) for one in texts] == [1, 1, 1]
    with record.database.read() as connection:
        auditing.verify(connection)
    assert rebuild(record.settings, record.database) == before
