"""Topics that take 64 MiB, a worker with the default memory limit, and the file of the figures."""

import contextlib
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from textmod_dev.figures import figures_dir, merge_figures
from textmod_dev.processes import free_port
from textmod_model.training import sample

RESULTS = figures_dir(Path(__file__).parents[1] / "results") / "limits.json"
MIB = 1 << 20
LARGEST = 64 * MIB
LIMIT = "512Mi"
"""The object's default for model.resources.limits.memory."""

BROKER = {
    "message.max.bytes": str(LARGEST + MIB),
    "replica.fetch.max.bytes": str(LARGEST + MIB),
    "socket.request.max.bytes": str(2 * LARGEST),
}


class Lane:
    """Topics of their own, and what is sent and read on them."""

    def __init__(self, bootstrap: str, model: Path) -> None:
        name = uuid.uuid4().hex[:8]
        self.input, self.output, self.dead = f"in-{name}", f"out-{name}", f"dead-{name}"
        admin = AdminClient({"bootstrap.servers": bootstrap})
        config = {"max.message.bytes": str(LARGEST + MIB)}
        topics = [
            NewTopic(topic, 1, 1, config=config) for topic in (self.input, self.output, self.dead)
        ]
        for future in admin.create_topics(topics).values():
            future.result(30)
        self.producer = Producer(
            {"bootstrap.servers": bootstrap, "message.max.bytes": LARGEST + MIB, "linger.ms": 0}
        )
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"reader-{name}",
                "fetch.wait.max.ms": 5,
                "receive.message.max.bytes": 2 * LARGEST,
            }
        )
        self.consumer.assign([TopicPartition(one, 0, 0) for one in (self.output, self.dead)])
        self.http = free_port()
        self.environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "TEXTMOD_INPUT_TOPIC": self.input,
            "TEXTMOD_OUTPUT_TOPIC": self.output,
            "TEXTMOD_DEAD_LETTER_TOPIC": self.dead,
            "TEXTMOD_CONSUMER_GROUP": f"limits-{name}",
            "TEXTMOD_STREAMING": "Native",
            "TEXTMOD_ARTIFACT": str(model),
            "TEXTMOD_BIND_ADDRESS": "127.0.0.1",
            "TEXTMOD_MEMORY_LIMIT": LIMIT,
            "TEXTMOD_TERMINATION_LOG": os.devnull,
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(self.http),
            "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(free_port()),
            "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(free_port()),
        }

    @contextlib.contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """A worker, killed on leaving."""
        process = subprocess.Popen(
            [sys.executable, "-m", "textmod_model", "serve"],
            env=self.environment,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def send(self, value: bytes) -> None:
        self.producer.produce(self.input, value)
        self.producer.flush(60)

    def read(self, seconds: float = 300) -> Message:
        """Return the next verdict or dead letter."""
        message = self.consumer.poll(seconds)
        assert message is not None, "nothing came out"
        assert message.error() is None, message.error()
        return message


def own_mib(process: int) -> float:
    """Return the private (unshared) memory of all children of a process, in MiB."""
    return sum(
        one.memory_full_info().uss / MIB for one in psutil.Process(process).children(recursive=True)
    )


def train(folder: Path) -> Path:
    """A small model of the recipe `default`."""
    data, model = folder / "comments.csv", folder / "model"
    sample.write_csv(data, 2_000)
    command = [sys.executable, "-m", "textmod_model", "train", data, "--out", model]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return model


def merge(figures: dict[str, object]) -> None:
    """Write figures beside those that other commands measured."""
    merge_figures(RESULTS, figures)


def in_thread(target: object, *args: object) -> threading.Thread:
    """Start a thread that ends with the process."""
    thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread
