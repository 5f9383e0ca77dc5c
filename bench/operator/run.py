"""What the operator costs: 10, 100 and 1,000 TextModerations on a real control plane and broker.

    python bench/operator/run.py [--sizes 10,100,1000] [--wide 100] [--no-single]

`--wide` is the same with three brokers, and with 12 partitions an object, for so many objects.
`step_ms` is where a pass spends its time, as the mean of all passes, by the operator's own metric.

Each size starts a cluster of its own, applies all objects at once, waits until every one has its
topics, its Deployment and its HPA and a status that says so, and then watches the idle operator.
The node is cordoned: a thousand real pods are more than a machine has, and no part of the figures.
Kafka requests are counted by the broker itself (over JMX; a JDK is needed), the broker's own left
out.

Written to bench/results/operator.json; times are seconds unless the name says otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from kubernetes.client import ApiClient, CustomObjectsApi
from kubernetes.config import new_client_from_config
from prometheus_client.parser import text_string_to_metric_families
from urllib3.exceptions import HTTPError

from textmod_dev.figures import figures_dir
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.moderations import moderation
from textmod_dev.processes import free_port, wait_until
from textmod_dev.progress import Progress

RESULTS = figures_dir(Path(__file__).parents[1] / "results") / "operator.json"
IDLE_SECONDS = 90.0
SINGLE_RUNS = 20


WIDE_BROKERS = 3
WIDE_PARTITIONS = 12


class Operator:
    """The running operator as seen from outside: its /metrics and its process."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._url = f"http://127.0.0.1:{cluster.operator_health_port}/metrics"
        self._process = psutil.Process(cluster.operator_process.pid)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, summed over labels; buckets by their bound."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(httpx.get(self._url, timeout=30).text):
            for sample in family.samples:
                bound = sample.labels.get("le")
                name = f"{sample.name}<={bound}" if bound else sample.name
                found[name] = found.get(name, 0.0) + sample.value
        return found

    def step_ms(self) -> dict[str, float]:
        """Mean milliseconds of a pass by step; `computing` is what no step takes."""
        passes = self.metrics()
        count = max(1.0, passes["textmod_operator_reconcile_seconds_count"])
        steps: dict[str, float] = {}
        for family in text_string_to_metric_families(httpx.get(self._url, timeout=30).text):
            for sample in family.samples:
                if sample.name == "textmod_operator_reconcile_step_seconds_sum":
                    steps[sample.labels["step"]] = sample.value
        steps["computing"] = passes["textmod_operator_reconcile_seconds_sum"] - sum(steps.values())
        return {name: round(seconds / count * 1000, 2) for name, seconds in steps.items()}

    def requests(self) -> float:
        return self.metrics().get("textmod_operator_api_requests_total", 0.0)

    def resident_mib(self) -> float:
        return self._process.memory_info().rss / 2**20

    def cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system


def quantile_ms(metrics: dict[str, float], share: float) -> float:
    """An upper bound of a quantile of the reconcile time, from its histogram, in milliseconds."""
    prefix = "textmod_operator_reconcile_seconds_bucket<="
    buckets = sorted(
        (float(name.removeprefix(prefix)), count)
        for name, count in metrics.items()
        if name.startswith(prefix)
    )
    total = buckets[-1][1]
    return next(bound for bound, count in buckets if count >= share * total) * 1000


class Broker:
    """One broker, as its own counters tell of it."""

    OWN = frozenset(
        {
            "AllocateProducerIds",
            "AlterPartition",
            "AssignReplicasToDirs",
            "BrokerHeartbeat",
            "BrokerRegistration",
            "ControllerRegistration",
            "Fetch",
            "FetchFollower",
            "FetchSnapshot",
        }
    )
    """What brokers and controllers ask each other."""

    def __init__(self, cluster: LocalCluster, number: int = 0) -> None:
        self._port = free_port()
        agent = ("ManagementAgent.start", f"jmxremote.port={self._port}")
        options = (
            "jmxremote.authenticate=false",
            "jmxremote.ssl=false",
            "jmxremote.host=127.0.0.1",
        )
        subprocess.run(
            ["jcmd", str(cluster.kafka.pid(number)), *agent, *options],
            check=True,
            capture_output=True,
        )

    def requests(self) -> int:
        """Requests that clients have sent so far."""
        listed = subprocess.run(
            ["java", str(Path(__file__).with_name("RequestCounts.java")), str(self._port)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        counts = (line.split() for line in listed)
        return sum(int(count) for kind, count in counts if kind not in self.OWN)


@contextmanager
def cluster(
    *, seldon: bool = False, brokers: int = 1, operator: Sequence[str] = ()
) -> Iterator[LocalCluster]:
    with (
        tempfile.TemporaryDirectory(prefix="textmod-bench-") as folder,
        LocalCluster(Path(folder), seldon=seldon, brokers=brokers, progress=Progress()) as running,
    ):
        running.kubectl("cordon", "local")
        running.install_operator()
        running.start_operator(*operator)
        yield running


def has_converged(body: dict[str, Any]) -> bool:
    conditions = {c["type"]: c for c in body.get("status", {}).get("conditions", ())}
    return (
        conditions.get("TopicsReady", {}).get("status") == "True"
        and conditions.get("WorkloadReady", {}).get("reason") in ("Creating", "Unschedulable")
        and "lag" in body["status"]
    )


def measure(size: int, *, brokers: int = 1, partitions: int = 1) -> dict[str, Any]:
    with cluster(brokers=brokers) as running:
        operator = Operator(running)
        counted = [Broker(running, number) for number in range(brokers)]
        objects = [
            moderation(f"bench-{number:04d}", running.bootstrap_servers, partitions)
            for number in range(size)
        ]
        applied = time.monotonic()
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        running.kubectl("create", "-f", "-", stdin=listed)
        created = time.monotonic()
        limit = max(1800, size)
        while not all_converged(running, size):
            if time.monotonic() > created + limit:
                raise SystemExit(f"{size} objects have not converged within {limit} s")
            time.sleep(max(1, size / 1000))  # listing ten thousand objects is expensive
        converged = time.monotonic()
        converge_requests = settled_requests(operator)
        step_ms = operator.step_ms()
        kafka_from = sum(broker.requests() for broker in counted)
        idle_from, cpu_from = operator.requests(), operator.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        idle = (operator.requests() - idle_from) / size / (IDLE_SECONDS / 60)
        kafka = (sum(broker.requests() for broker in counted) - kafka_from) / (IDLE_SECONDS / 60)
        return {
            "create_seconds": round(created - applied, 2),
            "converge_seconds": round(converged - applied, 2),
            "api_requests_per_object": round(converge_requests / size, 2),
            "idle_requests_per_object_per_minute": round(idle, 3),
            "kafka_requests_per_minute": round(kafka, 1),
            "idle_cpu_share": round((operator.cpu_seconds() - cpu_from) / IDLE_SECONDS, 4),
            "resident_mib": round(operator.resident_mib(), 1),
            "reconcile_p99_ms": quantile_ms(operator.metrics(), 0.99),
            "step_ms": step_ms,
        }


def all_converged(running: LocalCluster, size: int) -> bool:
    bodies = json.loads(running.kubectl("get", "tm", "-o", "json"))["items"]
    if len(bodies) < size or not all(map(has_converged, bodies)):
        return False
    return running.kubectl("get", "hpa", "-o", "name").count("\n") == size


def settled_requests(operator: Operator) -> float:
    """Requests once they have stopped coming: what followed the last object belongs to it."""
    before = -1.0
    while (now := operator.requests()) != before:
        before = now
        time.sleep(15)
    return now


class Arrivals:
    """When objects of one kind first appeared in a watch, by name."""

    def __init__(self, client: ApiClient, path: str) -> None:
        self._client, self._path = client, path
        self._seen: dict[str, float] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        call = self._client.param_serialize("GET", f"{self._path}?watch=true")
        with contextlib.suppress(HTTPError):  # the cluster's end cuts the watch
            for line in self._client.call_api(*call).response:
                body = json.loads(line)["object"]
                with self._changed:
                    self._seen.setdefault(body["metadata"]["name"], time.monotonic())
                    self._changed.notify_all()

    def of(self, name: str) -> float:
        with self._changed:
            if not self._changed.wait_for(lambda: name in self._seen, timeout=30):
                raise SystemExit(f"{name} did not appear below {self._path} within 30 s")
            return self._seen[name]


def apply_to_objects_ms() -> list[float]:
    """Times from sending one object to its SeldonDeployment and HPA both being there, on an idle
    cluster, by the API server's own watch."""
    with cluster(seldon=True) as running:
        client = new_client_from_config(str(running.kubeconfig))
        namespace = "namespaces/default"
        arrivals = [
            Arrivals(client, f"/apis/machinelearning.seldon.io/v1/{namespace}/seldondeployments"),
            Arrivals(client, f"/apis/autoscaling/v2/{namespace}/horizontalpodautoscalers"),
        ]
        objects = CustomObjectsApi(client)
        times = []
        for number in range(SINGLE_RUNS):
            body = moderation(f"single-{number}", running.bootstrap_servers)
            del body["spec"]["serving"]
            sent = time.monotonic()
            objects.create_namespaced_custom_object(
                "textmoderation.dev", "v1alpha1", "default", "textmoderations", body
            )
            there = max(arrival.of(body["metadata"]["name"]) for arrival in arrivals)
            times.append((there - sent) * 1000)
            time.sleep(1)  # an idle cluster each time
        return times


def failover_seconds() -> float:
    """From the SIGKILL of the leader to the standby's repair of what was deleted right after."""
    with cluster(operator=("--lease-namespace=kube-system",)) as running:
        standby_port = free_port()
        standby = [sys.executable, "-m", "textmod_operator", "run", "--lease-namespace=kube-system"]
        flags = [f"--kubeconfig={running.operator_kubeconfig}", "--metrics-port=0"]
        address = ["--metrics-address=127.0.0.1", f"--health-port={standby_port}"]
        running.keeper.start("standby", [*standby, *flags, *address])
        body = moderation("failover", running.bootstrap_servers)
        running.kubectl("create", "-f", "-", stdin=json.dumps(body))
        hpa = ("get", "hpa", "failover", "--ignore-not-found", "-o", "name")
        wait_until(lambda: bool(running.kubectl(*hpa)), "the leader made the HPA")
        wait_until(lambda: answers(standby_port), "the standby was ready")
        running.operator_process.kill()
        killed = time.monotonic()
        running.kubectl("delete", "hpa", "failover")
        wait_until(lambda: bool(running.kubectl(*hpa)), "the standby recreated the HPA")
        return time.monotonic() - killed


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10,100,1000", help="numbers of objects; may be empty")
    parser.add_argument("--wide", type=int, default=100, help="objects of the wide row; 0: none")
    parser.add_argument(
        "--single",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also measure one object, and a failover",
    )
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",") if size]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if args.single:
        single = apply_to_objects_ms()
        results["apply_to_objects_ms"] = round(statistics.median(single), 1)
        results["apply_to_objects_ms_max"] = round(max(single), 1)
        results["failover_seconds"] = round(failover_seconds(), 1)
    for size in sizes:
        results[str(size)] = measure(size)
    if args.wide:
        results[f"{args.wide}_wide"] = {
            "brokers": WIDE_BROKERS,
            "partitions": WIDE_PARTITIONS,
            **measure(args.wide, brokers=WIDE_BROKERS, partitions=WIDE_PARTITIONS),
        }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
