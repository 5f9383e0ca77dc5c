"""One kind cluster: created, filled with images, asked through kubectl, taken down.

::

    with Engine(progress) as engine, KindCluster(engine, folder, progress) as cluster:
        cluster.load("textmoderation/operator:0.1.0")
        cluster.kubectl("get", "nodes")

Leaving the block deletes it; so does the engine's guardian, however this process ends.
"""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import yaml

from textmod_dev.build import control_plane_binaries, kind_tool
from textmod_dev.errors import LocalClusterError
from textmod_dev.kind.engine import Engine
from textmod_dev.kind.node_image import node_image
from textmod_dev.kubectl import Kubectl
from textmod_dev.paths import repository_root
from textmod_dev.progress import Progress

READY_SECONDS = 180
METRICS_SERVER = "dev/kind/metrics-server/metrics-server.yaml"


class KindCluster:
    """See the module.

    Args:
        engine: where its node runs.
        folder: for its kubeconfig and its logs.
        ports: (port of 127.0.0.1, NodePort) pairs that lead into the cluster.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        progress: Progress,
        *,
        ports: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.name = f"textmod-{uuid.uuid4().hex[:8]}"
        self.seconds: dict[str, float] = {}
        """How long each step of its making took."""
        self._engine = engine
        self._folder = folder
        self._progress = progress
        self._ports = ports

    def __enter__(self) -> Self:
        self._kind = kind_tool("kind", self._progress)
        binaries = control_plane_binaries(self._progress)
        image = node_image(self._engine, self._progress)
        self._folder.mkdir(parents=True, exist_ok=True)
        self.kubeconfig = self._folder / "kubeconfig"
        self.kubectl = Kubectl(binaries / "kubectl", self.kubeconfig)
        self._engine.take_down_cluster(self.name)
        self._progress.step(f"Creating the kind cluster {self.name} from {image}")
        try:
            self._create(image)
        except BaseException:
            self._delete()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.save_logs()
        self._delete()

    @property
    def node(self) -> str:
        """Name of the one node, and of its container."""
        return f"{self.name}-control-plane"

    def load(self, *images: str) -> None:
        """Puts images of the engine onto the node, shared layers once.

        Raises:
            LocalClusterError: the engine does not hold one of them, or the node refuses.
        """
        self._progress.step(f"Loading {', '.join(images)}")
        with subprocess.Popen(
            ["docker", "save", *images], env=self._engine.environment, stdout=subprocess.PIPE
        ) as saved:
            loaded = subprocess.run(
                ["docker", "exec", "--interactive", self.node,
                 "ctr", "--namespace=k8s.io", "images", "import", "--all-platforms", "--digests",
                 "-"],
                env=self._engine.environment, stdin=saved.stdout,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        if loaded.returncode != 0 or saved.returncode != 0:
            raise LocalClusterError(f"The node did not take {images}: {loaded.stderr.strip()}")

    def save_logs(self) -> None:
        """Writes what the node, its containers and the API server's events say to the folder."""
        self._run("export", "logs", f"--name={self.name}", str(self._folder / "logs"), check=False)

    def _create(self, image: str) -> None:
        started = time.monotonic()
        config = self._folder / "kind.yaml"
        config.write_text(yaml.safe_dump(self._configuration(image)))
        self._run(
            "create", "cluster", f"--name={self.name}", f"--config={config}",
            f"--kubeconfig={self.kubeconfig}", f"--wait={READY_SECONDS}s",
        )  # fmt: skip
        self.seconds["node ready"] = time.monotonic() - started
        self.kubectl("apply", "-f", str(repository_root() / METRICS_SERVER))
        for deployment in ("coredns", "metrics-server"):
            self.kubectl(
                "--namespace=kube-system", "rollout", "status", f"deployment/{deployment}",
                f"--timeout={READY_SECONDS}s",
            )  # fmt: skip
        self.seconds["cluster ready"] = time.monotonic() - started

    def _configuration(self, image: str) -> dict[str, object]:
        mappings = [
            {"listenAddress": "127.0.0.1", "hostPort": ours, "containerPort": theirs}
            for ours, theirs in self._ports
        ]
        # A machine that has cgroup v1 alone: the kubelet wants to be told that this is meant.
        kubelet = {
            "kind": "KubeletConfiguration",
            "metadata": {"name": "config"},
            "failCgroupV1": False,
        }
        return {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [{"role": "control-plane", "image": image, "extraPortMappings": mappings}],
            "kubeadmConfigPatches": [yaml.safe_dump(kubelet)],
        }

    def _delete(self) -> None:
        self._run(
            "delete", "cluster", f"--name={self.name}", f"--kubeconfig={self.kubeconfig}",
            check=False,
        )  # fmt: skip

    def _run(self, *arguments: str, check: bool = True) -> None:
        done = subprocess.run(
            [self._kind, *arguments],
            env=self._engine.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise LocalClusterError(f"kind {' '.join(arguments[:2])}:\n{done.stderr.strip()}")
