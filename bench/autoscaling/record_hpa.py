"""Records what the real HPA controller does: one JSON file per scenario, under scenarios/.

    cd bench && python -m autoscaling.record_hpa

Starts etcd, the API server and the controller manager of the local cluster (with a sync of 2 s), a
custom resource with a scale subresource for each scenario, and an external metrics API whose values
follow the scenario. `tests/bench/test_hpa_scenarios.py` replays the files through `hpa.Hpa`. Takes
about three minutes; nothing is left behind.
"""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from autoscaling.hpa import DEFAULT_BEHAVIOR
from textmod_dev import manifests
from textmod_dev.build import control_plane_binaries
from textmod_dev.control_plane import AutoscalerTimes, ControlPlane
from textmod_dev.processes import ProcessKeeper, free_port, wait_until
from textmod_dev.progress import Progress
from textmod_operator.desired.autoscaler import default_behavior

OURS = default_behavior(10_000)
FOLDER = Path(__file__).parent / "scenarios"
SECONDS = 75
SYNC = 2
GROUP = "bench.textmoderation.dev"


def _rules(
    up: list[tuple[str, int, int]] | None = None,
    down: list[tuple[str, int, int]] | None = None,
    *,
    up_window: int = 0,
    down_window: int = 0,
    up_select: str = "Max",
    down_select: str = "Max",
    tolerance: str = "0",
) -> dict[str, Any]:
    """A `behavior`. Policies are (type, value, seconds). Windows and periods are odd, so that no
    sync of 2 s falls on an edge."""

    def one(
        policies: list[tuple[str, int, int]] | None, window: int, select: str
    ) -> dict[str, Any]:
        chosen = policies or [("Pods", 1000, 15)]
        return {
            "stabilizationWindowSeconds": window,
            "selectPolicy": select,
            "tolerance": tolerance,
            "policies": [
                {"type": kind, "value": value, "periodSeconds": seconds}
                for kind, value, seconds in chosen
            ],
        }

    return {
        "scaleUp": one(up, up_window, up_select),
        "scaleDown": one(down, down_window, down_select),
    }


Values = list[tuple[float, float | None]]
"""(from this second on, this value); None: an error."""
STAIRS: Values = [(0, 2), (10, 9), (30, 3), (50, 6)]
WAVE: Values = [(0, 4), (5, 10), (11, 3), (17, 12), (23, 2), (29, 8), (41, 1), (61, 5)]


@dataclass
class Scenario:
    """A behaviour, a metric with its target, and what it says over time."""

    name: str
    values: Values
    behavior: dict[str, Any]
    target: int = 1
    minimum: int = 1
    maximum: int = 20
    replicas: int = 2
    log: list[list[float | None]] = field(default_factory=list)
    """[second, value, spec.replicas just before] of every query."""


SCENARIOS = [
    Scenario("ours", STAIRS, OURS),
    Scenario("ours-wave", WAVE, _rules()),
    Scenario("tolerance", [(0, 20), (15, 21.5), (30, 23), (45, 21), (55, 20)],
             _rules(tolerance="0.1"), target=1, replicas=20, maximum=40),
    Scenario("default-up", [(0, 1), (5, 40)],
             {"scaleUp": DEFAULT_BEHAVIOR["scaleUp"], "scaleDown": OURS["scaleDown"]},
             maximum=40, replicas=1),
    Scenario("up-pods", [(0, 2), (5, 18), (60, 2)], _rules([("Pods", 2, 9)])),
    Scenario("up-percent", [(0, 3), (5, 20)], _rules([("Percent", 50, 9)]), replicas=3),
    Scenario("up-min-of-two", [(0, 2), (5, 20)],
             _rules([("Percent", 100, 9), ("Pods", 3, 9)], up_select="Min")),
    Scenario("down-pods", [(0, 16), (9, 1)], _rules(down=[("Pods", 3, 11)]), replicas=16),
    Scenario("down-percent", [(0, 19), (9, 1)], _rules(down=[("Percent", 30, 9)]), replicas=19),
    Scenario("down-disabled", STAIRS, _rules(down_select="Disabled")),
    Scenario("up-window", WAVE, _rules(up_window=7)),
    Scenario("down-window", WAVE, _rules(down_window=15)),
    Scenario("both-windows", WAVE, _rules(up_window=5, down_window=21)),
    Scenario("errors", [(0, 4), (10, None), (20, 9), (30, None), (44, 1)], _rules(down_window=9)),
    Scenario("bounds", [(0, 3), (10, 50), (30, 0), (50, 4)], _rules(), minimum=2, maximum=8),
    Scenario("lag-keda", [(0, 150), (9, 1240), (25, 1180), (33, 5600), (47, 90), (61, 0)],
             _rules(tolerance="0.1", down_window=13), target=100),
]  # fmt: skip


class Recorder:
    """Serves external.metrics.k8s.io and notes every question."""

    def __init__(self, scenarios: list[Scenario]) -> None:
        self._scenarios = {scenario.name: scenario for scenario in scenarios}
        self._began: dict[str, float] = {}
        self.replicas: dict[str, int] = {}

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        if path.rstrip("/") == "/apis/external.metrics.k8s.io/v1beta1":
            resource = {
                "name": "externalmetrics", "singularName": "", "namespaced": True,
                "kind": "ExternalMetricValueList", "verbs": ["get"],
            }  # fmt: skip
            return 200, {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": "external.metrics.k8s.io/v1beta1",
                "resources": [resource],
            }
        scenario = self._scenarios.get(path.split("?", maxsplit=1)[0].rsplit("/", 1)[-1])
        if scenario is None or scenario.name not in self.replicas:
            return 404, _status(404)
        now = time.monotonic()
        second = now - self._began.setdefault(scenario.name, now)
        value = [value for since, value in scenario.values if since <= second][-1]
        scenario.log.append([round(second, 3), value, self.replicas[scenario.name]])
        if value is None:
            return 503, _status(503)
        item = {
            "metricName": scenario.name,
            "metricLabels": {},
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "value": f"{round(value * 1000)}m",
        }
        return 200, {
            "kind": "ExternalMetricValueList",
            "apiVersion": "external.metrics.k8s.io/v1beta1",
            "metadata": {},
            "items": [item],
        }

    def done(self) -> bool:
        return all(s.log and (s.log[-1][0] or 0) >= SECONDS for s in self._scenarios.values())


def _status(code: int) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}


@contextmanager
def _serving(
    port: int, certificate: Path, key: Path, answer: Callable[[str], tuple[int, dict[str, Any]]]
) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            code, content = answer(self.path)
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _crd() -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"scalables.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "scalables", "singular": "scalable", "kind": "Scalable"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        }
                    },
                }
            ],
        },
    }


def _hpa(scenario: Scenario) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": scenario.name},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": f"{GROUP}/v1",
                "kind": "Scalable",
                "name": scenario.name,
            },
            "minReplicas": scenario.minimum,
            "maxReplicas": scenario.maximum,
            "behavior": scenario.behavior,
            "metrics": [
                {
                    "type": "External",
                    "external": {
                        "metric": {"name": scenario.name},
                        "target": {"type": "AverageValue", "averageValue": str(scenario.target)},
                    },
                }
            ],
        },
    }


def record(folder: Path) -> None:
    """Runs all scenarios at the same time, on one control plane."""
    recorder = Recorder(SCENARIOS)
    with ProcessKeeper(folder / "logs") as keeper:
        plane = ControlPlane(
            keeper, control_plane_binaries(Progress()), folder, AutoscalerTimes(sync=SYNC)
        )
        plane.start_api()
        port = free_port()
        service = "bench-metrics"
        hosts = ["127.0.0.1", "localhost", f"{service}.{manifests.SYSTEM}.svc"]
        serving = plane.server_authority.issue(service, service, hosts=hosts)
        trust = ssl.create_default_context(cafile=str(plane.server_authority.certificate))
        trust.load_cert_chain(plane.admin.certificate, plane.admin.key)
        api = httpx.Client(base_url=plane.url, verify=trust, timeout=10)

        def create(path: str, body: dict[str, Any]) -> None:
            api.post(path, json=body).raise_for_status()

        objects = f"/apis/{GROUP}/v1/namespaces/default/scalables"
        with api, _serving(port, serving.certificate, serving.key, recorder.answer):
            create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", _crd())
            for manifest in manifests.aggregated_api(
                "external.metrics.k8s.io", "v1beta1", service, port,
                plane.server_authority.certificate,
            ):  # fmt: skip
                path = "/api/v1/namespaces/kube-system/services"
                if manifest["kind"] == "APIService":
                    path = "/apis/apiregistration.k8s.io/v1/apiservices"
                create(path, manifest)
            wait_until(lambda: api.get(objects).status_code == 200, "the custom resource is served")
            wait_until(
                lambda: plane.api_available("v1beta1.external.metrics.k8s.io"),
                "the metrics API was available",
            )
            plane.start_controllers()
            for scenario in SCENARIOS:
                create(
                    objects,
                    {
                        "apiVersion": f"{GROUP}/v1",
                        "kind": "Scalable",
                        "metadata": {"name": scenario.name},
                        "spec": {"replicas": scenario.replicas},
                    },
                )
            _follow(api, objects, recorder)
            hpas = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
            for scenario in SCENARIOS:
                create(hpas, _hpa(scenario))
            deadline = time.monotonic() + 300
            while not recorder.done():
                if time.monotonic() > deadline:
                    raise TimeoutError("The HPA controller did not ask for the metrics in 300 s.")
                _follow(api, objects, recorder)
                time.sleep(0.1)


def _follow(api: httpx.Client, objects: str, recorder: Recorder) -> None:
    """Be the workload's controller: status.replicas follows spec.replicas at once."""
    for item in api.get(objects).raise_for_status().json()["items"]:
        name, replicas = item["metadata"]["name"], item["spec"]["replicas"]
        recorder.replicas[name] = replicas
        if item.get("status", {}).get("replicas") != replicas:
            status = {"status": {"replicas": replicas, "selector": f"app={name}"}}
            api.patch(
                f"{objects}/{name}/status",
                json=status,
                headers={"Content-Type": "application/merge-patch+json"},
            ).raise_for_status()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="textmod-hpa-") as folder:
        record(Path(folder))
    FOLDER.mkdir(exist_ok=True)
    for scenario in SCENARIOS:
        content = {
            "minReplicas": scenario.minimum,
            "maxReplicas": scenario.maximum,
            "target": scenario.target,
            "behavior": scenario.behavior,
            "columns": ["second", "value", "replicas before"],
        }
        head = json.dumps(content, indent=1)[:-2]
        rows = ",\n".join("  " + json.dumps(row) for row in scenario.log)
        path = FOLDER / f"{scenario.name}.json"
        path.write_text(f'{head},\n "syncs": [\n{rows}\n ]\n}}\n')
        print(f"{scenario.name}: {len(scenario.log)} syncs")


if __name__ == "__main__":
    main()
