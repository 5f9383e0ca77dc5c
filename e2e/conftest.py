"""One kind cluster for the whole run, with everything installed; the tests use it in file order.

A machine without a Docker engine, and where none can be started, skips all of it with the reason.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import installation
import pytest
from figures import Figures
from installation import Images
from moderation import Moderation

from textmod_dev.figures import figures_dir
from textmod_dev.kind.cluster import KindCluster
from textmod_dev.kind.engine import Engine, NoEngineError
from textmod_dev.kubectl import Kubectl
from textmod_dev.model_image import training_data
from textmod_dev.processes import ProcessKeeper, free_port
from textmod_dev.progress import Progress

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is end to end."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def progress() -> Progress:
    return Progress()


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """What is measured; written when the whole run has passed (`figures_dir`: where)."""
    measured = Figures()
    started = time.monotonic()
    yield measured
    measured.set("seconds", "in all", time.monotonic() - started)
    chosen = {item.path.parent for item in request.session.items}
    if request.session.testsfailed == 0 and HERE in chosen:
        measured.write(figures_dir(HERE))


@pytest.fixture(scope="session")
def engine(progress: Progress, figures: Figures) -> Iterator[Engine]:
    """A Docker engine, private if none is there."""
    try:
        with figures.timed("Docker engine"):
            running = Engine(progress).__enter__()
    except NoEngineError as reason:
        pytest.skip(str(reason))
    yield running
    running.__exit__(None, None, None)


@pytest.fixture(scope="session")
def images(engine: Engine, progress: Progress, figures: Figures) -> Images:
    """The images, in the engine."""
    with figures.timed("images built"):
        built = installation.build_images(engine, progress)
    for name in (built.operator, built.model, built.console):
        size = round(engine.inspect(name)["Size"] / 1e6)
        figures.set("counts", f"megabytes of {name}", size)
    return built


@pytest.fixture(scope="session")
def kafka_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def cluster(
    engine: Engine,
    images: Images,
    kafka_port: int,
    tmp_path_factory: pytest.TempPathFactory,
    progress: Progress,
    figures: Figures,
) -> Iterator[KindCluster]:
    """The cluster, with the images on its node."""
    ports = [(kafka_port, installation.KAFKA_NODE_PORT)]
    folder = tmp_path_factory.mktemp("kind")
    figures.set(
        "environment",
        "Docker engine",
        engine.run("version", "--format={{.Server.Version}}").strip(),
    )
    with KindCluster(engine, folder, progress, ports=ports) as running:
        for step, seconds in running.seconds.items():
            figures.set("seconds", step, seconds)
        node = running.kubectl("get", "nodes", "-o=jsonpath={.items[0].status.nodeInfo}")
        for name in ("kubeletVersion", "containerRuntimeVersion", "osImage", "kernelVersion"):
            figures.set("environment", name, json.loads(node)[name])
        with figures.timed("images loaded onto the node"):
            running.load(*images.all())
        yield running


@pytest.fixture(scope="session")
def kubectl(cluster: KindCluster) -> Kubectl:
    """kubectl as the administrator."""
    return cluster.kubectl


@pytest.fixture(scope="session")
def bootstrap_servers(
    cluster: KindCluster, images: Images, kafka_port: int, progress: Progress, figures: Figures
) -> str:
    """The broker in the cluster, as this machine reaches it."""
    progress.step("Starting Kafka in the cluster")
    with figures.timed("Kafka ready"):
        return installation.install_kafka(cluster, images.kafka, kafka_port)


@pytest.fixture(scope="session")
def seldon(cluster: KindCluster, images: Images, progress: Progress) -> None:
    """Seldon Core, or its stand-in."""
    progress.step("Installing Seldon")
    installation.install_seldon(cluster, images.seldon)


@pytest.fixture(scope="session")
def operator(cluster: KindCluster, progress: Progress, figures: Figures) -> None:
    """The chart, as a user installs it."""
    progress.step("Installing the chart")
    with figures.timed("helm install, until it is ready"):
        installation.run_helm(
            cluster, "install", installation.RELEASE, installation.chart(),
            f"--namespace={installation.NAMESPACE}", "--create-namespace", "--wait",
            "--timeout=3m",
        )  # fmt: skip


@pytest.fixture(scope="session")
def comments(progress: Progress) -> Path:
    """A file of comments: real ones where they are at hand."""
    return training_data(None, progress)


@pytest.fixture(scope="session")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessKeeper]:
    """Starts the producers, and ends them with the run."""
    with ProcessKeeper(tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest.fixture(scope="session")
def moderate(
    kubectl: Kubectl, operator: None, bootstrap_servers: str
) -> Callable[[str, dict[str, Any]], Moderation]:
    """``moderate(name, spec)`` applies a TextModeration in a new namespace of the same name.

    The namespace enforces Pod Security "restricted".
    """

    def apply(name: str, spec: dict[str, Any]) -> Moderation:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        space = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
        }
        kubectl("apply", "-f", "-", stdin=json.dumps(space))
        tm = {
            "apiVersion": "textmoderation.dev/v1alpha1",
            "kind": "TextModeration",
            "metadata": {"name": name, "namespace": name},
            "spec": spec,
        }
        kubectl("apply", "-f", "-", stdin=json.dumps(tm))
        return Moderation(kubectl, name, bootstrap_servers)

    return apply
