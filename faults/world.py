"""One stream under load: topics, workers, a sender and their results, all real processes."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

from confluent_kafka import (
    Consumer,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import MemberAssignment

from faults.history import History, Progress, Result, copies, placed
from faults.network import Network
from faults.observed import PREFIX
from faults.reading import SAMPLE_SECONDS, Reading, places, read, requested
from faults.sender import Sender
from faults.topics import ANSWER_SECONDS, Admin
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import ManagedProcess, ProcessKeeper, free_port, wait_until

PARTITIONS = 6
PROMISE_SECONDS = 60.0
"""The longest standstill that a run allows once the last fault is over."""
REVIEW_SAMPLE = 0.05
"""The share of texts whose review is asked for at random."""


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
        self,
        stage: Stage,
        delivery: str,
        random: Random,
        replicas: int,
        *,
        proxied: bool = False,
        reviewed: bool = False,
    ) -> None:
        self.brokers, self.random, self.network = stage.brokers, random, stage.network
        self._command = stage.command
        self._keeper = stage.keeper
        name = uuid.uuid4().hex[:8]
        self.input, self.output, self.letters = f"in-{name}", f"out-{name}", f"dead-{name}"
        self._review = f"review-{name}" if reviewed else ""
        self._reading = Reading(REVIEW_SAMPLE if reviewed else 0.0, name)
        self.group = f"textmod.{name}"
        servers = stage.brokers.bootstrap_servers
        self.admin = Admin(servers)
        self.workers: list[ManagedProcess] = []
        self.ended: list[str] = []
        """Workers that ended by themselves: a line each, with the exit code (negative: a signal)
        and the last words."""
        self._logs: list[Path] = []
        self._changing_workers = threading.Lock()
        self._earlier: list[Result] = []
        """Results in topics that were deleted since."""
        self._generations: Counter[str] = Counter()
        """How often a topic was made again."""
        self._expired: dict[int, tuple[int, int]] = {}
        """Input offsets that were deleted unread: from, to; by partition."""
        self.policies = stage.keeper.log_dir / f"{name}.policies.json"
        self._replicas = replicas
        self._settled = 0
        """Messages that were committed before the history begins."""
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
        sizes = {self.input: PARTITIONS, self.output: PARTITIONS, self.letters: 1}
        if reviewed:
            sizes[self._review] = 1
            self._environment |= {
                "TEXTMOD_REVIEW_TOPIC": self._review,
                "TEXTMOD_REVIEW_SAMPLE": str(REVIEW_SAMPLE),
                "TEXTMOD_REVIEW_SALT": name,
            }
        for topic, partitions in sizes.items():
            self.admin.create(topic, partitions, replicas)
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
        self._sizes = {self.input: PARTITIONS}
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    # --- what a scenario may do -------------------------------------------------------------------

    def start_worker(self, pod: str = "") -> ManagedProcess:
        """Start one more member of the group; as the pod of that name, or as a new one."""
        with self._changing_workers:
            name = f"{self.group}-{len(self._logs) + 1}"
            self._logs.append(self._keeper.log_dir / f"{name}.log")
        names = ("HTTP", "GRPC", "METRICS")
        ports = {f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(free_port()) for name in names}
        own = {"TEXTMOD_POD_NAME": pod or name, PREFIX: str(self._keeper.log_dir / name)}
        if self.policies.exists():
            own["TEXTMOD_POLICIES_FILE"] = str(self.policies)
        worker = self._keeper.start(name, list(self._command), env=self._environment | ports | own)
        self.workers.append(worker)
        return worker

    def end_worker(self, worker: ManagedProcess, number: signal.Signals) -> None:
        """End a worker by a signal; one that another fault ended meanwhile is left alone."""
        if not self._take(worker):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, number)
        grace = 0 if number is signal.SIGKILL else 30
        self._keeper.stop(worker, grace_seconds=grace)

    def pause(self, low: float, high: float) -> None:
        """Let the load run on for a random time."""
        time.sleep(self.random.uniform(low, high))

    def add_partitions(self, count: int) -> None:
        """Grow the input, then the output."""
        for topic in (self.input, self.output):
            self.admin.grow(topic, count)
        self._sizes[self.input] = count

    def configure(self, topic: str, name: str, value: str | None) -> None:
        """Set one option of a topic; None goes back to the broker's."""
        self.admin.configure(topic, name, value)

    def make_again(self, topic: str, partitions: int) -> None:
        """Delete a topic that denies writes, and create another of the same name.

        Its records are read first and count as results.
        """
        self._earlier += self._read(topic, dead=topic == self.letters)
        self.admin.delete([topic])
        self._generations[topic] += 1
        self.admin.create(topic, partitions, self._replicas)

    def expire_unread(self) -> None:
        """Delete unread messages from the input; call it while no worker runs."""
        committed = self._committed() or {}
        for number in range(self._sizes[self.input]):
            start = committed.get(number, 0)
            place = TopicPartition(self.input, number)
            _, end = self._offsets.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
            if end > start:
                self._expired[number] = start, self.random.randint(start, end)
        self.admin.expire(self.input, {number: to for number, (_, to) in self._expired.items()})

    def beside(self, random: Random) -> World:
        """Return the same world with other random choices, for a second fault beside the first."""
        other = copy.copy(self)
        other.random = random
        return other

    def fault_is_over(self) -> None:
        """Note that from here on the stream has to go on."""
        self.history.last_fault = self._now()
        self._sender.fault_is_over()

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
        self._wait_until_done()
        self._watching.set()
        self._watcher.join()
        for worker in list(self.workers):
            self.end_worker(worker, signal.SIGTERM)
        self._collect()
        return self.history

    def _wait_until_done(self) -> None:
        """Wait until all is committed, or nothing has moved for longer than promised."""
        total = len(self.history.sent)
        last, since = -1, time.monotonic()
        while time.monotonic() - since < PROMISE_SECONDS + 15:
            seen = self.history.progress[-1].results if self.history.progress else 0
            if seen >= total:
                break
            if seen > last:
                last, since = seen, time.monotonic()
            self.revive()
            time.sleep(SAMPLE_SECONDS)
        else:
            self.history.group = self._described()

    def _collect(self) -> None:
        """Read what was sent and what came of it into the history."""
        self.history.committed = self._committed() or {}
        there = places(self._records(self.input))
        self.history.sent = placed(self.history.sent, there)
        self.history.copies = copies(self.history.sent, there)
        verdicts, letters = self._read(self.output, dead=False), self._read(self.letters, dead=True)
        # A letter without its original names the message by its source alone.
        self.history.expired = {
            one.number for one in self.history.sent if self._is_expired(one.partition, one.offset)
        }
        numbers = {(one.partition, one.offset): one.number for one in self.history.sent}
        numbers |= self.history.copies
        self.history.results = (
            self._earlier
            + verdicts
            + [
                one._replace(number=numbers.get(one.source, -1)) if one.number < 0 else one
                for one in letters
            ]
        )
        if self._review:
            self.history.requests = requested(self._records(self._review))
        self.history.visible = self._now()

    def _records(self, topic: str) -> list[Message]:
        """Read a topic to its end as of now."""
        return read(self.brokers.bootstrap_servers, topic)

    def close(self) -> None:
        """End what is left; delete the topics."""
        self._watching.set()
        if self._watcher.ident is not None:
            self._watcher.join()
        for worker in list(self.workers):
            self.end_worker(worker, signal.SIGKILL)
        with contextlib.suppress(KafkaException, TimeoutError):
            topics = [self.input, self.output, self.letters, self._review]
            self.admin.delete([topic for topic in topics if topic])
        # Kafka's clients end here, by name, and not whenever the garbage collector comes by.
        self._offsets.close()
        del self.admin
        self._sender.close()

    def logs(self) -> list[Path]:
        """The workers' logs."""
        return list(self._logs)

    def revive(self) -> None:
        """Restart workers that ended by themselves, as the kubelet does, and note why they did."""
        for worker in list(self.workers):
            if (code := worker.exit_code()) is not None and self._take(worker):
                last = worker.last_words(1) or "it said nothing"
                self.ended.append(f"{worker.name}: exit code {code}: {last}")
                self._keeper.stop(worker)
                self.start_worker()

    def roll_out(self, setting: str, value: str | None) -> None:
        """Give workers that start from now on another setting; None takes it away."""
        self._environment.pop(setting, None)
        if value is not None:
            self._environment[setting] = value

    def _take(self, worker: ManagedProcess) -> bool:
        """Remove a worker from those that run; False if another fault has done so."""
        with self._changing_workers:
            if worker not in self.workers:
                return False
            self.workers.remove(worker)
            return True

    def _now(self) -> float:
        return time.monotonic() - self._begun

    def _is_expired(self, partition: int, offset: int) -> bool:
        start, to = self._expired.get(partition, (0, 0))
        return start <= offset < to

    def _watch(self) -> None:
        while not self._watching.wait(SAMPLE_SECONDS):
            committed = self._committed()
            if committed is not None:
                done = sum(committed.values()) - self._settled
                self.history.progress.append(Progress(self._now(), done))

    def _committed(self) -> dict[int, int] | None:
        """The group's offsets; None while no broker answers."""
        wanted = [TopicPartition(self.input, number) for number in range(self._sizes[self.input])]
        try:
            found = self._offsets.committed(wanted, timeout=5)
        except KafkaException:
            return None
        return {one.partition: one.offset for one in found if one.offset >= 0}

    def _described(self) -> list[str]:
        """Return the broker's description of the group: a line for each member."""
        [future] = self.admin.client.describe_consumer_groups([self.group]).values()
        try:
            group = future.result(ANSWER_SECONDS)
        except (KafkaException, TimeoutError) as error:
            return [repr(error)]
        return [f"{group.state}"] + [
            f"{member.client_id} {member.member_id}"
            f" has {_numbers(member.assignment)}, is to have {_numbers(member.target_assignment)}"
            for member in group.members
        ]

    def _read(self, topic: str, *, dead: bool) -> list[Result]:
        """Return the results in a topic."""
        base = self._generations[topic] << 40  # after all that was read of it before
        return [self._reading.result(one, dead=dead, base=base) for one in self._records(topic)]


def _numbers(assignment: MemberAssignment | None) -> list[int] | None:
    return assignment and sorted(one.partition for one in assignment.topic_partitions)
