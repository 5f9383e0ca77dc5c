"""A storm of rebalances with SIGKILL and open transactions, exactly once: nothing twice, no stall.

    python bench/limits/storm.py [--seeds 20] [--first 0] [--messages 6000]

Each seed has topics and a group of its own, and for half a minute pods that start, stop, freeze and
are killed at random while messages keep coming; a killed pod leaves its transaction open. Then two
pods are left alone, and every message has to come out once. Each fourth seed runs on a broker
without KIP-848, with static members. Merges `storm_*` into limits.json.
"""

import argparse
import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from textmod_dev.figures import figures_dir, merge_figures
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import free_port
from textmod_model.training import sample

RESULTS = figures_dir(Path(__file__).parents[1] / "results") / "limits.json"
PARTITIONS = 8
PODS = 4
STORM_SECONDS = 30.0
CALM_SECONDS = 120.0
"""A killed pod's session (6 s) and its transaction (up to 20 s) have to end first."""

QUICK_SESSIONS = {
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
}
CLASSIC_ONLY = {"group.coordinator.rebalance.protocols": "classic"}


class Storm:
    """One seed: its topics, its pods, and what is done to them."""

    def __init__(self, bootstrap: str, model: Path, seed: int, logs: Path) -> None:
        name = f"{seed}-{uuid.uuid4().hex[:6]}"
        self.random = random.Random(seed)  # noqa: S311 - a seed repeats what is done
        self.bootstrap, self.group = bootstrap, f"storm-{name}"
        self.input, self.output, self.dead = f"in-{name}", f"out-{name}", f"dead-{name}"
        self._logs = logs
        admin = AdminClient({"bootstrap.servers": bootstrap})
        topics = [NewTopic(topic, PARTITIONS, 1) for topic in (self.input, self.output, self.dead)]
        for future in admin.create_topics(topics).values():
            future.result(30)
        self._environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "TEXTMOD_INPUT_TOPIC": self.input,
            "TEXTMOD_OUTPUT_TOPIC": self.output,
            "TEXTMOD_DEAD_LETTER_TOPIC": self.dead,
            "TEXTMOD_CONSUMER_GROUP": self.group,
            "TEXTMOD_DELIVERY": "ExactlyOnce",
            "TEXTMOD_BATCH_MAX_MESSAGES": "16",
            "TEXTMOD_ARTIFACT": str(model),
            "TEXTMOD_BIND_ADDRESS": "127.0.0.1",
            "TEXTMOD_TERMINATION_LOG": os.devnull,
        }
        self.pods: dict[int, subprocess.Popen[bytes]] = {}
        self._started = 0
        self.kills = 0

    def start(self, slot: int) -> None:
        """Start a pod; under its old name half of the time, as a restarted container has it."""
        self._started += 1
        fresh = self.random.random() < 0.5
        name = f"pod-{slot}-{self._started if fresh else 0}"
        names = ("HTTP", "GRPC", "METRICS")
        ports = {f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(free_port()) for name in names}
        with (self._logs / f"{self.group}.log").open("ab") as log:
            self.pods[slot] = subprocess.Popen(
                [sys.executable, "-m", "textmod_model", "stream"],
                env={**self._environment, **ports, "TEXTMOD_POD_NAME": name},
                stderr=log,
            )

    def blow(self) -> None:
        """Do something to a pod."""
        slot = self.random.randrange(PODS)
        pod = self.pods.get(slot)
        if pod is None or pod.poll() is not None:
            self.start(slot)
            return
        what = self.random.choices(("kill", "stop", "freeze"), (6, 2, 1))[0]
        if what == "kill":
            pod.kill()
            self.kills += 1
        elif what == "stop":
            pod.send_signal(signal.SIGTERM)
        else:
            pod.send_signal(signal.SIGSTOP)
            time.sleep(self.random.uniform(0.2, 3.0))
            pod.send_signal(signal.SIGCONT)

    def run(self, messages: int) -> dict[str, int]:
        """Blow, then wait for everything; returns what was counted."""
        sender = threading.Thread(target=self._send, args=(messages,))
        sender.start()
        try:
            for slot in range(PODS):
                self.start(slot)
            until = time.monotonic() + STORM_SECONDS
            while time.monotonic() < until:
                time.sleep(self.random.uniform(0.2, 1.5))
                self.blow()
            sender.join()
            found = self._calm(messages)
        finally:
            for pod in self.pods.values():
                pod.kill()
                pod.wait()
        return {
            "duplicated": sum(found.values()) - len(found),
            "stalls": int(len(found) < messages),
            "missing": messages - len(found),
            "kills": self.kills,
        }

    def _calm(self, messages: int) -> collections.Counter[int]:
        """Leave two pods alone until all messages came out, or for CALM_SECONDS."""
        for slot, pod in self.pods.items():
            if slot >= 2:
                pod.kill()
        found: collections.Counter[int] = collections.Counter()
        deadline = time.monotonic() + CALM_SECONDS
        with reader(self.bootstrap, self.output) as consumer:
            quiet_since = time.monotonic()
            while time.monotonic() < deadline:
                for slot in range(2):  # as a kubelet would
                    if slot not in self.pods or self.pods[slot].poll() is not None:
                        self.start(slot)
                for message in consumer.consume(1000, 0.5):
                    if message.error() is None:
                        found[int(dict(message.headers())["number"])] += 1
                        quiet_since = time.monotonic()
                if len(found) == messages and time.monotonic() - quiet_since > 5:
                    break  # what would come twice had its time
        return found

    def _send(self, messages: int) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 0})
        for number in range(messages):
            producer.produce(
                self.input,
                f"a comment, number {number}",
                f"key-{number % 97}",
                headers=[("number", str(number))],
            )
            producer.poll(0)
            if number % 50 == 0:
                time.sleep(50 * STORM_SECONDS / messages)
        assert producer.flush(60) == 0


@contextlib.contextmanager
def reader(bootstrap: str, topic: str) -> Iterator[Consumer]:
    """A consumer of the whole topic from its start, of committed records only."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"reader-{topic}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    try:
        yield consumer
    finally:
        consumer.close()


def train(folder: Path) -> Path:
    """Package a small model."""
    sample.write_csv(folder / "comments.csv", 400, seed=1)
    model = folder / "model"
    command = [sys.executable, "-m", "textmod_model", "train", folder / "comments.csv"]
    subprocess.run([*command, "--out", model], check=True, capture_output=True)
    return model


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything started is ended
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--messages", type=int, default=6000)
    args = parser.parse_args()
    totals: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        model = train(folder)
        logs = RESULTS.parent / "storm-logs" if os.environ.get("RECORD") != "1" else folder
        logs.mkdir(exist_ok=True)
        new, old = (
            stack.enter_context(KafkaBroker(folder / kind, properties=properties))
            for kind, properties in (("new", QUICK_SESSIONS), ("old", CLASSIC_ONLY))
        )
        for seed in range(args.first, args.first + args.seeds):
            broker = old if seed % 4 == 3 else new
            began = time.monotonic()
            counts = Storm(broker.bootstrap_servers, model, seed, logs).run(args.messages)
            totals.update(counts)
            print(f"seed {seed}: {counts}, {time.monotonic() - began:.0f} s", flush=True)
    figures = {
        "storm_seeds": args.seeds,
        "storm_messages": args.seeds * args.messages,
        "storm_kills": totals["kills"],
        "storm_duplicated": totals["duplicated"],
        "storm_missing": totals["missing"],
        "storm_stalls": totals["stalls"],
    }
    merge_figures(RESULTS, figures)


if __name__ == "__main__":
    main()
