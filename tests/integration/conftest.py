"""One real cluster for the session (of each worker, where several work side by side); a namespace
of its own for every test that asks.

Nothing is autouse: a test that names none of these fixtures starts nothing.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import permissions
import pytest
import small_model
from confluent_kafka.admin import AdminClient
from objects import merged

from textmod_dev.control_plane import AutoscalerTimes
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.model_image import IMAGE, add_image, trained_model, training_data
from textmod_dev.processes import wait_until
from textmod_dev.progress import Progress

# The HPA controller's own times make a test of scaling take ten minutes.
QUICK = AutoscalerTimes(
    sync=2, downscale_stabilization=5, cpu_initialization=5, initial_readiness_delay=2
)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Control plane, Kafka broker, process node and the Seldon stand-in."""
    state = tmp_path_factory.mktemp("cluster")
    with LocalCluster(state, times=QUICK, audit=True, progress=Progress()) as running:
        yield running
        dead = [
            f"{p.name} (exit code {p.exit_code()}), see {p.log}" for p in running.keeper.ended()
        ]
        assert not dead, f"these ended while the tests ran: {', '.join(dead)}"


@pytest.fixture(scope="session")
def operator(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The same cluster with the operator running and the model's image on its node.

    At its end every request of the operator has to have been allowed by the chart's rules.
    """
    artifact = trained_model(training_data(None, Progress()), Progress())
    add_image(cluster.images, artifact)
    cluster.install_operator()
    # No Service leads to it here; KEDA's part is played by the tests, which ask the port itself.
    url = f"http://127.0.0.1:{cluster.operator_health_port}"
    cluster.start_operator("--lease-namespace=kube-system", f"--keda-url={url}")
    yield cluster
    permissions.check_requests(cluster)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small real artifact. Tests must not change it."""
    return small_model.train(tmp_path_factory.mktemp("model"))


class Kubectl(Protocol):
    """``kubectl("get", "pods", stdin=None)`` returns what it printed, or raises."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> str: ...


@pytest.fixture
def namespace(cluster: LocalCluster) -> Iterator[str]:
    """A new namespace that takes pods already; deleted afterwards, without waiting for it."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    wait_until(
        lambda: cluster.control_plane.service_account_ready(name),
        f"namespace {name} had its default service account",
    )
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kubectl(cluster: LocalCluster, namespace: str) -> Kubectl:
    """kubectl as the administrator, in the test's namespace."""

    def run(*arguments: str, stdin: str | None = None) -> str:
        return cluster.kubectl("--namespace", namespace, *arguments, stdin=stdin)

    return run


@pytest.fixture
def topic_prefix(namespace: str) -> str:
    """Topics outlive their namespace; a name of their own keeps tests apart."""
    return namespace


@pytest.fixture
def manifest(operator: LocalCluster, topic_prefix: str) -> Callable[..., str]:
    """A TextModeration called science with `spec` laid over the smallest one, as JSON text."""

    def make(spec: dict[str, Any] | None = None, name: str = "science") -> str:
        smallest = {
            "kafka": {"bootstrapServers": operator.bootstrap_servers},
            "model": {"image": IMAGE},
            "topics": {
                "input": {"name": f"{topic_prefix}-input", "partitions": 3},
                "output": {"name": f"{topic_prefix}-output"},
                "deadLetter": {"name": f"{topic_prefix}-dead-letter"},
            },
            "message": {"format": "Json"},
        }
        return json.dumps(
            {
                "apiVersion": "textmoderation.dev/v1alpha1",
                "kind": "TextModeration",
                "metadata": {"name": name},
                "spec": merged(smallest, spec or {}),
            }
        )

    return make


@pytest.fixture
def admin(operator: LocalCluster) -> Iterator[AdminClient]:
    yield AdminClient({"bootstrap.servers": operator.bootstrap_servers})


@pytest.fixture
def ready(kubectl: Kubectl, manifest: Callable[..., str]) -> Callable[..., None]:
    """Applies a TextModeration and waits until it is Ready."""

    def apply(spec: dict[str, Any] | None = None) -> None:
        kubectl("apply", "-f", "-", stdin=manifest(spec))
        kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=90s")

    return apply


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], object], float, str], None]:
    """``wait_for(condition, timeout, message)`` polls until `condition` is true.

    An AssertionError in the condition counts as not yet; the last one is shown on time-out.
    """

    def wait(condition: Callable[[], object], timeout: float, message: str) -> None:
        deadline = time.monotonic() + timeout
        while True:
            last: object = None
            try:
                if condition():
                    return
            except AssertionError as error:
                last = error
            if time.monotonic() > deadline:
                pytest.fail(
                    f"after {timeout} s still not: {message}" + (f" ({last})" if last else "")
                )
            time.sleep(0.2)

    return wait
