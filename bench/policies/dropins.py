"""The drop-in protocols: which clients work, and what a request costs beside the plain REST route.

    python bench/policies/dropins.py [--rounds 5] [--requests 400]

`perspective_clients` are those that passed tests/integration/test_dropin_clients.py. The rates are
of one keep-alive connection to one server without a stream, the same comment to every route in
turn; each is the median of the rounds. `cpu_seconds_per_1000_*` is the server's own time.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import psutil

from textmod_dev.figures import figures_dir, merge_figures
from textmod_dev.model_image import trained_model, training_data
from textmod_dev.paths import repository_root
from textmod_dev.processes import ProcessKeeper, free_port
from textmod_dev.progress import Progress

RESULTS = figures_dir(Path(__file__).resolve().parents[1] / "results")
CLIENTS = "tests/integration/test_dropin_clients.py"
TEXT = "The second author of this paper is an idiot, and so is everybody who cites it. Sources?"
WARM_UP_REQUESTS = 100
ROUTES = {
    "rest": ("/api/v1.0/predictions", {"data": {"ndarray": [TEXT]}}),
    "analyze": (
        "/v1alpha1/comments:analyze?key=k",
        {"comment": {"text": TEXT}, "requestedAttributes": {"TOXICITY": {}}, "languages": ["en"]},
    ),
    "analyze_with_spans": (
        "/v1alpha1/comments:analyze?key=k",
        {
            "comment": {"text": TEXT},
            "requestedAttributes": {"TOXICITY": {}},
            "spanAnnotations": True,
        },
    ),
    "moderations": ("/v1/moderations", {"input": TEXT}),
}


def passed_clients(folder: Path) -> list[str]:
    """Run the tests of the clients; return the names of those that passed."""
    report = folder / "clients.xml"
    options = ["-q", "-n0", "-o", "junit_family=xunit1", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, CLIENTS]
    subprocess.run(command, cwd=repository_root(), check=False, stdout=sys.stderr)
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314 - our own file
    return sorted(
        found.attrib["value"]
        for case in cases
        if case.find("failure") is None and case.find("error") is None
        for found in case.iter("property")
        if found.attrib["name"] == "client" and case.find("skipped") is None
    )


def caller(port: int, path: str, document: object) -> Callable[[], None]:
    """Return a function that sends one request over a connection that stays open."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps(document)

    def call() -> None:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content

    return call


def rates(port: int, server: psutil.Process, rounds: int, requests: int) -> dict[str, float]:
    """Return requests a second and CPU seconds per 1,000 of each route."""
    calls = {name: caller(port, *route) for name, route in ROUTES.items()}
    for call in calls.values():
        for _ in range(WARM_UP_REQUESTS):
            call()
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began, cpu = time.perf_counter(), sum(server.cpu_times()[:2])
            for _ in range(requests):
                call()
            wall = time.perf_counter() - began
            took[name].append((wall / requests, (sum(server.cpu_times()[:2]) - cpu) / requests))
    figures = {}
    for name, found in took.items():
        wall, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        figures[f"requests_per_second_{name}"] = round(1 / wall, 1)
        figures[f"cpu_seconds_per_1000_{name}"] = round(1000 * cpu, 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400)
    args = parser.parse_args()
    progress = Progress()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = trained_model(training_data(None, progress), progress)
        ports = {kind: free_port() for kind in ("HTTP", "GRPC", "METRICS")}
        environment = {
            f"PREDICTIVE_UNIT_{kind}_SERVICE_PORT": str(port) for kind, port in ports.items()
        } | {
            "TEXTMOD_ARTIFACT": str(model),
            "TEXTMOD_BIND_ADDRESS": "127.0.0.1",
            "TEXTMOD_PERSPECTIVE_ATTRIBUTES": '{"TOXICITY": "removed"}',
            "TEXTMOD_PERSPECTIVE_KEY": "k",
        }
        with ProcessKeeper(folder / "logs") as keeper:
            command = [sys.executable, "-m", "textmod_model", "serve"]
            process = keeper.start("model", command, env=environment)
            _await(ports["HTTP"])
            server = psutil.Process(process.pid)
            figures: dict[str, object] = dict(
                rates(ports["HTTP"], server, args.rounds, args.requests)
            )
        figures["perspective_clients"] = passed_clients(folder)
    merge_figures(RESULTS / "policies.json", figures)


def _await(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/ping")
            connection.getresponse().read()
        except OSError:
            assert time.monotonic() < deadline, "the model server did not start"
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()


if __name__ == "__main__":
    main()
