"""How long changed policies take to reach every one of 12 replicas, while texts arrive.

    python bench/policies/propagation.py [--rounds 5] [--rate 120]

On the local cluster: a real control plane and broker, the operator, and 12 workers as pods, each
with one partition of the input. In every round `kubectl apply` changes the policies;
`propagation_seconds` is the time from its answer to the first verdict of the last replica that
carries the new version, the largest of all rounds. No pod may be restarted, and no replica may go
back to an older version.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from textmod_dev.figures import figures_dir, merge_figures
from textmod_dev.kubectl import Kubectl
from textmod_dev.model_image import IMAGE
from textmod_dev.processes import wait_until
from textmod_dev.temporary_cluster import temporary_cluster

RESULTS = figures_dir(Path(__file__).resolve().parents[1] / "results")
REPLICAS = 12
NAME = "science"
ROUND_SECONDS = 60.0
"""A version that is not everywhere by then fails the run."""


def manifest(servers: str, threshold: float) -> str:
    """The object: one partition for each replica, and a policy with a threshold."""
    cpu = {"cpu": "100m", "memory": "256Mi"}
    rules = [
        {"action": "Remove", "atLeast": round(threshold, 3)},
        {"action": "Review", "hold": True, "precision": 0.5},
    ]
    topic = {"partitions": REPLICAS, "replicationFactor": 1}
    spec = {
        "replicas": REPLICAS,
        "kafka": {"bootstrapServers": servers},
        "topics": {"input": topic, "output": topic},
        "message": {"format": "Text", "outputFormat": "Verdict"},
        "model": {"image": IMAGE, "resources": {"requests": cpu, "limits": {"memory": "512Mi"}}},
        "serving": {"platform": "Deployment"},
        "autoscaling": {"metricsProvider": "None"},
        "policies": [{"name": "off-topic", "rules": rules}],
    }
    metadata = {"name": NAME, "namespace": "default"}
    body = {"apiVersion": "textmoderation.dev/v1alpha1", "kind": "TextModeration"}
    return json.dumps({**body, "metadata": metadata, "spec": spec})


@dataclass
class Verdicts:
    """What each partition's verdicts were decided by, and since when. Thread-safe enough: one
    thread writes."""

    since: list[dict[str, float]] = field(default_factory=lambda: [{} for _ in range(REPLICAS)])
    """By partition: version → Unix time at which its first verdict was written."""
    latest: list[str | None] = field(default_factory=lambda: [None] * REPLICAS)
    steps_back: int = 0
    total: int = 0

    def take(self, partition: int, value: bytes, written: float) -> None:
        """Take in one verdict."""
        version = json.loads(value)["policyVersion"]
        self.total += 1
        if version == self.latest[partition]:
            return
        if version in self.since[partition]:
            self.steps_back += 1
        self.latest[partition] = version
        self.since[partition].setdefault(version, written)

    def everywhere(self, version: str) -> bool:
        """Whether every replica decides by this version."""
        return all(latest == version for latest in self.latest)


def send(servers: str, rate: float, stop: threading.Event) -> None:
    """Send short texts to all partitions in turn."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5})
    number, began = 0, time.monotonic()
    while not stop.wait(0.02):
        while number < (time.monotonic() - began) * rate:
            text = f"you are number {number} of many, thank you"
            producer.produce(f"{NAME}-input", text.encode(), partition=number % REPLICAS)
            number += 1
        producer.poll(0)
    producer.flush(10)


def read(servers: str, verdicts: Verdicts, stop: threading.Event) -> None:
    """Take in every verdict, with the broker's own time of its write."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench"})
    consumer.assign([TopicPartition(f"{NAME}-output", p, 0) for p in range(REPLICAS)])
    while not stop.is_set():
        for message in consumer.consume(500, 0.1):
            if message.error() is None:
                partition, milliseconds = message.partition() or 0, message.timestamp()[1]
                verdicts.take(partition, message.value() or b"{}", milliseconds / 1000)
    consumer.close()


@contextmanager
def threads(*targets: tuple[Any, ...]) -> Iterator[None]:
    """Run functions, each with a last argument that says when to stop."""
    stop = threading.Event()
    running = [threading.Thread(target=f, args=(*args, stop)) for f, *args in targets]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join(30)


def get(kubectl: Kubectl, *what: str) -> dict[str, Any]:
    return dict(json.loads(kubectl("get", *what, "-o", "json")))


def pods(kubectl: Kubectl) -> dict[str, int]:
    """Name → restarts of the model's pods."""
    found = get(kubectl, "pods", "-l", f"textmoderation.dev/name={NAME}")["items"]
    return {
        pod["metadata"]["name"]: sum(
            status["restartCount"] for status in pod["status"].get("containerStatuses", ())
        )
        for pod in found
    }


def change(kubectl: Kubectl, servers: str, threshold: float, verdicts: Verdicts) -> float:
    """Change the policies once; seconds until the last replica decided by them."""
    before = get(kubectl, "tm", NAME)["status"]["policyVersion"]
    kubectl("apply", "-f", "-", stdin=manifest(servers, threshold))
    answered = time.time()

    def version() -> str:
        return str(get(kubectl, "tm", NAME)["status"]["policyVersion"])

    wait_until(lambda: version() != before, "the version changed", timeout=ROUND_SECONDS)
    wanted = version()
    wait_until(
        lambda: verdicts.everywhere(wanted), f"{wanted} was everywhere", timeout=ROUND_SECONDS
    )
    return max(since[wanted] for since in verdicts.since) - answered


def measure(kubectl: Kubectl, servers: str, rounds: int, rate: float) -> dict[str, object]:
    """The figures of all rounds."""
    kubectl("apply", "-f", "-", stdin=manifest(servers, 0.9))
    kubectl("wait", "--for=condition=PoliciesReady", "--timeout=300s", f"tm/{NAME}")
    kubectl("wait", "--for=jsonpath={.status.readyReplicas}=12", "--timeout=300s", f"tm/{NAME}")
    before, verdicts = pods(kubectl), Verdicts()
    with threads((send, servers, rate), (read, servers, verdicts)):
        first = get(kubectl, "tm", NAME)["status"]["policyVersion"]
        wait_until(lambda: verdicts.everywhere(first), "every replica wrote", timeout=120)
        took = []
        for number in range(rounds):
            time.sleep(5)
            took.append(change(kubectl, servers, 0.8 - 0.01 * number, verdicts))
    assert pods(kubectl) == before, "pods were replaced or restarted"
    assert verdicts.steps_back == 0, "a replica went back to an older version"
    return {
        "propagation_seconds": round(max(took), 2),
        "propagation_seconds_median": round(sorted(took)[len(took) // 2], 2),
        "propagation_replicas": REPLICAS,
        "propagation_rounds": rounds,
        "propagation_verdicts": verdicts.total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=120, help="texts a second, over all replicas")
    args = parser.parse_args()
    with temporary_cluster() as (kubectl, running):
        figures = measure(kubectl, running.bootstrap_servers, args.rounds, args.rate)
    merge_figures(RESULTS / "policies.json", figures)


if __name__ == "__main__":
    main()
