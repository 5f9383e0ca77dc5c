"""What the operator costs: 10, 100 and 1,000 TextModerations on a real control plane and broker.

    python bench/operator/run.py [--sizes 10,100,1000]

Each size starts a cluster of its own, applies all objects at once, waits until every one has its
topics, its Deployment and its HPA and a status that says so, and then watches the idle operator.
The node is cordoned: a thousand real pods are more than a machine has, and no part of the figures.

Written to bench/results/operator.json; times are seconds unless the name says otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from kubernetes.client import ApiClient, CustomObjectsApi
from kubernetes.config import new_client_from_config
from prometheus_client.parser import text_string_to_metric_families
from urllib3.exceptions import HTTPError

from textmod_dev.local_cluster import LocalCluster
from textmod_dev.progress import Progress

RESULTS = Path(__file__).parents[1] / "results" / "operator.json"
IDLE_SECONDS = 90.0
SINGLE_RUNS = 20


def moderation(name: str, bootstrap_servers: str) -> dict[str, Any]:
    """One partition a topic: the broker's load is not what is measured."""
    one = {"partitions": 1}
    return {
        "apiVersion": "textmoderation.dev/v1alpha1",
        "kind": "TextModeration",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "kafka": {"bootstrapServers": bootstrap_servers},
            "model": {"image": "textmoderation/nlp-model:0.1.0"},
            "topics": {"input": one, "output": one},
            "serving": {"platform": "Deployment"},
        },
    }


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


@contextmanager
def cluster(*, seldon: bool = False) -> Iterator[LocalCluster]:
    with (
        tempfile.TemporaryDirectory(prefix="textmod-bench-") as folder,
        LocalCluster(Path(folder), seldon=seldon, progress=Progress()) as running,
    ):
        running.kubectl("cordon", "local")
        running.install_operator()
        running.start_operator()
        yield running


def has_converged(body: dict[str, Any]) -> bool:
    conditions = {c["type"]: c for c in body.get("status", {}).get("conditions", ())}
    return (
        conditions.get("TopicsReady", {}).get("status") == "True"
        and conditions.get("WorkloadReady", {}).get("reason") == "Creating"
        and "lag" in body["status"]
    )


def measure(size: int) -> dict[str, float]:
    with cluster() as running:
        operator = Operator(running)
        objects = [
            moderation(f"bench-{number:04d}", running.bootstrap_servers) for number in range(size)
        ]
        applied = time.monotonic()
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        running.kubectl("create", "-f", "-", stdin=listed)
        created = time.monotonic()
        deadline = created + 1800
        while not all_converged(running, size):
            if time.monotonic() > deadline:
                raise SystemExit(f"{size} objects have not converged within half an hour")
            time.sleep(1)
        converged = time.monotonic()
        converge_requests = settled_requests(operator)
        idle_from, cpu_from = operator.requests(), operator.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        idle = (operator.requests() - idle_from) / size / (IDLE_SECONDS / 60)
        return {
            "create_seconds": round(created - applied, 2),
            "converge_seconds": round(converged - applied, 2),
            "api_requests_per_object": round(converge_requests / size, 2),
            "idle_requests_per_object_per_minute": round(idle, 3),
            "idle_cpu_share": round((operator.cpu_seconds() - cpu_from) / IDLE_SECONDS, 4),
            "resident_mib": round(operator.resident_mib(), 1),
            "reconcile_p99_ms": quantile_ms(operator.metrics(), 0.99),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10,100,1000")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    single = apply_to_objects_ms()
    results["apply_to_objects_ms"] = round(statistics.median(single), 1)
    results["apply_to_objects_ms_max"] = round(max(single), 1)
    print(f"apply to objects: {results['apply_to_objects_ms']} ms (median of {len(single)})")
    for size in sizes:
        results[str(size)] = measure(size)
        print(f"{size}: {results[str(size)]}", flush=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
