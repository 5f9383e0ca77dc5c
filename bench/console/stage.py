"""What a run needs: topics with review requests in them, a console process, the topic read back."""

import collections
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from textmod_console.events import (
    DECISION,
    REVIEW_REQUESTED,
    Reason,
    ReviewRequested,
    Selection,
    headers,
)
from textmod_dev.processes import free_port, wait_until

REVIEW, FEEDBACK, GROUP = "science-review", "science-feedback", "console-science"


def make_topics(servers: str, replicas: int = 1, partitions: int = 3) -> None:
    """Make both topics, as the operator does."""
    admin = AdminClient({"bootstrap.servers": servers})
    config = {"retention.ms": "-1", "min.insync.replicas": str(max(1, replicas - 1))}
    topics = [
        NewTopic(REVIEW, partitions, replicas, config=config),
        NewTopic(FEEDBACK, 1, replicas, config=config),
    ]
    for made in admin.create_topics(topics).values():
        made.result(30)


def requests(count: int, first: int = 0) -> list[ReviewRequested]:
    """Return review requests: one in ten of the random sample, one in five held."""
    at = datetime.now(UTC)
    found = []
    for n in range(first, first + count):
        blind = n % 10 == 0
        found.append(
            ReviewRequested(
                item=f"science-input/{n % 12}/{n}",
                text=f"comment number {n} on the matter at hand, neither long nor short " * 3,
                author=f"user-{n % 997}",
                reasons=(Reason(kind="Random" if blind else "Policy", policy="off-topic"),),
                action="Allow" if blind else "Review",
                flagged=not blind,
                selection=Selection(
                    strategy="Random" if blind else "Policy", probability=0.005 if blind else 1
                ),
                hold=n % 5 == 1,
                blind=blind,
                label="removed",
                scores={"removed": (n * 7919 % 1000) / 1000},
                explanation={"offsets": "CodePoint", "spans": [], "base": -1.1, "total": 0.6},
                model="sha256:" + "ab" * 32,
                policy_version="p1",
                at=at,
            )
        )
    return found


def produce(servers: str, events: list[ReviewRequested]) -> None:
    """Write review requests, as the worker does."""
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 20})
    for event in events:
        producer.produce(
            REVIEW,
            key=event.item.encode(),
            value=event.value(),
            headers=list(headers(REVIEW_REQUESTED, event.item, "/bench", event.at)),
        )
        producer.poll(0)
    assert producer.flush(60) == 0


@dataclass
class Console:
    """A console process; `kill` and `start` are a crash and the restart."""

    servers: str
    folder: Path
    database_url: str = ""
    module: str = "bench.console.server"
    port: int = field(default_factory=free_port)
    internal_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """Return the environment that the operator would give."""
        return {
            **os.environ,
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": self.servers,
            "TEXTMOD_REVIEW_TOPIC": REVIEW,
            "TEXTMOD_FEEDBACK_TOPIC": FEEDBACK,
            "TEXTMOD_CONSUMER_GROUP": GROUP,
            "TEXTMOD_CONSOLE_DATA": str(self.folder),
            "TEXTMOD_CONSOLE_DATABASE_URL": self.database_url,
            "TEXTMOD_CONSOLE_AUTHENTICATION": "Loopback",
            "TEXTMOD_CONSOLE_BIND_ADDRESS": "127.0.0.1",
            "TEXTMOD_CONSOLE_PORT": str(self.port),
            "TEXTMOD_CONSOLE_INTERNAL_PORT": str(self.internal_port),
            "TEXTMOD_TERMINATION_LOG": "",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    def start(self) -> None:
        """Start the process."""
        with (self.folder / "console.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module], stdout=log, stderr=log, env=self.environment()
            )

    def wait(self, seconds: float = 60) -> None:
        """Wait until reviewers can be served."""
        wait_until(self.ready, f"the console was ready (see {self.folder})", timeout=seconds)

    def ready(self) -> bool:
        """Tell whether reviewers can be served."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.internal_port}/readyz", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            return False

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(40)
        finally:
            self.process.kill()

    def run(self, *arguments: str) -> str:
        """Run one of the commands; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "textmod_console", *arguments],
            env=self.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def read_feedback(servers: str) -> list[dict[str, Any]]:
    """Return every decision of the feedback topic, in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "bench-check",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
    )
    found = []
    try:
        consumer.assign([TopicPartition(FEEDBACK, 0, 0)])
        while True:
            message = consumer.poll(30)
            assert message is not None, "the feedback topic does not answer"
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    return found
                continue
            kind = dict(message.headers() or []).get("ce_type", b"").decode()
            if kind == DECISION:
                found.append(json.loads(message.value()))
    finally:
        consumer.close()


@dataclass(frozen=True)
class Verdict:
    """What a run showed."""

    decisions: int
    decisions_lost: int
    published_twice: int
    decided_twice: int


def judge(accepted: dict[str, str], feedback: list[dict[str, Any]]) -> Verdict:
    """Compare what reviewers saw accepted with the feedback topic."""
    times = collections.Counter(one["id"] for one in feedback)
    closing = collections.defaultdict(list)
    for one in feedback:
        if one["decision"] in {"Approve", "Remove"}:
            closing[one["item"]].append(one)
    twice = [
        item
        for item, some in closing.items()
        # A later decision names the one before it; two that name none were made side by side.
        if len(some) - len({one.get("supersedes") for one in some} - {None}) > 1
    ]
    return Verdict(
        decisions=len(accepted),
        decisions_lost=sum(one not in times for one in accepted),
        published_twice=sum(count > 1 for count in times.values()),
        decided_twice=len(twice),
    )
