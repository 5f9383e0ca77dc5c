"""Draws the chart's Grafana dashboard from a real Prometheus that scrapes a real stream.

    make picture        # needs Debian's package `prometheus`; about five minutes

The panels' own queries are asked, of series that are labelled as the PodMonitor labels them. Only
the drawing is ours: a Grafana is not to be had from a package registry. (Debian's Prometheus is
built without Kubernetes' discovery, so a file lists the pods.)
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
import numpy as np
import yaml
from confluent_kafka import Producer

from textmod_dev import chart
from textmod_dev.control_plane import AutoscalerTimes
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.model_image import add_image, text_column, trained_model, training_data
from textmod_dev.paths import repository_root
from textmod_dev.processes import free_port, wait_until
from textmod_dev.progress import Progress
from textmod_operator import naming

mpl.use("Agg")
import matplotlib.pyplot as plt

PICTURE = repository_root() / "docs" / "stream-dashboard.png"
SCRAPE_SECONDS = 2
QUIET, BURST = 400, 8000
"""Comments a second before and after the burst, and in it."""
BEFORE, DURING, AFTER = 40, 45, 110
"""Seconds of each."""
NOT_TEXTS = (b"\xff\xfe", b"{not json", b"", b'{"body": ""}')
COLUMNS = 3
CPU = "200m"
"""Of one replica: four keep up with the burst, one does not."""


def main() -> None:
    if shutil.which("prometheus") is None:
        sys.exit("picture: no prometheus found: install it (Debian: apt-get install prometheus)")
    progress = Progress()
    data = training_data(None, progress)
    with tempfile.TemporaryDirectory(prefix="textmod-picture-") as folder:
        state = Path(folder)
        times = AutoscalerTimes(sync=5, downscale_stabilization=15, cpu_initialization=5)
        with LocalCluster(state, seldon=False, times=times, progress=progress) as cluster:
            add_image(cluster.images, trained_model(data, progress))
            cluster.install_operator()
            cluster.start_operator()
            prometheus = start_prometheus(cluster, state)
            apply(cluster)
            began = time.time()
            send(cluster, data, state)
            panels = drawn_panels()
            answers = [
                [ask(prometheus, target["expr"], began) for target in panel["targets"]]
                for panel in panels
            ]
    draw(panels, answers, began)
    print(f"wrote {PICTURE} ({PICTURE.stat().st_size / 1024:.0f} KiB)")


def start_prometheus(cluster: LocalCluster, state: Path) -> str:
    """Starts it, scraping the operator and the pods of `tell_pods`; returns its URL."""
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {
                "job_name": "model-pods",
                "metrics_path": "/prometheus",
                "file_sd_configs": [{"files": [str(state / "pods.json")]}],
            },
            {
                "job_name": "operator",
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{cluster.operator_health_port}"]}],
            },
        ],
    }
    file = state / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    process = cluster.keeper.start(
        "prometheus",
        [
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={state / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
    )
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/-/ready", timeout=2).is_success
        except httpx.TransportError:
            return False

    wait_until(ready, "Prometheus was ready", process=process)
    return url


def tell_pods(cluster: LocalCluster, state: Path) -> None:
    """Writes where the model pods are; Prometheus watches the file."""
    listed = json.loads(cluster.kubectl("get", "pods", "-l", naming.NAME_LABEL, "-o", "json"))
    targets = [
        {
            "targets": [f"{pod['status']['podIP']}:{naming.METRICS_PORT}"],
            "labels": {
                "namespace": pod["metadata"]["namespace"],
                "name": pod["metadata"]["labels"][naming.NAME_LABEL],
                "pod": pod["metadata"]["name"],
            },
        }
        for pod in listed["items"]
        if pod["status"].get("podIP")
    ]
    new = state / "pods.new"
    new.write_text(json.dumps(targets))
    new.replace(state / "pods.json")


def apply(cluster: LocalCluster) -> None:
    """The example, with a promise and on a plain Deployment."""
    manifest = yaml.safe_load((repository_root() / "examples" / "reddit-science.yaml").read_text())
    spec = manifest["spec"]
    spec["kafka"]["bootstrapServers"] = cluster.bootstrap_servers
    spec["serving"] = {"platform": "Deployment"}
    spec["autoscaling"]["lag"] = {"maxSecondsBehind": 30}
    spec["model"]["resources"]["requests"]["cpu"] = CPU
    spec["model"]["resources"]["limits"]["cpu"] = CPU
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    cluster.kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=150s")


def send(cluster: LocalCluster, data: Path, state: Path) -> None:
    """The stream with its burst, and now and then something that is no text."""
    comments = QUIET * (BEFORE + AFTER) + BURST * DURING
    process = cluster.keeper.start(
        "producer",
        [
            sys.executable,
            repository_root() / "examples" / "produce.py",
            f"--bootstrap-servers={cluster.bootstrap_servers}",
            "--topic=science-input",
            f"--file={data}",
            f"--column={text_column(data)}",
            f"--rate={QUIET}",
            f"--burst={BURST}x{DURING}@{BEFORE}",
            f"--limit={comments}",
        ],
    )
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    deadline = time.monotonic() + 2 * (BEFORE + DURING + AFTER)
    number = 0
    while process.exit_code() is None and time.monotonic() < deadline:
        producer.produce("science-input", NOT_TEXTS[number % len(NOT_TEXTS)])
        producer.poll(0)
        number += 1
        if number % 3 == 1:
            tell_pods(cluster, state)
        time.sleep(0.5)  # the stream's own pace, not a wait for anything
    producer.flush(10)
    if process.exit_code() != 0:
        sys.exit(f"picture: the producer ended with {process.exit_code()}: {process.last_words()}")


NOT_DRAWN = {
    "Synchronous calls",  # none are made here
    *("Actions by policy", "Replicas by version of the policies", "Over the budget"),
    *("Texts to review", "Review requests refused"),
    *(
        "Precision of what is flagged",
        "Recall",
        "Promised precision, and the most that was measured",
    ),
}
"""The picture is of a stream and its autoscaler."""


def drawn_panels() -> list[dict[str, Any]]:
    board = json.loads((chart.folder() / "dashboards" / "stream.json").read_text())
    shown = [p for p in board["panels"] if p["type"] in {"timeseries", "heatmap"}]
    return [p for p in shown if p["title"] not in NOT_DRAWN]


def ask(prometheus: str, query: str, began: float) -> list[dict[str, Any]]:
    """The series of a panel's query since then."""
    for variable, value in (
        ("$cluster", ".*"),
        ("$namespace", "default"),
        ("$name", "science"),
        ("$__rate_interval", "10s"),
    ):
        query = query.replace(variable, value)
    if "$" in query:
        sys.exit(f"picture: a variable of the dashboard has no value here: {query}")
    answer = httpx.get(
        f"{prometheus}/api/v1/query_range",
        params={"query": query, "start": began, "end": time.time(), "step": SCRAPE_SECONDS},
        timeout=30,
    )
    answer.raise_for_status()
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return result


def draw(
    panels: list[dict[str, Any]], answers: list[list[list[dict[str, Any]]]], began: float
) -> None:
    rows = -(-len(panels) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(5.2 * COLUMNS, 2.5 * rows), constrained_layout=True
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, panel, answer in zip(axes.flat, panels, answers, strict=False):
        axis.set_title(panel["title"], loc="left", fontsize=10, fontweight="bold")
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=8)
        axis.set_xlim(0, BEFORE + DURING + AFTER)
        (heat if panel["type"] == "heatmap" else lines)(axis, panel, answer, began)
    for axis in axes.flat[: len(panels)]:
        axis.set_xlabel("seconds", fontsize=8)
    figure.savefig(PICTURE, dpi=90)


def lines(
    axis: Any,  # noqa: ANN401 - matplotlib's axes
    panel: dict[str, Any],
    answer: list[list[dict[str, Any]]],
    began: float,
) -> None:
    """The series of a timeseries panel, named as its legend says."""
    dashed = {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]}
    for target, series in zip(panel["targets"], answer, strict=True):
        for one in series:
            times, values = np.array(one["values"], dtype=float).T
            name = legend(target["legendFormat"], one["metric"])
            style = {"color": "red", "linestyle": "--"} if name in dashed else {}
            axis.plot(times - began, values, label=name, linewidth=1.3, **style)
    if panel["fieldConfig"]["defaults"].get("unit") == "bytes":
        axis.yaxis.set_major_formatter(lambda value, _: f"{value / 2**20:.0f} MiB")
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=7, loc="upper right")


def legend(text: str, labels: dict[str, str]) -> str:
    """Grafana's {{label}} put in."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), text)


def heat(
    axis: Any,  # noqa: ANN401 - matplotlib's axes
    _: dict[str, Any],
    answer: list[list[dict[str, Any]]],
    began: float,
) -> None:
    """The buckets of a histogram over time."""
    (series,) = answer
    buckets = sorted((float(one["metric"]["le"]), one["values"]) for one in series)
    finite = [(le, dict(map(tuple, values))) for le, values in buckets if np.isfinite(le)]
    times = sorted({at for _, values in finite for at in values})
    cumulative = np.array([[float(v.get(at, "nan")) for at in times] for _, v in finite])
    counts = np.diff(cumulative, axis=0, prepend=0)
    edges = [0.0, *(le for le, _ in finite)]
    starts = np.append(np.array(times) - began, times[-1] - began + SCRAPE_SECONDS)
    axis.pcolormesh(starts, edges, counts, cmap="Oranges")


if __name__ == "__main__":
    main()
