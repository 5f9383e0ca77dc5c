"""The stream worker as its own process against a real broker: nothing lost, nothing silent.

Every test has topics and a group of its own. What goes in carries a number, and what comes out is
counted by it: a verdict or a dead letter each, never neither.
"""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid

import confluent_kafka
import grpc
import pytest
import small_model
from confluent_kafka import Consumer, KafkaError, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from policy_sets import ConfigMap, document, policy, raw, rule
from raw_headers import produce_raw_header
from small_model import BENCHMARK

from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.kafka_security import Security
from textmod_dev.processes import free_port
from textmod_model import artifact, settings
from textmod_model.health import Health
from textmod_model.policies.evaluate import decide
from textmod_model.policies.solved import parse
from textmod_model.protos import seldon_pb2 as pb
from textmod_model.review.selection import Sample
from textmod_model.scoring.scorer import Scorer
from textmod_model.stream.consumer import GroupConsumer
from textmod_model.stream.speed import Speed
from textmod_operator.kafka.lag import LagMonitor
from textmod_operator.state import KafkaConnection, ObjectKey

pytestmark = pytest.mark.integration

DELIVERIES = ["AtLeastOnce", "ExactlyOnce"]
SECONDS = 60
LONG = ("stupid idiot " * 1_000).encode()
REQUESTED = ("ce_type", b"dev.textmoderation.review.requested.v1")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    properties = {
        # A killed worker's partitions are free once its session is over: 45 s by default.
        "group.consumer.min.session.timeout.ms": "6000",
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.heartbeat.interval.ms": "500",
        "group.consumer.heartbeat.interval.ms": "500",
    }
    folder = tmp_path_factory.mktemp("kafka") / "kafka"
    with KafkaBroker(folder, properties=properties) as running:
        yield running


class Stream:
    """Three topics and a group, what was put in, and the workers on them."""

    def __init__(
        self, bootstrap, model, *, partitions=4, out=None, dead=1, leader=None, **settings
    ):
        name = uuid.uuid4().hex[:8]
        self.bootstrap = bootstrap
        self.input, self.output, self.letters = f"in-{name}", f"out-{name}", f"dead-{name}"
        self.group = f"textmod.{name}"
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.producer = self.sender(**{"message.max.bytes": 8_000_000})
        self.sent = 0
        self.workers = []
        self.make(self.input, partitions, leader=leader)
        if out != 0:
            self.make(self.output, out or partitions, leader=leader)
        if dead:
            self.make(self.letters, dead, leader=leader)
        self.environment = {
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "TEXTMOD_INPUT_TOPIC": self.input,
            "TEXTMOD_OUTPUT_TOPIC": self.output,
            "TEXTMOD_DEAD_LETTER_TOPIC": self.letters,
            "TEXTMOD_CONSUMER_GROUP": self.group,
            "TEXTMOD_STREAMING": "Native",
            "TEXTMOD_ARTIFACT": str(model),
            "TEXTMOD_BIND_ADDRESS": "127.0.0.1",
            "TEXTMOD_TERMINATION_LOG": os.devnull,
            **settings,
        }

    def sender(self, **options):
        """A producer whose messages stay in order when a broker that just came up refuses some."""
        sure = {"enable.idempotence": True, "max.in.flight.requests.per.connection": 1}
        return Producer({"bootstrap.servers": self.bootstrap, **sure, **options})

    def make(self, topic, partitions, *, leader=None, **config):
        """Make a topic; `leader` is the broker that all of its partitions are on, None: any."""
        new = NewTopic(topic, partitions, 1, config=config)
        if leader is not None:
            new = NewTopic(
                topic, partitions, replica_assignment=[[leader]] * partitions, config=config
            )
        [future] = self.admin.create_topics([new]).values()
        future.result(30)

    def delete(self, topic):
        [future] = self.admin.delete_topics([topic]).values()
        future.result(30)

    def makes(self, topic, partitions, *, leader=None):
        """Make a topic; False while one of its name is being deleted."""
        try:
            self.make(topic, partitions, leader=leader)
        except confluent_kafka.KafkaException as error:
            assert error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
            return False
        return True

    def topic_id(self, topic):
        [future] = self.admin.describe_topics(TopicCollection([topic])).values()
        return str(future.result(30).topic_id)

    def configure(self, topic, **config):
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        [future] = self.admin.incremental_alter_configs([resource]).values()
        future.result(30)

    def send(self, count=0, *, values=(), keys=37, **options):
        """Put in numbered comments, or the given values."""
        payloads = list(values) or [
            json.dumps({"id": self.sent + i, "body": f"lovely paper {i}"}).encode()
            for i in range(count)
        ]
        for value in payloads:
            key = f"key-{self.sent % keys}".encode() if keys else None
            self.producer.produce(
                self.input,
                value,
                key,
                headers=[("number", str(self.sent).encode())],
                **options,
            )
            self.sent += 1
            self.producer.poll(0)
        assert self.producer.flush(30) == 0

    def members(self):
        """The members of the group, as the broker knows them now."""
        future = self.admin.describe_consumer_groups([self.group])[self.group]
        try:
            return [member.member_id for member in future.result(30).members]
        except confluent_kafka.KafkaException as error:
            assert error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND
            return []

    def start(self, pod=None, **settings):
        worker = Server({**self.environment, "TEXTMOD_POD_NAME": pod or "", **settings})
        self.workers.append(worker)
        return worker

    def read(self, topic, *, expect=None, seconds=SECONDS, committed=True):
        """Read a topic from its beginning, until `expect` records or the end as of now."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"reader-{uuid.uuid4().hex[:8]}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "isolation.level": "read_committed" if committed else "read_uncommitted",
            }
        )
        found, ended = [], set()
        deadline = time.monotonic() + seconds
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            while time.monotonic() < deadline:
                for message in consumer.consume(1000, 0.1):
                    if message.error() is None:
                        found.append(message)
                    else:
                        assert message.error().code() == KafkaError._PARTITION_EOF
                        ended.add(message.partition())
                if len(found) >= (expect or 0) and ended == set(partitions):
                    break
        finally:
            consumer.close()
        return found

    def results(self, *, seconds=SECONDS, expect=None):
        """All verdicts and dead letters, once there are as many as messages were sent."""
        expect = self.sent if expect is None else expect
        deadline = time.monotonic() + seconds
        while True:
            verdicts, letters = self.read(self.output), self.read(self.letters)
            if len(verdicts) + len(letters) >= expect or time.monotonic() > deadline:
                return verdicts, letters

    def committed(self):
        """Messages that the group has not committed, over all partitions."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group})
        try:
            partitions = consumer.list_topics(self.input, timeout=10).topics[self.input].partitions
            wanted = [TopicPartition(self.input, number) for number in partitions]
            left = 0
            for position in consumer.committed(wanted, timeout=10):
                _, end = consumer.get_watermark_offsets(position, timeout=10)
                left += end - max(0, position.offset)
            return left
        finally:
            consumer.close()

    def stop(self):
        for worker in self.workers:
            worker.kill()


class Server:
    """One `textmod-model serve` process."""

    def __init__(self, environment):
        self.ports = [free_port() for _ in range(3)]
        names = ("HTTP", "GRPC", "METRICS")
        ports = {
            f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(port)
            for name, port in zip(names, self.ports, strict=True)
        }
        # A pipe that nobody reads would block it.
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by kill()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "textmod_model", "serve"],
            env={**os.environ, "OMP_NUM_THREADS": "1", **ports, **environment},
            stderr=self._log,
        )

    def get(self, path):
        """The status code and text of a GET on the port for operations; (0, "") if it's closed."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[2]}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, line):
        for row in self.get("/metrics")[1].splitlines():
            name, _, value = row.rpartition(" ")
            if name == line:
                return float(value)
        return None

    def ready(self):
        return self.get("/health/ready")[0] == 200

    def terminate(self):
        """SIGTERM; returns the exit code and what it wrote."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(40)

    def wait(self, seconds):
        """Wait for its end; returns the exit code and what it wrote."""
        return self.process.wait(seconds), self.written()

    def written(self):
        """What it wrote so far; read by position, for the process writes at the shared one."""
        return os.pread(self._log.fileno(), 1 << 20, 0).decode()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()


def until(condition, message, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {message}"
        time.sleep(0.05)


@contextlib.contextmanager
def flowing(one, values=()):
    """Within it, some hundred messages a second keep coming; ten numbered ones, or `values`."""
    over = threading.Event()

    def send():
        while not over.is_set():
            one.send(10, values=values)
            over.wait(0.02)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


def numbers(messages):
    return collections.Counter(int(dict(message.headers())["number"]) for message in messages)


@pytest.fixture
def stream(broker, model):
    streams = []

    def make(**options):
        streams.append(Stream(broker.bootstrap_servers, model, **options))
        return streams[-1]

    yield make
    for one in streams:
        one.stop()


@pytest.fixture(params=DELIVERIES)
def delivery(request):
    return request.param


BAD = {
    b"\xff\xfe": "NotUtf8",
    b'\0\0\0\0\7{"body":"framed"}': "SchemaRegistryNotSet",
    b"{}": "NoTextField",
    b'{"body":5}': "TextNotString",
    b"": "EmptyText",
    None: "NullValue",
    b'{"data":{"ndarray":[1]}}': "TextNotString",
}
ODD = [
    json.dumps({"body": "x" * 1_000_000}).encode(),
    b'{"body":"\\ud83d alone"}',
    "🙂 漢字 עברית".encode(),
    b"NUL \0 inside",
    b"[deleted]",
    b"{{citation needed}} you are all idiots",
]


def test_every_message_comes_out_once_in_order_with_what_it_had(stream, model, delivery):
    one = stream(TEXTMOD_DELIVERY=delivery, TEXTMOD_MESSAGE_OUTPUT_FORMAT="Verdict")
    started = int(time.time() * 1000)
    one.send(3000)
    one.send(values=[*BAD, *ODD], timestamp=started)
    worker = one.start("pod-a")
    verdicts, letters = one.results()
    assert numbers(verdicts) + numbers(letters) == collections.Counter(range(one.sent))
    originals = {int(dict(m.headers())["number"]): m for m in one.read(one.input)}

    last = collections.defaultdict(lambda: -1)
    for message in verdicts:
        headers = dict(message.headers())
        number = int(headers["number"])
        original = originals[number]
        assert message.key() == original.key()
        assert message.partition() == original.partition()
        assert message.timestamp() == original.timestamp()
        where = f"{one.input}/{original.partition()}/{original.offset()}"
        assert headers["ce_id"].decode() == where
        assert headers["ce_specversion"] == b"1.0"
        assert number > last[message.key()], "verdicts of one key out of order"
        last[message.key()] = number

    letters.sort(key=lambda m: int(dict(m.headers())["number"]))
    assert [dict(m.headers())["textmod.error.reason"].decode() for m in letters] == [*BAD.values()]
    for message in letters:
        headers = dict(message.headers())
        original = originals[int(headers["number"])]
        assert (message.key(), message.value()) == (original.key(), original.value())
        assert message.headers()[: len(original.headers())] == original.headers()
        assert headers["textmod.error.topic"].decode() == one.input
        assert headers["textmod.error.offset"].decode() == str(original.offset())

    scorer = Scorer.from_artifact(artifact.load(model))
    some = [m for m in verdicts if int(dict(m.headers())["number"]) < 200]
    texts = [json.loads(originals[int(dict(m.headers())["number"])].value())["body"] for m in some]
    expected = scorer.score(texts)
    scores = [json.loads(m.value())["score"] for m in some]
    assert scores == pytest.approx(expected, abs=1e-9)

    counter = 'textmod_messages_total{outcome="verdict"}'
    until(lambda: worker.metric(counter) == len(verdicts), "counted")
    assert worker.metric('textmod_messages_total{outcome="dead_letter"}') == len(letters)
    assert worker.ready()
    code, errors = worker.terminate()
    assert code == 0, errors
    assert "Traceback" not in errors
    if delivery == "AtLeastOnce":
        assert one.committed() == 0


SELDON = b'{"data":{"ndarray":["you are all idiots"]}}'
FLAT = b'{"body":"you are all idiots"}'
BARE = "🙂 you are all idiots".encode()
OWN = {
    "Text": {SELDON: None, FLAT: None, BARE: None, b"\xff\xfe": "NotUtf8", b"": "EmptyText"},
    "Json": {SELDON: "NoTextField", FLAT: None, BARE: "NotJson", b"42": "WrongSchema"},
    "Seldon": {SELDON: None, FLAT: "WrongSchema", BARE: "NotJson", b'{"strData":"hello"}': None},
}
"""By format, what it says of a value: None for a verdict, else a dead letter's reason."""


@pytest.mark.parametrize("form", OWN)
def test_a_format_of_its_own_reads_nothing_else_and_calls_are_answered_beside_it(stream, form):
    one = stream(TEXTMOD_MESSAGE_FORMAT=form, TEXTMOD_MESSAGE_OUTPUT_FORMAT="Verdict")
    worker = one.start()
    one.send(values=[*OWN[form]])
    verdicts, letters = one.results()
    found = dict.fromkeys(numbers(verdicts))
    for message in letters:
        headers = dict(message.headers())
        found[int(headers["number"])] = headers["textmod.error.reason"].decode()
    assert found == dict(enumerate(OWN[form].values()))

    with grpc.insecure_channel(f"127.0.0.1:{worker.ports[1]}") as channel:
        predict = channel.unary_unary(
            "/seldon.protos.Model/Predict",
            request_serializer=pb.SeldonMessage.SerializeToString,
            response_deserializer=pb.SeldonMessage.FromString,
        )
        text = {"Text": FLAT, "Json": b"you are all idiots", "Seldon": b"you are all idiots"}[form]
        answer = predict(pb.SeldonMessage(strData=text.decode()), timeout=30)
    [number] = [n for n, value in enumerate(OWN[form]) if value == (SELDON, FLAT)[form != "Seldon"]]
    [verdict] = [m for m in verdicts if numbers([m])[number]]
    score = json.loads(verdict.value())["score"]
    assert answer.data.tensor.values[1] == pytest.approx(score, abs=1e-9)


def test_order_per_key_holds_when_partition_counts_differ(stream, delivery):
    one = stream(out=3, TEXTMOD_DELIVERY=delivery)
    one.send(2000)
    one.start()
    verdicts, _ = one.results()
    assert numbers(verdicts) == collections.Counter(range(2000))
    by_key = collections.defaultdict(list)
    for message in verdicts:
        by_key[message.key()].append((message.partition(), int(dict(message.headers())["number"])))
    for places in by_key.values():
        assert len({partition for partition, _ in places}) == 1
        assert places == sorted(places)


def test_messages_without_a_key_stay_in_their_partition(stream):
    one = stream()
    one.send(500, keys=0)
    one.start()
    verdicts, _ = one.results()
    partitions = {int(dict(m.headers())["number"]): m.partition() for m in one.read(one.input)}
    assert {int(dict(m.headers())["number"]): m.partition() for m in verdicts} == partitions
    assert all(message.key() is None for message in verdicts)


def test_its_speed_goes_along_with_every_offset(stream, delivery):
    one = stream(TEXTMOD_DELIVERY=delivery)
    one.send(10)
    monitor = LagMonitor(KafkaConnection(one.bootstrap))
    key = ObjectKey("team", "science")
    monitor.watch(key, one.input, one.group)

    def told():
        return getattr(monitor.poll(time.time())[key], "told_rate", None)

    one.start("pod-a")
    until(lambda: told() == BENCHMARK, "the artifact's benchmark is told")
    one.send(60_000)
    until(lambda: told() != BENCHMARK, "a measured rate takes its place")
    assert 100 < told() < 1e6
    monitor.close()


def test_a_killed_worker_loses_nothing_and_repeats_nothing_if_exactly_once(stream, delivery):
    one = stream(TEXTMOD_DELIVERY=delivery, TEXTMOD_BATCH_MAX_MESSAGES="32")
    one.send(3000)
    with flowing(one):  # however fast the worker is, it has something in hand when it is killed
        for _ in range(3):
            worker = one.start("pod-a")
            done = len(one.read(one.output))
            until(lambda: len(one.read(one.output)) > done, "the worker wrote something")  # noqa: B023
            worker.kill()
    one.start("pod-a")
    everything = set(range(one.sent))
    until(lambda: set(numbers(one.read(one.output))) == everything, "all is there", 2 * SECONDS)
    if delivery == "ExactlyOnce":
        assert max(numbers(one.read(one.output)).values()) == 1


def test_scaling_up_and_down_loses_and_repeats_nothing(stream, delivery):
    one = stream(partitions=6, TEXTMOD_DELIVERY=delivery)
    first = one.start("pod-a")
    one.send(500)
    until(lambda: one.read(one.output), "the first verdict")
    others = [one.start(f"pod-{name}") for name in "bc"]
    for _ in range(20):
        one.send(200)
        time.sleep(0.2)
    until(lambda: all(other.ready() for other in others), "all are ready")
    for worker in (first, others[0]):
        one.send(500)
        code, errors = worker.terminate()
        assert code == 0, errors
    one.send(500)
    verdicts, _ = one.results()
    assert numbers(verdicts) == collections.Counter(range(one.sent))


@pytest.mark.parametrize("topic", ["output", "letters"])
def test_a_topic_that_cant_be_written_stops_the_stream_until_it_can(stream, topic, delivery):
    one = stream(TEXTMOD_DELIVERY=delivery, TEXTMOD_BATCH_MAX_MESSAGES="64")
    name = getattr(one, topic)
    worker = one.start()
    one.send(100)
    one.results()
    one.delete(name)
    one.send(values=[b"\xff", *(f"text {i}".encode() for i in range(300))])
    until(lambda: name in worker.get("/health/ready")[1], "health names the topic")
    assert worker.get("/health/ready")[0] == 503
    assert worker.get("/health/live")[0] == 200
    assert worker.metric("textmod_stream_blocked") == 1
    one.send(300)
    assert one.committed() >= 300, "consumed although the results can't be written"
    one.make(name, 4 if topic == "output" else 1)
    until(worker.ready, "ready again")
    expect = 601 + (100 if topic == "letters" else 0)
    verdicts, letters = one.results(expect=expect)
    found = numbers(verdicts) + numbers(letters)
    assert set(found) >= set(range(100, one.sent))
    if delivery == "ExactlyOnce" or topic == "output":
        assert max(found.values()) == 1


def test_what_is_too_large_for_the_output_becomes_a_dead_letter(stream, delivery):
    one = stream(TEXTMOD_DELIVERY=delivery)
    one.configure(one.output, max_message_bytes="2000")
    one.configure(one.letters, max_message_bytes="6000")
    one.send(300)
    bulky = "x" * 3000  # too large for the output only; twice that for the dead letters too
    for size in (bulky, bulky * 2):
        one.producer.produce(
            one.input, b"hi", b"key-0", headers=[("number", str(one.sent)), ("bulk", size)]
        )
        one.sent += 1
    one.send(300)
    one.start()
    verdicts, letters = one.results()
    assert numbers(verdicts) == collections.Counter([*range(300), *range(302, 602)])
    whole, bare = sorted(letters, key=lambda m: m.value() is None)
    assert dict(whole.headers())["number"] == b"300"
    assert whole.value() == b"hi"
    assert bare.value() is None
    headers = dict(bare.headers())
    assert "bulk" not in headers
    assert headers["textmod.error.reason"] == b"OutputRefused"
    original = next(m for m in one.read(one.input) if ("number", b"301") in m.headers())
    assert int(headers["textmod.error.offset"]) == original.offset()
    assert int(headers["textmod.error.partition"]) == original.partition()


def test_verdicts_that_are_too_large_cost_neither_time_nor_the_order_of_a_key(stream, delivery):
    one = stream(TEXTMOD_DELIVERY=delivery)
    one.configure(one.output, max_message_bytes="6000")
    bulky = set(range(50, 2000, 50))
    for number in range(2000):
        headers = [
            ("number", str(number)),
            ("bulk", "x" * (7000 if number in bulky else number % 9)),
        ]
        one.producer.produce(one.input, b"hi", f"key-{number % 7}", headers=headers)
    one.sent = 2000
    assert one.producer.flush(30) == 0
    worker = one.start()
    until(worker.ready, "ready")
    began = time.monotonic()
    verdicts, letters = one.results()
    assert time.monotonic() - began < 30  # one abort or one retry a record took minutes
    assert set(numbers(letters)) == bulky
    assert numbers(verdicts) + numbers(letters) == collections.Counter(range(2000))
    in_order(verdicts)
    in_order(letters)


def test_a_limit_lowered_while_it_runs_costs_no_order(stream, delivery):
    one = stream(TEXTMOD_DELIVERY=delivery)
    one.start()
    one.send(100)
    one.results()
    one.configure(one.output, **{"max.message.bytes": "3000"})
    for number in range(100, 600):
        headers = [("number", str(number)), ("bulk", "x" * (4000 if number % 50 == 0 else 1))]
        one.producer.produce(one.input, b"hi", f"key-{number % 7}", headers=headers)
    one.sent = 600
    assert one.producer.flush(30) == 0
    verdicts, letters = one.results()
    assert set(numbers(letters)) == set(range(100, 600, 50))
    assert set(numbers(verdicts)) == set(range(600)) - set(numbers(letters))
    in_order(verdicts)
    in_order(letters)


def in_order(messages):
    """Check that the first occurrences of each key's messages are in order."""
    last = collections.defaultdict(lambda: -1)
    seen = set()
    for message in messages:
        number = int(dict(message.headers())["number"])
        if number in seen:
            continue
        seen.add(number)
        assert number > last[message.key()], f"{number} after {last[message.key()]}"
        last[message.key()] = number


def test_messages_of_every_size_up_to_the_topics_limit_come_out(stream, delivery):
    """As large as the input takes; verdicts and dead letters then are larger than their topics do.

    One byte more or less decides whether a dead letter is whole, bare, or a verdict fits.
    """
    limit = 20_000
    one = stream(TEXTMOD_DELIVERY=delivery)
    for topic in (one.input, one.output, one.letters):
        one.configure(topic, max_message_bytes=str(limit))
    # One record a batch: a batch beyond the limit would be refused as a whole.
    one.producer = one.sender(**{"batch.num.messages": 1})
    sizes = [*range(limit - 1200, limit - 80, 40)]
    one.send(values=[b"\xff" * size for size in sizes])
    one.send(values=[b"w " * (size // 2) for size in sizes])
    for size in sizes:  # the same in the headers, which verdicts repeat
        headers = [("number", str(one.sent).encode()), ("bulk", b"h" * (size - 60))]
        one.producer.produce(one.input, b"hello", b"key-1", headers=headers)
        one.sent += 1
    assert one.producer.flush(30) == 0
    worker = one.start()
    verdicts, letters = one.results()
    wholes = [letter for letter in letters if dict(letter.headers()).get("number")]
    bares = [letter for letter in letters if letter not in wholes]
    originals = one.read(one.input)
    assert len(originals) == one.sent
    origins = {int(dict(m.headers())["number"]): (m.partition(), m.offset()) for m in originals}
    pointed = {place: number for number, place in origins.items()}
    found = numbers(verdicts) + numbers(wholes)
    for bare in bares:
        headers = dict(bare.headers())
        place = tuple(int(headers[f"textmod.error.{name}"]) for name in ("partition", "offset"))
        found[pointed[place]] += 1
    assert found == collections.Counter(range(one.sent))
    assert bares
    assert any(letter.value() is not None for letter in wholes)
    until(lambda: one.committed() == 0, "all committed")
    assert worker.ready()


def test_a_header_that_the_client_cant_read_ends_nobody(stream, delivery):
    """confluent-kafka decodes the names of headers as UTF-8; others write them as they like."""
    one = stream(TEXTMOD_DELIVERY=delivery)
    for _ in range(3):
        produce_raw_header(one.bootstrap, one.input, b"hello", b"bad\xff\xfename")
        one.send(100)
    worker = one.start()
    verdicts, letters = one.results(expect=303)
    assert numbers(verdicts) == collections.Counter(range(300))
    assert [letter.value() for letter in letters] == [b"hello"] * 3
    for letter in letters:
        assert dict(letter.headers())["textmod.error.reason"] == b"HeaderNotUtf8"
    assert worker.process.poll() is None


def test_a_second_process_under_its_name_ends_the_first_with_a_sentence(stream):
    one = stream(TEXTMOD_DELIVERY="ExactlyOnce")
    worker = one.start("pod-a")
    one.send(100)
    one.results()
    usurper = Producer(
        {"bootstrap.servers": one.bootstrap, "transactional.id": f"{one.group}.pod-a"}
    )
    usurper.init_transactions(30)
    one.send(100)
    code, errors = worker.wait(SECONDS)
    assert code == 75
    assert "Another process has this one's place in Kafka" in errors
    one.start("pod-a")
    verdicts, _ = one.results()
    assert numbers(verdicts) == collections.Counter(range(200))


def test_partitions_of_one_that_leaves_go_on_at_once(stream):
    """Its members leave the group on SIGTERM; nobody waits for a session to expire."""
    one = stream(TEXTMOD_DELIVERY="AtLeastOnce")
    workers = [one.start("pod-a"), one.start("pod-b")]
    until(lambda: all(worker.ready() for worker in workers), "both are ready")
    one.send(200)
    one.results()
    code, errors = workers[1].terminate()
    assert code == 0, errors
    stopped = time.monotonic()
    one.send(200)
    verdicts, _ = one.results()
    assert time.monotonic() - stopped < 5
    assert numbers(verdicts) == collections.Counter(range(400))


@pytest.mark.parametrize("pod", ["", "pod-a"])
def test_one_that_ends_while_it_joins_leaves_no_member_behind(stream, pod):
    """Such a member would hold partitions until its session ends, with nobody to read them."""
    one = stream()
    configuration = settings.load({**one.environment, "TEXTMOD_POD_NAME": pod})
    for milliseconds in range(0, 150, 5):
        source = GroupConsumer(configuration, Health(streaming=True), Speed(BENCHMARK, 1, 256))
        time.sleep(milliseconds / 1000)  # anywhere in its joining
        source.close()
        assert one.members() == []


def test_one_that_starts_before_its_topics_waits_for_them(broker, model, stream):
    one = stream()
    one.delete(one.input)
    worker = one.start()
    until(lambda: worker.get("/health/live")[0] == 200, "it runs")
    one.make(one.input, 4)
    one.send(100)
    verdicts, _ = one.results()
    assert numbers(verdicts) == collections.Counter(range(100))


def test_an_unusable_configuration_is_a_sentence_and_exit_code_78(stream, tmp_path):
    one = stream()
    log = tmp_path / "termination-log"
    worker = one.start(TEXTMOD_DELIVERY="Sometimes", TEXTMOD_TERMINATION_LOG=str(log))
    assert worker.process.wait(30) == 78
    assert log.read_text().startswith("TEXTMOD_DELIVERY: ")


def test_the_wrong_model_never_serves(stream, tmp_path):
    one = stream()
    one.send(10)
    log = tmp_path / "termination-log"
    worker = one.start(TEXTMOD_MODEL_DIGEST=f"sha256:{'0' * 64}", TEXTMOD_TERMINATION_LOG=str(log))
    assert worker.process.wait(30) == 65
    assert log.read_text().startswith("ModelDigestMismatch: ")
    assert one.read(one.output) == []


def test_an_onnx_model_serves_the_stream_and_rest(stream, tmp_path):
    made = small_model.train(tmp_path, "--recipe", "seed", "--no-report")
    exported = tmp_path / "onnx"
    command = [sys.executable, "-m", "textmod_model", "export", made, "--out", exported]
    subprocess.run(command, check=True, capture_output=True)
    one = stream(TEXTMOD_ARTIFACT=str(exported), TEXTMOD_MESSAGE_OUTPUT_FORMAT="Verdict")
    texts = ["you stupid idiot", "a lovely paper", "🙂 漢字", "x" * 100_000, "s t u p i d"]
    one.send(values=[*(json.dumps({"body": text}).encode() for text in texts), *BAD])
    worker = one.start()
    verdicts, letters = one.results()
    assert len(letters) == len(BAD)
    expected = Scorer.from_artifact(artifact.load(made)).score(texts)
    scores = {
        int(dict(message.headers())["number"]): json.loads(message.value())["score"]
        for message in verdicts
    }
    assert [scores[at] for at in range(len(texts))] == pytest.approx(expected, abs=1e-9)

    request = urllib.request.Request(
        f"http://127.0.0.1:{worker.ports[0]}/api/v1.0/predictions",
        json.dumps({"data": {"ndarray": texts[:1]}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - a server of this test's own
        [[_, removed]] = json.load(answer)["data"]["ndarray"]
    assert removed == pytest.approx(expected[0], abs=1e-9)
    code, errors = worker.terminate()
    assert code == 0, errors
    assert "Traceback" not in errors


def test_an_outage_of_the_broker_is_waited_out(tmp_path, model, delivery):
    """Killed in the middle of the stream and started again on its data: nothing lost."""
    with KafkaBroker(tmp_path / "kafka") as broker:
        one = Stream(broker.bootstrap_servers, model, TEXTMOD_DELIVERY=delivery)
        worker = one.start("pod-a")
        try:
            one.send(2000)
            until(lambda: one.read(one.output), "the first verdict")
            broker.stop_broker(kill=True)
            until(lambda: worker.get("/health/live")[0] == 200, "alive without a broker")
            broker.start_broker()
            broker.wait()
            one.send(500)
            deadline = time.monotonic() + 2 * SECONDS
            while len(one.read(one.output)) < one.sent and time.monotonic() < deadline:
                if worker.process.poll() is not None:  # as Kubernetes would
                    code, errors = worker.wait(1)
                    assert code == 75, errors
                    worker = one.start("pod-a")
            found = numbers(one.read(one.output))
            assert set(found) == set(range(2500))
            if delivery == "ExactlyOnce":
                assert max(found.values()) == 1
            until(worker.ready, "ready again")
        finally:
            one.stop()


@pytest.mark.parametrize("more", [50, 600], ids=["shorter", "longer"])
def test_an_input_topic_that_is_created_again_loses_nothing(stream, delivery, more):
    """Under the old positions or over them; what is in the new topic has ids of its own."""
    one = stream(partitions=2, TEXTMOD_DELIVERY=delivery)
    one.start(TEXTMOD_INPUT_TOPIC_ID=one.topic_id(one.input))
    one.send(200)
    verdicts, _ = one.results()
    plain = {dict(message.headers())["ce_id"] for message in verdicts}
    assert len(plain) == 200
    one.delete(one.input)
    until(lambda: one.makes(one.input, 2), "the topic could be created again")
    one.producer = one.sender()  # the old one knows the old id
    one.send(more)
    url_safe = one.topic_id(one.input).replace("+", "-").replace("/", "_")
    again = f"{one.input}@{url_safe}"
    new = {}

    def all_came():
        for message in one.read(one.output):
            headers = dict(message.headers())
            if headers["ce_id"].decode().startswith(f"{again}/"):
                new[headers["ce_id"]] = int(headers["number"])
        return sorted(new.values()) == list(range(200, 200 + more))

    until(all_came, "every message of the new topic came out under an id of its own")
    assert not plain & new.keys()
    found = numbers(one.read(one.output))
    assert set(found) == set(range(200 + more))
    if delivery == "ExactlyOnce":
        assert max(found.values()) == 1
    until(lambda: one.committed() == 0, "and that they were read is committed")


@pytest.fixture(scope="module")
def two_brokers(tmp_path_factory):
    with KafkaBroker(tmp_path_factory.mktemp("two-kafkas") / "kafka", brokers=2) as running:
        yield running


@pytest.mark.parametrize("which", ["input", "output"])
def test_a_topic_that_is_created_again_on_another_broker_is_found(
    two_brokers, model, delivery, which
):
    """Its leader's epoch is lower than the old one's, and clients that know that ask on there."""
    one = Stream(
        two_brokers.bootstrap_servers, model, partitions=2, leader=1, TEXTMOD_DELIVERY=delivery
    )
    try:
        for _ in range(2):  # each raises the epoch
            two_brokers.stop_broker(1)
            two_brokers.start_broker(1)
            two_brokers.wait()
        first = one.topic_id(one.input)
        one.start(TEXTMOD_INPUT_TOPIC_ID=first)
        one.send(20)
        assert len(one.results()[0]) == 20
        topic = getattr(one, which)
        one.delete(topic)
        if which == "output":
            one.send(20)  # they wait
        until(lambda: one.makes(topic, 2, leader=0), "the topic could be created again")
        one.producer = one.sender()  # the old one may not find the input's leader either
        one.send(20)

        def all_came():
            if (code := one.workers[-1].process.poll()) is not None:  # the kubelet restarts it
                print(one.workers[-1].written())
                assert code == 75, "it must say why, and that it is to be started again"
                one.start(TEXTMOD_INPUT_TOPIC_ID=first)
            return numbers(one.read(one.output)).keys() >= set(range(20, one.sent))

        until(all_came, "every message came out", 2 * SECONDS)
        until(lambda: one.committed() == 0, "and that they were read is committed")
    finally:
        one.stop()


@pytest.fixture(scope="module")
def old_broker(tmp_path_factory):
    """A broker without the new group protocol, as they were before Kafka 4."""
    properties = {"group.coordinator.rebalance.protocols": "classic"}
    folder = tmp_path_factory.mktemp("old-kafka") / "kafka"
    with KafkaBroker(folder, properties=properties) as running:
        yield running


def test_a_broker_without_kip_848_is_served_by_the_classic_protocol(old_broker, model, delivery):
    """A crashed member comes back to its partitions; one that leaves is replaced at once."""
    one = Stream(old_broker.bootstrap_servers, model, TEXTMOD_DELIVERY=delivery)
    try:
        stays, other = one.start("pod-a"), one.start("pod-b")
        until(lambda: stays.ready() and other.ready(), "both are ready")
        one.send(400)
        one.results()
        crashed = time.monotonic()
        other.kill()
        other = one.start("pod-b")
        one.send(400)
        one.results()
        assert time.monotonic() - crashed < 12, "its partitions waited for its session to expire"
        code, errors = other.terminate()
        assert code == 0, errors
        stopped = time.monotonic()
        one.send(400)
        verdicts, _ = one.results()
        assert time.monotonic() - stopped < 12, "its partitions waited for its session to expire"
        found = numbers(verdicts)
        assert set(found) == set(range(1200))
        if delivery == "ExactlyOnce":
            assert max(found.values()) == 1
    finally:
        one.stop()


def in_force(worker):
    code, text = worker.get("/model")
    return json.loads(text)["policies"]["version"] if code == 200 else None


def test_policies_are_replaced_under_load_and_every_verdict_can_be_replayed(
    stream, model, tmp_path, delivery
):
    """Two workers, one killed on the way; the last set has a budget that is soon spent."""
    texts = [f"{'stupid idiot' if at % 2 else 'lovely paper'} {at}" for at in range(10)]
    scores = Scorer.from_artifact(artifact.load(model)).score(texts)
    between = float(scores.mean())
    assert (scores[1::2] > between).all()
    budget = 40
    sets = [
        policy(rule(at_least=between)),
        policy(rule("Review", between, hold=True), name="other"),
        policy(rule("Review", between, budgetPerDay=budget), otherwise="Allow"),
    ]
    known = {document(one)["version"]: parse(raw(one)) for one in sets}
    config_map = ConfigMap(tmp_path)
    config_map.write(raw(sets[0]))
    one = stream(
        TEXTMOD_DELIVERY=delivery,
        TEXTMOD_MESSAGE_OUTPUT_FORMAT="Verdict",
        TEXTMOD_POLICIES_FILE=str(config_map.path),
    )
    workers = [one.start(f"policies-{number}") for number in range(2)]
    until(lambda: all(worker.ready() for worker in workers), "they are ready")
    with flowing(one, [text.encode() for text in texts]):
        for some, version in zip(sets, known, strict=True):
            config_map.write(raw(some))
            until(lambda v=version: all(in_force(w) == v for w in workers), "it is in force", 10)
            count = f'textmod_policy_info{{version="{version}"}}'
            assert workers[1].metric(count) == 1
            written = one.sent + 200
            until(lambda w=written: one.sent > w, "some are judged by it")
        spent = 'textmod_decisions_total{action="Review",hold="false"}'
        until(lambda: any(worker.metric(spent) for worker in workers), "the budget is spent of")
        workers[0].kill()
        workers[0] = one.start("policies-0")
        until(workers[0].ready, "the killed one is back")
        config_map.write(b"{}")
        until(lambda: workers[1].metric("textmod_policies_invalid") == 1, "it says so")
    # Verdicts that a kill repeats count among the results, which do not say that all are there.
    until(lambda: one.committed() == 0, "all are judged", 120)
    verdicts, letters = one.results()
    assert not letters
    assert set(numbers(verdicts)) == set(range(one.sent))
    seen, reviewed = set(), set()
    for message in verdicts:
        verdict, headers = json.loads(message.value()), dict(message.headers())
        spent = {said["name"]: said.get("overBudget", ()) for said in verdict["policies"]}
        found = decide(verdict["scores"], known[verdict["policyVersion"]], spent)
        assert (found.action, found.hold) == (verdict["action"], verdict["hold"])
        assert headers["ce_type"] == b"dev.textmoderation.verdict.v2"
        seen.add(verdict["policyVersion"])
        if (verdict["action"], verdict["hold"]) == ("Review", False):
            reviewed.add(headers["ce_id"])
    assert seen == set(known)
    assert 0 < len(reviewed) <= budget * 1.05


def test_a_verdict_and_its_review_request_are_written_together_or_not_at_all(
    stream, model, tmp_path, delivery
):
    """Workers are killed on the way. Of those that a policy wants reviewed one is too long for the
    topic; a tenth of all are drawn at random."""
    texts = [f"{'stupid idiot' if at % 5 == 0 else 'lovely paper'} {at}" for at in range(10)]
    scores = Scorer.from_artifact(artifact.load(model)).score(texts)
    threshold = float((scores.max() + scores.mean()) / 2)
    config_map = ConfigMap(tmp_path)
    config_map.write(raw(policy(rule("Review", threshold))))
    topic, salt, share = f"review-{uuid.uuid4().hex[:8]}", "test/science", 0.1
    one = stream(
        TEXTMOD_DELIVERY=delivery,
        TEXTMOD_BATCH_MAX_MESSAGES="32",
        TEXTMOD_MESSAGE_OUTPUT_FORMAT="Verdict",
        TEXTMOD_POLICIES_FILE=str(config_map.path),
        TEXTMOD_REVIEW_TOPIC=topic,
        TEXTMOD_REVIEW_SAMPLE=str(share),
        TEXTMOD_REVIEW_SALT=salt,
    )
    worker = one.start("pod-a")
    one.send(values=[text.encode() for text in texts])
    until(lambda: topic in worker.get("/health/ready")[1], "health names the topic that is missing")
    # Texts that need no review may have been consumed already.
    assert delivery == "AtLeastOnce" or not any(
        b'"Review"' in message.value() for message in one.read(one.output)
    )
    assert one.committed() >= (scores >= threshold).sum() > 0, "consumed without its request"
    one.make(topic, 3, **{"max.message.bytes": "3000"})
    one.send(values=[LONG])
    with flowing(one, [text.encode() for text in texts]):
        for _ in range(2):
            done = len(one.read(topic))
            until(lambda: len(one.read(topic)) > done, "it asks for reviews")  # noqa: B023
            worker.kill()
            worker = one.start("pod-a")
    until(lambda: one.committed() == 0, "all are judged", 120)
    one.send(values=[LONG])  # now that the worker has had time to learn the topic's limit
    until(lambda: one.committed() == 0, "all are judged", 120)
    verdicts = {dict(message.headers())["ce_id"]: message for message in one.read(one.output)}
    requests = [message for message in one.read(topic) if REQUESTED in message.headers()]
    asked = collections.Counter(message.key() for message in requests)
    items = [item.decode() for item in verdicts]
    drawn = {items[place].encode() for place in Sample(share, salt).chosen(items)}
    actions = {item: json.loads(message.value())["action"] for item, message in verdicts.items()}
    wanted = {item for item, action in actions.items() if action == "Review"}
    assert len(verdicts) == one.sent
    assert set(asked) == wanted | drawn
    assert wanted - drawn
    assert drawn - wanted
    if delivery == "ExactlyOnce":
        assert max(asked.values()) == 1
    found = {message.key(): json.loads(message.value()) for message in requests}
    for message in requests:  # what was repeated says the same
        event, other = json.loads(message.value()), dict(found[message.key()])
        if "truncatedFrom" in event:  # shorter while a worker does not know the topic's limit yet
            shorter, longer = sorted((event.pop("text"), other.pop("text")), key=len)
            assert longer.startswith(shorter)
        assert event == other
        assert message.key().decode() == event["item"]
        both = message.key() in wanted, message.key() in drawn
        strategy = {(True, True): "Mixed", (True, False): "Policy", (False, True): "Random"}[both]
        probability = 1.0 if both[0] else share
        assert event["selection"] == {"strategy": strategy, "probability": probability}
    cuts = [event for event in found.values() if "truncatedFrom" in event]
    assert [(cut["truncatedFrom"], cut["action"]) for cut in cuts] == [(13_000, "Review")] * 2
    assert 2_000 < max(len(cut["text"]) for cut in cuts) < 3_000


def test_without_policies_to_begin_with_it_waits_for_them(stream, tmp_path):
    config_map = ConfigMap(tmp_path)
    one = stream(
        TEXTMOD_MESSAGE_OUTPUT_FORMAT="Verdict", TEXTMOD_POLICIES_FILE=str(config_map.path)
    )
    one.send(50)
    worker = one.start("waiting")
    until(lambda: "No policies are in force" in worker.get("/health/ready")[1], "it says why")
    assert worker.get("/health/ready")[0] == 503
    assert worker.get("/health/live")[0] == 200
    assert one.members() == []
    waiting = json.loads(worker.get("/model")[1])
    assert (waiting["labels"], waiting["policies"]["version"]) == (["removed"], None)
    config_map.write(raw())
    verdicts, _ = one.results()
    assert numbers(verdicts) == collections.Counter(range(50))
    assert {json.loads(message.value())["policyVersion"] for message in verdicts} == {
        document()["version"]
    }
    until(worker.ready, "it is ready")
    code, _ = worker.terminate()
    assert code == 0


def test_authenticates_and_encrypts_as_asked_and_tells_nobody_the_password(tmp_path, model):
    security = Security(
        protocol="SASL_SSL", mechanism="SCRAM-SHA-512", users={"moderator": "hunter2"}
    )
    with KafkaBroker(tmp_path / "kafka", security=security) as broker:
        secured = broker.client_config("moderator")
        one = Stream(
            broker.internal_bootstrap_servers,
            model,
            TEXTMOD_KAFKA_SECURITY_PROTOCOL="SASL_SSL",
            TEXTMOD_KAFKA_SASL_MECHANISM="SCRAM-SHA-512",
            TEXTMOD_KAFKA_SASL_USERNAME="moderator",
            TEXTMOD_KAFKA_SSL_CA_FILE=secured["ssl.ca.location"],
        )
        one.environment["TEXTMOD_KAFKA_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers
        try:
            one.send(100)
            stranger = one.start(TEXTMOD_KAFKA_SASL_PASSWORD="wr0ng")
            until(lambda: "uthentication failed" in stranger.get("/health/ready")[1], "it says why")
            assert stranger.get("/health/ready")[0] == 503
            _, errors = stranger.terminate()
            assert "wr0ng" not in errors
            worker = one.start(TEXTMOD_KAFKA_SASL_PASSWORD="hunter2")
            verdicts, _ = one.results()
            assert numbers(verdicts) == collections.Counter(range(100))
            code, errors = worker.terminate()
            assert code == 0
            assert "hunter2" not in errors
        finally:
            one.stop()
