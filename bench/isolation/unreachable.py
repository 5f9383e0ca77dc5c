"""Isolation: whether 25 objects on Kafka clusters that do not answer are felt by five others.

    python bench/isolation/unreachable.py [--seconds 60]

Thirty objects on a real control plane. Five are on a real broker; of the others a third each on
addresses that refuse connections, that swallow packets (a full backlog on loopback), and that
accept and never answer; every object has an address of its own. The node is cordoned: pods are no
part of the figures.

decision_age_vs_interval  oldest lag reading behind a decision of the five, over the lag interval
pass_p99_seconds          upper bound of the 99th percentile of all passes, from the histogram
answer_max_seconds        a change of one of the five until its conditions are of that generation
healthz_max_ms            slowest /healthz, asked every 100 ms throughout
healthz_max_ms_before     the same with the five alone: what the machine itself costs
healthz_asker_late_max_ms how late the process that asks woke from its own 100 ms: the machine again
delete_max_seconds        slowest deletion of one of the 25
left_over                 Kafka clusters, tasks and threads that are more than before they came

Written to isolation.json below .state/ (with RECORD=1: in bench/results); other keys stay.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from textmod_dev.figures import figures_dir, merge_figures
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.moderations import moderation
from textmod_dev.processes import free_port, wait_until
from textmod_dev.progress import Progress

RESULTS = figures_dir(Path(__file__).parents[1] / "results") / "isolation.json"
HEALTHY: Final = 5
UNREACHABLE: Final = 25
LAG_INTERVAL: Final = 2.0
SETTLE_SECONDS: Final = 40.0
NO_ANSWER_MS: Final = 30_000.0


# --- addresses that do not answer -----------------------------------------------------------------


@contextmanager
def refusing() -> Iterator[str]:
    """Nobody listens there."""
    yield f"127.0.0.1:{free_port()}"


@contextmanager
def swallowing() -> Iterator[str]:
    """The backlog is full: further SYNs get no answer."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def hanging() -> Iterator[str]:
    """Connections are accepted by the kernel, and nothing is ever said."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(128)
        yield f"127.0.0.1:{server.getsockname()[1]}"


# --- what is seen from outside --------------------------------------------------------------------


class Operator:
    """The running operator: its /metrics."""

    def __init__(self, cluster: LocalCluster) -> None:
        url = f"http://127.0.0.1:{cluster.operator_health_port}"
        self._client = httpx.Client(base_url=url, timeout=30, verify=False)  # noqa: S501 - no TLS

    def samples(self) -> list[tuple[str, dict[str, str], float]]:
        text = self._client.get("/metrics").text
        return [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def inventory(self) -> dict[str, float]:
        """What an object could leave behind."""
        wanted = ("kafka_clusters", "tasks", "threads")
        return {
            name.removeprefix("textmod_operator_"): value
            for name, _, value in self.samples()
            if name.removeprefix("textmod_operator_") in wanted
        }

    def ages(self) -> dict[str, float]:
        """The age of every known decision, by object."""
        return {
            labels["name"]: value
            for name, labels, value in self.samples()
            if name == "textmoderation_decision_age_seconds"
        }

    def pass_p99_seconds(self) -> float:
        buckets = sorted(
            (float(labels["le"]), value)
            for name, labels, value in self.samples()
            if name == "textmod_operator_reconcile_seconds_bucket"
        )
        return next(bound for bound, count in buckets if count >= 0.99 * buckets[-1][1])


class Health:
    """Asks /healthz every 100 ms and keeps the slowest answer.

    It does so in a process of its own: a thread beside what this process does meanwhile (parsing
    hundreds of metrics, TLS contexts of new clients) would measure that instead.
    """

    def __init__(self, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_ask_health, args=(port, theirs), daemon=True)
        self.slowest_ms = 0.0
        self.asked = 0
        self.late_ms = 0.0

    def __enter__(self) -> Self:
        self._process.start()
        if not self._ours.poll(30):
            raise TimeoutError("the process that asks /healthz did not start in 30 s")
        self._ours.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.send("end")
        if self._ours.poll(60):
            self.slowest_ms, self.asked, self.late_ms = self._ours.recv()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()


def _ask_health(port: int, other: Connection) -> None:
    slowest, asked, late = 0.0, 0, 0.0
    other.send("started")
    while True:
        before = time.monotonic()
        if other.poll(0.1):
            break
        late = max(late, (time.monotonic() - before - 0.1) * 1000)
        slowest = max(slowest, _healthz_ms(port))
        asked += 1
    other.send((slowest, asked, late))


def _healthz_ms(port: int) -> float:
    """Milliseconds until /healthz said 200; 30,000 for any other answer and for none."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/healthz", headers={"Connection": "close"})
        fine = connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return NO_ANSWER_MS
    finally:
        connection.close()
    return (time.monotonic() - started) * 1000 if fine else NO_ANSWER_MS


def answered(cluster: LocalCluster, name: str) -> bool:
    """Whether an object's conditions are of its generation."""
    body = json.loads(cluster.kubectl("get", "tm", name, "-o", "json"))
    conditions = (body.get("status") or {}).get("conditions") or ()
    generation = body["metadata"]["generation"]
    return bool(conditions) and all(c["observedGeneration"] == generation for c in conditions)


def measure(cluster: LocalCluster, seconds: float, progress: Progress) -> dict[str, Any]:
    operator = Operator(cluster)
    healthy = [f"healthy-{number}" for number in range(HEALTHY)]
    unreachable = [f"unreachable-{number}" for number in range(UNREACHABLE)]
    progress.step("five objects on the real broker")
    for name in healthy:
        apply(cluster, moderation(name, cluster.bootstrap_servers))
    wait_until(lambda: set(operator.ages()) >= set(healthy), "the five being read")
    with Health(cluster.operator_health_port) as alone:
        time.sleep(15)
    before = operator.inventory()

    with ExitStack() as stack, Health(cluster.operator_health_port) as health:
        kinds = (refusing, swallowing, hanging)
        servers = [stack.enter_context(kinds[n % 3]()) for n in range(UNREACHABLE)]
        progress.step("25 on Kafka clusters that do not answer")
        started = time.monotonic()
        for name, server in zip(unreachable, servers, strict=True):
            apply(cluster, moderation(name, server))
        wait_until(
            lambda: all(answered(cluster, n) for n in unreachable), "25 answers", timeout=120
        )
        unreachable_answered = time.monotonic() - started

        progress.step(f"watching for {seconds:.0f} s")
        ages, answers = [], []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            found = operator.ages()
            ages.append(max(found.get(name, float("inf")) for name in healthy))
            if len(answers) < len(ages) / 10:
                answers.append(changed(cluster, healthy[len(answers) % HEALTHY], len(answers)))
            time.sleep(0.5)
        p99 = operator.pass_p99_seconds()

        progress.step("deleting the 25")
        deletions = []
        for name in unreachable:
            started = time.monotonic()
            cluster.kubectl("delete", "tm", name, "--timeout=60s")
            deletions.append(time.monotonic() - started)
        after = settled(operator, before)

    left = {name: max(0.0, value - before[name]) for name, value in after.items()}
    return {
        "objects": HEALTHY + UNREACHABLE,
        "unreachable": UNREACHABLE,
        "watched_seconds": seconds,
        "lag_interval_seconds": LAG_INTERVAL,
        "decision_age_max_seconds": round(max(ages), 2),
        "decision_age_vs_interval": round(max(ages) / LAG_INTERVAL, 2),
        "pass_p99_seconds": p99,
        "answer_max_seconds": round(max(answers), 2),
        "unreachable_answered_seconds": round(unreachable_answered, 1),
        "healthz_max_ms": round(health.slowest_ms, 1),
        "healthz_asked": health.asked,
        "healthz_max_ms_before": round(alone.slowest_ms, 1),
        "healthz_asker_late_max_ms": round(health.late_ms, 1),
        "delete_max_seconds": round(max(deletions), 2),
        "left_over": int(sum(left.values())),
        "left_over_by_kind": left,
    }


def settled(operator: Operator, before: dict[str, float]) -> dict[str, float]:
    """What is there once no more goes; requests that were under way end by their time-outs."""
    ends = time.monotonic() + SETTLE_SECONDS
    least = operator.inventory()
    while time.monotonic() < ends and any(least[name] > before[name] for name in before):
        time.sleep(0.5)
        now = operator.inventory()
        least = {name: min(least[name], now[name]) for name in least}
    return least


def changed(cluster: LocalCluster, name: str, number: int) -> float:
    """Change an object that works; the seconds until the operator has answered."""
    patch = json.dumps({"spec": {"autoscaling": {"maxReplicas": 1}}})
    if number // HEALTHY % 2:
        patch = json.dumps({"spec": {"autoscaling": {"maxReplicas": None}}})
    started = time.monotonic()
    cluster.kubectl("patch", "tm", name, "--type=merge", "-p", patch)
    wait_until(lambda: answered(cluster, name), f"an answer about {name}")
    return time.monotonic() - started


def apply(cluster: LocalCluster, manifest: dict[str, Any]) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def main(arguments: list[str] | None = None) -> int:
    """Measure, and merge the figures into the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the 30 are watched")
    args = parser.parse_args(arguments)
    progress = Progress()
    with (
        tempfile.TemporaryDirectory(prefix="textmod-bench-") as folder,
        LocalCluster(Path(folder), progress=progress) as cluster,
    ):
        cluster.kubectl("cordon", "local")
        cluster.install_operator()
        cluster.start_operator()
        figures = measure(cluster, args.seconds, progress)
    merge_figures(RESULTS, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
