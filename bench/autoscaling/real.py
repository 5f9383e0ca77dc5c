"""Traces on the local cluster: real pods, Kafka and HPA, the simulator's prediction beside them.

    make bench-autoscaling-real

or, from bench/: python -m autoscaling.real step spike on_off cold

Each trace takes three to four minutes on a cluster of its own. Pods get a tenth of a core, so that
twelve of them fit a small machine, and texts of some hundred words, all different. Loads are in
replicas: what one of them reads a second is measured first. Writes results/autoscaling-real.json,
the figure `cold_first_verdict_seconds` into results/autoscaling.json, and a picture.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from autoscaling import plots
from autoscaling.policies import Ours
from autoscaling.simulator import World, simulate
from autoscaling.traces import Trace
from textmod_dev.errors import LocalClusterError
from textmod_dev.figures import figures_dir
from textmod_dev.kubectl import Kubectl
from textmod_dev.model_image import IMAGE
from textmod_dev.processes import wait_until
from textmod_dev.temporary_cluster import temporary_cluster
from textmod_operator.kafka.offsets import GroupOffsets
from textmod_operator.state import KafkaConnection

RESULTS = figures_dir(Path(__file__).resolve().parents[1] / "results")
PARTITIONS = 12
PROMISE = 30
NAMESPACE = "default"
NAME = "science"
COLD_STARTS = 5
WORDS = 360
"""Of one text."""

TRACES: dict[str, list[tuple[int, float]]] = {
    "step": [(30, 0.8), (130, 6.0)],
    "spike": [(30, 1.8), (40, 9.0), (90, 1.8)],
    "on_off": [(40, 0.2), (60, 5.0), (40, 0.2), (60, 5.0)],
}
"""(seconds, load in replicas) pieces."""


def manifest(servers: str, minimum: int) -> dict[str, Any]:
    """The object under test."""
    cpu = {"cpu": "100m", "memory": "256Mi"}
    return {
        "apiVersion": "textmoderation.dev/v1alpha1",
        "kind": "TextModeration",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "kafka": {"bootstrapServers": servers},
            "topics": {
                "input": {"partitions": PARTITIONS, "replicationFactor": 1},
                "output": {"partitions": PARTITIONS, "replicationFactor": 1},
                "deadLetter": {"partitions": 1, "replicationFactor": 1},
            },
            "message": {"format": "Text", "outputFormat": "Verdict"},
            "model": {
                "image": IMAGE,
                "resources": {"requests": cpu, "limits": {**cpu, "memory": "512Mi"}},
            },
            "serving": {"platform": "Deployment"},
            "autoscaling": {
                "minReplicas": minimum,
                "maxReplicas": PARTITIONS,
                "lag": {"maxSecondsBehind": PROMISE},
            },
        },
    }


@dataclass
class Object:
    """The TextModeration on its cluster."""

    kubectl: Kubectl
    servers: str

    def get(self) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", "tm", NAME, "-o", "json")))

    def topic(self, role: str) -> str:
        return next(t["name"] for t in self.get()["status"]["topics"] if t["role"] == role)

    @property
    def group(self) -> str:
        return str(self.get()["status"]["consumerGroup"])


@contextlib.contextmanager
def cluster(minimum: int) -> Iterator[Object]:
    """A cluster with the operator and a ready TextModeration; the HPA syncs every 15 s."""
    with temporary_cluster() as (kubectl, running):
        about = json.dumps(manifest(running.bootstrap_servers, minimum))
        kubectl("apply", "-f", "-", stdin=about)
        kubectl("wait", "--for=condition=Ready", "--timeout=120s", f"tm/{NAME}")
        yield Object(kubectl, running.bootstrap_servers)


@dataclass
class Sender:
    """Sends texts to the partitions in turn and remembers when each was sent."""

    servers: str
    topic: str
    sent: list[list[float]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    """By partition, Unix times; a record's offset is its index."""

    def __post_init__(self) -> None:
        self._producer = Producer({"bootstrap.servers": self.servers, "linger.ms": 5})
        self._count = 0
        rng = np.random.default_rng(1)
        self._words = ["".join(rng.choice(list("abcdefghij"), 7)) for _ in range(2_000)]
        self._rng = rng

    def send(self, count: int) -> None:
        """`count` texts, no two of them the same."""
        now = time.time()
        for row in self._rng.integers(0, len(self._words), (count, WORDS)):
            partition = self._count % PARTITIONS
            text = f"{' '.join(self._words[i] for i in row)} {self._count}"
            self._producer.produce(self.topic, text.encode(), partition=partition)
            self.sent[partition].append(now)
            self._count += 1
            self._producer.poll(0)
        self._producer.flush(10)

    def run(self, rate: Callable[[float], float], until: float) -> None:
        """Sends at `rate(seconds since now)` messages a second until that many seconds passed."""
        begin, owed, last = time.monotonic(), 0.0, 0.0
        while (now := time.monotonic() - begin) < until:
            owed += (now - last) * rate(now)
            last = now
            self.send(int(owed))
            owed -= int(owed)
            time.sleep(0.05)


class Meter:
    """Lag and age from the group's committed offsets and what was sent when."""

    def __init__(self, target: Object, sender: Sender) -> None:
        self._offsets = GroupOffsets(KafkaConnection(target.servers), request_seconds=5)
        self._group, self._topic, self._sender = target.group, sender.topic, sender

    def read(self) -> tuple[int, float, int]:
        """(unread messages, age of the oldest in seconds, messages read in all) now."""
        at = [(self._topic, p) for p in range(PARTITIONS)]
        found = self._offsets.fetch({self._group: at})[self._group]
        if isinstance(found, str):
            raise LocalClusterError(f"The offsets of {self._group} can't be read: {found}.")
        now, lag, age, read = time.time(), 0, 0.0, 0
        for partition, times in enumerate(self._sender.sent):
            committed = found.get((self._topic, partition))
            position = committed.offset if committed else 0
            read += position
            lag += len(times) - position
            if position < len(times):
                age = max(age, now - times[position])
        return lag, age, read

    def close(self) -> None:
        self._offsets.close()


@dataclass(frozen=True)
class Real:
    """One trace as it went. Lists are by second."""

    trace: str
    rate: float
    """Messages/s of one replica, as measured on a backlog before the trace."""
    start_seconds: float
    """From asked to ready, the mean over the trace's scale-ups."""
    arriving: list[int]
    lag: list[int]
    age: list[float]
    replicas: list[int]
    ready: list[int]

    @property
    def over(self) -> int:
        return sum(age > PROMISE for age in self.age)

    @property
    def replica_hours(self) -> float:
        return sum(self.replicas) / 3600


def play(name: str) -> Real:
    """Runs one trace on a cluster of its own."""
    with cluster(1) as target:
        sender = Sender(target.servers, target.topic("input"))
        meter = Meter(target, sender)
        rate = _measured_rate(target, sender, meter)
        print(f"{name}: one replica reads {rate:.0f} messages/s", flush=True)
        wait_until(lambda: _settled(target, meter), "one replica, and nothing waits", timeout=180)
        return _play(name, target, sender, meter, rate)


def _measured_rate(target: Object, sender: Sender, meter: Meter) -> float:
    """What one replica reads of a backlog that is too small to be scaled for."""
    backlog = 600
    while True:
        _, _, before = meter.read()
        sender.send(backlog)
        first = last = (time.monotonic(), before)
        while last[1] < sum(map(len, sender.sent)):
            read = meter.read()[2]
            if read > last[1]:
                first = first if first[1] > before else (time.monotonic(), read)
                last = (time.monotonic(), read)
            time.sleep(0.1)
        if last[0] - first[0] >= 5 or backlog >= 20_000:
            return (last[1] - first[1]) / max(0.1, last[0] - first[0])
        if target.get()["spec"].get("replicas", 1) > 1:
            raise LocalClusterError("The backlog to measure one replica with was scaled for.")
        backlog *= 2


def _settled(target: Object, meter: Meter) -> bool:
    body = target.get()
    return (body["spec"].get("replicas"), body["status"].get("readyReplicas")) == (1, 1) and (
        meter.read()[0] == 0
    )


def _play(name: str, target: Object, sender: Sender, meter: Meter, rate: float) -> Real:
    pieces = TRACES[name]
    loads = [load for seconds, load in pieces for _ in range(seconds)]
    before = [len(times) for times in sender.sent]
    feed = threading.Thread(
        target=sender.run, args=(lambda t: rate * loads[min(int(t), len(loads) - 1)], len(loads))
    )
    rows: list[tuple[int, float, int, int]] = []
    begin = time.time()
    feed.start()
    for second in range(len(loads)):
        time.sleep(max(0.0, begin + second + 1 - time.time()))
        body = target.get()
        lag, age, _ = meter.read()
        ready = body["status"].get("readyReplicas", 0)
        rows.append((lag, age, body["spec"].get("replicas", 1), ready))
    feed.join()
    meter.close()
    arriving = [0] * len(loads)
    for times, first in zip(sender.sent, before, strict=True):
        for at in times[first:]:
            arriving[min(len(loads) - 1, int(at - begin))] += 1
    lag_s, age_s, replicas, ready_s = (list(column) for column in zip(*rows, strict=True))
    return Real(
        name, rate, _start_seconds(replicas, ready_s), arriving, lag_s,
        [round(a, 2) for a in age_s], replicas, ready_s,
    )  # fmt: skip


def _start_seconds(replicas: list[int], ready: list[int]) -> float:
    """Mean seconds from a larger size being asked for until all of it is ready."""
    found = []
    for second in range(1, len(replicas)):
        if replicas[second] > replicas[second - 1]:
            reached = [s for s in range(second, len(ready)) if ready[s] >= replicas[second]]
            found += [reached[0] - second + 1] if reached else []
    return statistics.mean(found) if found else 0.0


def predicted(real: Real) -> dict[str, Any]:
    """The simulator's hour of the same arrivals, speed and start time, in the same columns."""
    share = np.full(PARTITIONS, 1 / PARTITIONS)
    trace = Trace(real.trace, np.array(real.arriving, dtype=float)[:, None] * share)
    world = World(start=real.start_seconds, rate=real.rate, promise=PROMISE, benchmark=1.0)
    run = simulate(trace, world, Ours(), begin=real.replicas[0])
    return {
        "over": run.over,
        "replica_hours": round(run.replica_hours, 3),
        "lag": [round(x) for x in run.lag],
        "age": run.age.tolist(),
        "replicas": run.replicas.tolist(),
        "ready": run.ready.tolist(),
    }


def cold_first_verdicts() -> list[float]:
    """Seconds from the first message to its verdict, with no replica running before it."""
    seconds = []
    with cluster(0) as target:
        sender = Sender(target.servers, target.topic("input"))
        output = target.topic("output")
        reader = Consumer({"bootstrap.servers": target.servers, "group.id": "bench-cold"})
        for _ in range(COLD_STARTS):
            wait_until(lambda: _gone(target), "no pod was left", timeout=60)
            ends = [
                TopicPartition(
                    output, p, reader.get_watermark_offsets(TopicPartition(output, p))[1]
                )
                for p in range(PARTITIONS)
            ]
            reader.assign(ends)
            begin = time.monotonic()
            sender.send(1)
            message = reader.poll(60)
            if message is None or message.error():
                raise LocalClusterError(
                    f"No verdict came within 60 s: {message and message.error()}"
                )
            seconds.append(round(time.monotonic() - begin, 2))
            print(f"cold: first verdict after {seconds[-1]} s", flush=True)
            wait_until(
                lambda: target.get()["status"].get("readyReplicas", 0) > 0,
                "it served",
                timeout=60,
            )
        reader.close()
    return seconds


def _gone(target: Object) -> bool:
    if target.get()["spec"].get("replicas") != 0:  # a message's commit was still on its way
        target.kubectl("scale", f"tm/{NAME}", "--replicas=0")
        return False
    pods = target.kubectl("get", "pods", "-o", "name")
    return not pods.strip()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m autoscaling.real", description=__doc__)
    parser.add_argument("what", nargs="*", default=[*TRACES, "cold"], metavar="TRACE|cold")
    asked = parser.parse_args()
    path = RESULTS / "autoscaling-real.json"
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for what in asked.what:
        if what == "cold":
            kept["cold_first_verdicts_seconds"] = seconds = cold_first_verdicts()
            _note(cold_first_verdict_seconds=max(seconds))
            continue
        real = play(what)
        kept.setdefault("traces", {})[what] = {
            **asdict(real),
            "over": real.over,
            "replica_hours": round(real.replica_hours, 3),
            "predicted": predicted(real),
        }
        print(f"{what}: {real.over} s over, {real.replica_hours:.2f} replica-hours", flush=True)
    path.write_text(json.dumps(kept) + "\n")
    plots.draw_real(RESULTS / "autoscaling-real.png", kept.get("traces", {}), PROMISE)


def _note(**figures: float) -> None:
    """Put figures into the results of the simulated grid."""
    path = RESULTS / "autoscaling.json"
    text = path.read_text()
    for name, value in figures.items():
        old = json.dumps(json.loads(text)[name])
        text = text.replace(f'"{name}": {old}', f'"{name}": {json.dumps(value)}', 1)
    path.write_text(text)


if __name__ == "__main__":
    main()
