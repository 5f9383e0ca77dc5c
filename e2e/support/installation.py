"""What is put into the cluster before the first test: images, Kafka, Seldon, the chart."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from textmod_dev.build import helm, kafka_jars
from textmod_dev.errors import LocalClusterError
from textmod_dev.kind.cluster import KindCluster
from textmod_dev.kind.container_images import (
    Base,
    base,
    build_console,
    build_model,
    build_operator,
    version,
)
from textmod_dev.kind.engine import Engine, build_arguments
from textmod_dev.paths import cache_dir, repository_root
from textmod_dev.progress import Progress

HERE = Path(__file__).parents[1]
KAFKA_NODE_PORT = 30992
APACHE_KAFKA = "apache/kafka:4.1.1"
KAFKA = "textmod-e2e/kafka:4.1.1"
STAND_IN = "textmod-e2e/seldon-stand-in:1"
SELDON_CRD = "dev/textmod_dev/seldon/crd.yaml"
SELDON_CHART = "TEXTMOD_E2E_SELDON_CHART"
"""Environment variable: the chart of the real Seldon Core (a file), to install instead."""
RELEASE, NAMESPACE = "textmod", "textmod-system"
DEPLOYMENT = "textmod-textmoderation-operator"


@dataclass(frozen=True)
class Images:
    """Names of the images that the engine holds."""

    operator: str
    model: str
    next_model: str
    """The same, retrained and called version 2: the target of a rollout."""
    console: str
    kafka: str
    seldon: str | None
    """The stand-in; None when the real Seldon is to be installed."""

    def all(self) -> list[str]:
        """Every one of them."""
        return list(filter(None, vars(self).values()))


def build_images(engine: Engine, progress: Progress) -> Images:
    """Builds what the engine does not hold yet; unchanged sources find their layers again."""
    start = base(engine, progress)
    operator = build_operator(engine, start, progress)
    # The small recipe, which trains in seconds: how well it moderates is not this test's business.
    recipe = {"RECIPE": "seed", "MODEL_NAME": "science"}
    model = build_model(engine, start, progress, model="sample", options=recipe)
    following = build_model(
        engine, start, progress, model="sample", tag=f"{version()}-next",
        options=recipe | {"MODEL_VERSION": "2"},
    )  # fmt: skip
    return Images(
        operator=operator,
        model=model,
        next_model=following,
        console=build_console(engine, start, progress),
        kafka=_kafka_image(engine, start, progress),
        seldon=None if SELDON_CHART in os.environ else _stand_in_image(engine, operator, progress),
    )


def install_kafka(cluster: KindCluster, image: str, port: int) -> str:
    """Starts the broker; returns its address for this machine.

    Args:
        port: of 127.0.0.1, mapped to KAFKA_NODE_PORT.
    """
    manifest = (HERE / "kafka" / "kafka.yaml").read_text()
    for place, value in (
        ("@IMAGE@", image), ("@NODE_PORT@", str(KAFKA_NODE_PORT)), ("@PORT@", str(port)),
    ):  # fmt: skip
        manifest = manifest.replace(place, value)
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    cluster.kubectl("--namespace=kafka", "rollout", "status", "statefulset/kafka", "--timeout=180s")
    return f"127.0.0.1:{port}"


def install_seldon(cluster: KindCluster, image: str | None) -> None:
    """Installs the stand-in, or the real Seldon Core from the chart that SELDON_CHART names."""
    if image is None:
        run_helm(
            cluster, "install", "seldon", os.environ[SELDON_CHART], "--namespace=seldon-system",
            "--create-namespace", "--wait", "--timeout=5m",
        )  # fmt: skip
        return
    kubectl = cluster.kubectl
    kubectl("apply", "--server-side", "-f", str(repository_root() / SELDON_CRD))
    manifest = (HERE / "seldon" / "stand-in.yaml").read_text().replace("@IMAGE@", image)
    kubectl("apply", "-f", "-", stdin=manifest)
    token = kubectl(
        "--namespace=seldon-system", "create", "token", "seldon-stand-in", "--duration=12h"
    ).strip()
    authority = kubectl(
        "config",
        "view",
        "--raw",
        "--output=jsonpath={.clusters[0].cluster.certificate-authority-data}",
    )
    kubeconfig = {
        "clusters": [
            {"name": "here", "cluster": {
                "server": "https://kubernetes.default.svc", "certificate-authority-data": authority,
            }},
        ],
        "users": [{"name": "stand-in", "user": {"token": token}}],
    }  # fmt: skip
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "seldon-stand-in", "namespace": "seldon-system"},
        "data": {"kubeconfig": base64.b64encode(json.dumps(kubeconfig).encode()).decode()},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(secret))
    kubectl(
        "--namespace=seldon-system", "rollout", "status", "deployment/seldon-stand-in",
        "--timeout=120s",
    )  # fmt: skip


def run_helm(cluster: KindCluster, *arguments: str) -> str:
    """Runs Helm against the cluster; returns what it printed.

    Raises:
        LocalClusterError: it failed; the message is Helm's own.
    """
    done = subprocess.run(
        [helm(4, Progress()), *arguments],
        env=dict(cluster.kubectl.environment()) | {"HELM_CACHE_HOME": str(cache_dir() / "helm")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise LocalClusterError(f"helm {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def chart() -> str:
    """Path of the operator's chart."""
    return str(repository_root() / "charts" / "textmoderation-operator")


def _kafka_image(engine: Engine, start: Base, progress: Progress) -> str:
    if engine.pull(APACHE_KAFKA):
        return APACHE_KAFKA
    jars = kafka_jars(progress)
    progress.step(f"Building {KAFKA}")
    arguments = build_arguments({"BASE": start.image, "BUILD": start.build})
    engine.run(
        "build", "--quiet", "--network=host", f"--tag={KAFKA}", *arguments,
        f"--file={HERE / 'kafka' / 'Dockerfile'}", str(jars),
    )  # fmt: skip
    return KAFKA


def _stand_in_image(engine: Engine, operator: str, progress: Progress) -> str:
    progress.step(f"Building {STAND_IN}")
    engine.run(
        "build", "--quiet", f"--tag={STAND_IN}", f"--build-arg=BASE={operator}",
        f"--file={HERE / 'seldon' / 'Dockerfile'}", str(repository_root() / "dev" / "textmod_dev"),
    )  # fmt: skip
    return STAND_IN
