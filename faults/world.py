"""One stream under load: topics, workers, a sender, and what came of it. Real processes all."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from random import Random

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    MemberAssignment,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from faults.history import History, Progress, Result, Sent
from faults.network import Network
from faults.poison import payload
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import ManagedProcess, ProcessKeeper, free_port, wait_until

PARTITIONS = 6
KEYS = 29
SAMPLE_SECONDS = 0.5
PROMISE_SECONDS = 60.0
"""The longest standstill that a run allows once the last fault is over."""
ANSWER_SECONDS = 10.0
VISIBLE_SECONDS = 90.0
"""The longest wait for transactions that killed workers left open."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What several runs share."""

    brokers: KafkaBroker
    keeper: ProcessKeeper
    model: Path
    """The artifact's folder."""
    network: Network
    """Between the brokers and those workers whose scenario asks for it."""
    command: tuple[str, ...] = (sys.executable, "-m", "textmod_model", "stream")
    """The worker's; another one is measured beside it."""


class World:
    """A stream of its own."""

    def __init__(
        self, stage: Stage, delivery: str, random: Random, replicas: int, *, proxied: bool = False
    ) -> None:
        self.brokers, self.random, self.network = stage.brokers, random, stage.network
        self._command = stage.command
        self._keeper = stage.keeper
        name = uuid.uuid4().hex[:8]
        self.input, self.output, self.letters = f"in-{name}", f"out-{name}", f"dead-{name}"
        self.group = f"textmod.{name}"
        servers = stage.brokers.bootstrap_servers
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self.workers: list[ManagedProcess] = []
        self._started = 0
        self._begun = time.monotonic()
        self.history = History(delivery, PROMISE_SECONDS)
        self._environment = {
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": (
                stage.network.bootstrap_servers if proxied else servers
            ),
            "TEXTMOD_INPUT_TOPIC": self.input,
            "TEXTMOD_OUTPUT_TOPIC": self.output,
            "TEXTMOD_DEAD_LETTER_TOPIC": self.letters,
            "TEXTMOD_CONSUMER_GROUP": self.group,
            "TEXTMOD_DELIVERY": delivery,
            "TEXTMOD_ARTIFACT": str(stage.model),
            "TEXTMOD_BIND_ADDRESS": "127.0.0.1",
            "TEXTMOD_TERMINATION_LOG": os.devnull,
            "OMP_NUM_THREADS": "1",
        }
        for topic, partitions in (
            (self.input, PARTITIONS), (self.output, PARTITIONS), (self.letters, 1)
        ):  # fmt: skip
            self._create(topic, partitions, replicas)
        self._sender = Sender(servers, self.input, random)
        # A member of no group: it only asks what the group has committed. (The admin client's
        # question for the same ended librdkafka 2.16 with a segmentation fault here.)
        self._offsets = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": self.group,
                "isolation.level": "read_uncommitted",
                "log_level": 0,
            }
        )
        self._partitions = PARTITIONS
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    # --- what a scenario may do -------------------------------------------------------------------

    def start_worker(self) -> ManagedProcess:
        """Start one more member of the group."""
        self._started += 1
        names = ("HTTP", "GRPC", "METRICS")
        ports = {f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(free_port()) for name in names}
        pod = {"TEXTMOD_POD_NAME": f"{self.group}-{self._started}"}
        worker = self._keeper.start(
            f"{self.group}-{self._started}",
            list(self._command),
            env=self._environment | ports | pod,
        )
        self.workers.append(worker)
        return worker

    def end_worker(self, worker: ManagedProcess, number: signal.Signals) -> None:
        """End a worker by a signal."""
        self.workers.remove(worker)
        os.kill(worker.pid, number)
        grace = 0 if number is signal.SIGKILL else 30
        self._keeper.stop(worker, grace_seconds=grace)

    def pause(self, low: float, high: float) -> None:
        """Let the load run on for a random time."""
        time.sleep(self.random.uniform(low, high))

    def add_partitions(self, count: int) -> None:
        """Grow the input, then the output."""
        for topic in (self.input, self.output):
            [future] = self._admin.create_partitions([NewPartitions(topic, count)]).values()
            future.result(ANSWER_SECONDS)
        self._partitions = count

    def configure(self, topic: str, name: str, value: str | None) -> None:
        """Set one option of a topic; None goes back to the broker's."""
        how = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
        entry = ConfigEntry(name, value or "", incremental_operation=how)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        [future] = self._admin.incremental_alter_configs([resource]).values()
        future.result(ANSWER_SECONDS)

    def fault_is_over(self) -> None:
        """Note that from here on the stream has to go on."""
        self.history.last_fault = self._now()

    # --- the run around it ------------------------------------------------------------------------

    def begin(self, messages: int, workers: int, rate: float, poison: float) -> None:
        """Start workers and sending; returns once the first results are committed."""
        for _ in range(workers):
            self.start_worker()
        self._sender.begin(messages, rate, poison)
        self._watcher.start()
        wait_until(
            lambda: bool(self.history.progress) and self.history.progress[-1].results > 0,
            "the first results were committed",
            timeout=90,
        )

    def finish(self) -> History:
        """Wait until all is done or the stream stands still; return what happened."""
        self.history.sent = self._sender.finish()
        total = len(self.history.sent)
        last, since = -1, time.monotonic()
        while time.monotonic() - since < PROMISE_SECONDS + 15:
            seen = self.history.progress[-1].results if self.history.progress else 0
            if seen >= total:
                break
            if seen > last:
                last, since = seen, time.monotonic()
            self._revive()
            time.sleep(SAMPLE_SECONDS)
        else:
            self.history.group = self._described()
        self._watching.set()
        self._watcher.join()
        for worker in list(self.workers):
            self.end_worker(worker, signal.SIGTERM)
        self.history.committed = self._committed() or {}
        verdicts, letters = self._read(self.output, dead=False), self._read(self.letters, dead=True)
        # A letter without its original names the message by its source alone.
        numbers = {(one.partition, one.offset): one.number for one in self.history.sent}
        self.history.results = verdicts + [
            one._replace(number=numbers.get(one.source, -1)) if one.number < 0 else one
            for one in letters
        ]
        self.history.visible = self._now()
        return self.history

    def close(self) -> None:
        """End what is left; delete the topics."""
        self._watching.set()
        if self._watcher.ident is not None:
            self._watcher.join()
        for worker in list(self.workers):
            self.end_worker(worker, signal.SIGKILL)
        for future in self._admin.delete_topics([self.input, self.output, self.letters]).values():
            future.exception(ANSWER_SECONDS)
        # Kafka's clients end here, by name, and not whenever the garbage collector comes by.
        self._offsets.close()
        del self._admin
        self._sender.close()

    def logs(self) -> list[Path]:
        """The workers' logs."""
        return [self._keeper.log_dir / f"{self.group}-{n}.log" for n in range(1, self._started + 1)]

    def _revive(self) -> None:
        """Restart workers that ended by themselves, as the kubelet does."""
        for worker in list(self.workers):
            if worker.exit_code() is not None:
                self.workers.remove(worker)
                self._keeper.stop(worker)
                self.start_worker()

    def _now(self) -> float:
        return time.monotonic() - self._begun

    def _create(self, topic: str, partitions: int, replicas: int) -> None:
        config = {"min.insync.replicas": str(max(1, replicas - 1))}
        [future] = self._admin.create_topics(
            [NewTopic(topic, partitions, replicas, config=config)]
        ).values()
        future.result(ANSWER_SECONDS)

    def _watch(self) -> None:
        while not self._watching.wait(SAMPLE_SECONDS):
            committed = self._committed()
            if committed is not None:
                self.history.progress.append(Progress(self._now(), sum(committed.values())))

    def _committed(self) -> dict[int, int] | None:
        """The group's offsets; None while no broker answers."""
        wanted = [TopicPartition(self.input, number) for number in range(self._partitions)]
        try:
            found = self._offsets.committed(wanted, timeout=5)
        except KafkaException:
            return None
        return {one.partition: one.offset for one in found if one.offset >= 0}

    def _described(self) -> list[str]:
        """Return what the broker says of the group: a line a member."""
        [future] = self._admin.describe_consumer_groups([self.group]).values()
        try:
            group = future.result(ANSWER_SECONDS)
        except KafkaException as error:
            return [str(error)]
        return [f"{group.state}"] + [
            f"{member.client_id} {member.member_id}"
            f" has {_numbers(member.assignment)}, is to have {_numbers(member.target_assignment)}"
            for member in group.members
        ]

    def _read(self, topic: str, *, dead: bool) -> list[Result]:
        """Read a topic to its end as of now.

        What is behind an open transaction can't be read. One that a killed worker left open ends
        with its time-out; until then this waits.
        """
        options = {
            "bootstrap.servers": self.brokers.bootstrap_servers,
            "group.id": f"reader-{topic}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
        whole = Consumer(options | {"isolation.level": "read_uncommitted"})
        reader = Consumer(options | {"isolation.level": "read_committed"})
        found: list[Result] = []
        try:
            known = whole.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions
            partitions = [TopicPartition(topic, number, 0) for number in known]
            ends = {
                one.partition: whole.get_watermark_offsets(one, timeout=ANSWER_SECONDS)[1]
                for one in partitions
            }
            deadline = time.monotonic() + VISIBLE_SECONDS
            for one in partitions:  # for read_committed the end is the last stable offset
                while (
                    reader.get_watermark_offsets(one, timeout=ANSWER_SECONDS)[1]
                    < ends[one.partition]
                    and time.monotonic() < deadline
                ):
                    time.sleep(SAMPLE_SECONDS)
            reader.assign(partitions)
            left = set(ends)
            while left:
                for message in reader.consume(1000, 0.2):
                    if message.error() is None:
                        found.append(_result(message, dead=dead))
                    elif message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                        left.discard(message.partition())
        finally:
            reader.close()
            whole.close()
        return found


class Sender(threading.Thread):
    """Sends numbered messages at a rate, and keeps those that the broker acknowledged."""

    def __init__(self, servers: str, topic: str, random: Random) -> None:
        super().__init__(daemon=True)
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "delivery.timeout.ms": 300_000,
                "message.max.bytes": 4_000_000,
                "linger.ms": 5,
                "log_level": 0,
            }
        )
        self._topic, self._random = topic, Random(random.random())  # noqa: S311 - a seeded run
        self._acknowledged: list[Sent] = []
        self._count, self._rate, self._poison = 0, 0.0, 0.0
        self._stopped = False

    def begin(self, count: int, rate: float, poison: float) -> None:
        """Send `count` messages at `rate` a second, a share of them hostile."""
        self._count, self._rate, self._poison = count, rate, poison
        self.start()

    def run(self) -> None:
        begun = time.monotonic()
        for number in range(self._count):
            if self._stopped:
                return
            early = number / self._rate - (time.monotonic() - begun)
            if early > 0.01:
                self._producer.poll(early)
            self._send(number)

    def finish(self) -> list[Sent]:
        """Wait for the last acknowledgement; return what was acknowledged."""
        self.join()
        self._producer.flush(300)
        return self._acknowledged

    def close(self) -> None:
        """End the client; what it has not sent is given up."""
        self._stopped = True
        if self.ident is not None:
            self.join()
        self._producer.purge()
        self._producer.flush(5)
        del self._producer

    def _send(self, number: int) -> None:
        key = f"key-{number % KEYS}".encode() if number % 11 else None
        if self._random.random() < self._poison:
            value, headers = payload(self._random)
        else:
            body = f"comment {number}: lovely paper, you stupid idiot {self._random.random()}"
            value, headers = json.dumps({"id": number, "body": body}).encode(), []

        def acknowledged(error: KafkaError | None, message: Message) -> None:
            if error is None:
                partition, offset = message.partition(), message.offset()
                self._acknowledged.append(Sent(number, partition, offset, key, value))

        self._producer.produce(
            self._topic,
            value,
            key,
            headers=[*headers, ("number", str(number).encode())],
            on_delivery=acknowledged,
        )
        self._producer.poll(0)


def _numbers(assignment: MemberAssignment | None) -> list[int] | None:
    return assignment and sorted(one.partition for one in assignment.topic_partitions)


def _result(message: Message, *, dead: bool) -> Result:
    headers = dict(message.headers() or [])
    source = (-1, -1)
    if dead:
        names = ("textmod.error.partition", "textmod.error.offset")
        source = (int(headers.get(names[0], -1)), int(headers.get(names[1], -1)))
    elif "ce_id" in headers:
        _, partition, offset = headers["ce_id"].decode().rsplit("/", 2)
        source = (int(partition), int(offset))
    return Result(
        number=int(headers.get("number", -1)),
        dead=dead,
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value() if dead else None,
        source=source,
        headers=frozenset(headers),
    )
