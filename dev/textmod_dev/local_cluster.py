"""The whole local cluster in one object.

::

    with LocalCluster(state_dir, seldon=True) as cluster:
        cluster.images.set("example/web:1", [sys.executable, "-m", "http.server", "9000"])
        cluster.kubectl("apply", "-f", "web.yaml")
        cluster.kubeconfig            # Path, for any client: system:masters
        cluster.bootstrap_servers     # the Kafka broker
        cluster.install_operator()    # RBAC of user textmod-operator, metrics APIService
        cluster.start_operator()      # the operator as a process with that user's kubeconfig

Leaving the block ends every process; so does the death of this process, SIGKILL included. The state
folder keeps the logs (``logs/``) until the next start in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import yaml

from textmod_dev import chart, consoles, manifests
from textmod_dev.build import control_plane_binaries
from textmod_dev.control_plane import AutoscalerTimes, ControlPlane, answers
from textmod_dev.errors import LocalClusterError
from textmod_dev.guardian import clean_up
from textmod_dev.images import ImageTable
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.kafka_security import Security
from textmod_dev.kubectl import Kubectl
from textmod_dev.manifests import Json
from textmod_dev.paths import repository_root
from textmod_dev.processes import ManagedProcess, ProcessKeeper, free_port, is_free, wait_until
from textmod_dev.progress import Progress
from textmod_dev.seldon import webhook
from textmod_dev.seldon.objects import ENGINE_IMAGE
from textmod_dev.seldon.schema import with_pod_schema

METRICS_SERVICE = "process-node-metrics"
OPERATOR = "textmod-operator"
SELDON_CRD = Path(__file__).parent / "seldon" / "crd.yaml"
EXECUTOR = [sys.executable, "-m", "textmod_dev.seldon.executor"]


class LocalCluster:
    """See the module.

    Args:
        state_dir: everything this cluster writes; one cluster at a time holds it.
        seldon: start the Seldon stand-in too; without it, no SeldonDeployment CRD exists until
            `start_seldon`.
        brokers: Kafka brokers.
        kafka_port: of the first broker, if it is free.
        kafka_security: what the brokers ask of their clients.
        nodes: names of the Nodes; one process plays them all.
        restart_backoff: seconds before a crashed container's second restart; a kubelet has 10.
        times: of the HPA controller.
        audit: write every request of the operator to ``control_plane.audit_log``.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        seldon: bool = True,
        brokers: int = 1,
        kafka_port: int | None = None,
        kafka_security: Security | None = None,
        nodes: Sequence[str] = ("local",),
        restart_backoff: float = 10,
        times: AutoscalerTimes | None = None,
        audit: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.state_dir = state_dir.resolve()
        self._progress = progress or Progress(quiet=True)
        self._seldon = seldon
        self._seldon_process: ManagedProcess | None = None
        self._brokers = brokers
        self._kafka_port = kafka_port
        self._kafka_security = kafka_security
        self._nodes = list(nodes)
        self._restart_backoff = restart_backoff
        self._times = times or AutoscalerTimes()
        self._audited = (OPERATOR,) if audit else ()
        self.images = ImageTable(self.state_dir / "images.json")

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_held(self.state_dir))
            self.binaries = control_plane_binaries(self._progress)
            self.keeper = stack.enter_context(ProcessKeeper(self.state_dir / "logs"))
            identity_file(self.state_dir).write_text(self.keeper.identity)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def kubeconfig(self) -> Path:
        """Of the administrator."""
        return self.control_plane.kubeconfig

    @property
    def bootstrap_servers(self) -> str:
        """Of the Kafka broker."""
        return self.kafka.bootstrap_servers

    @property
    def kubectl(self) -> Kubectl:
        """kubectl as the administrator: ``cluster.kubectl("get", "pods")``."""
        return Kubectl(self.binaries / "kubectl", self.kubeconfig)

    def apply(self, *objects: Json) -> None:
        """Applies objects server-side, as the administrator."""
        self.kubectl("apply", "--server-side", "-f", "-", stdin=manifests.as_list(objects))

    def start_seldon(self) -> None:
        """Installs the SeldonDeployment CRD and starts the stand-in for Seldon's controller with
        its webhook; also again after `stop_seldon`."""
        self._progress.step("Installing the Seldon stand-in")
        self._install_seldon_crd()
        self.images.set(ENGINE_IMAGE, EXECUTOR, use_args=True)
        port, authority = free_port(), self.control_plane.server_authority
        pair = authority.issue("seldon", "seldon", hosts=["127.0.0.1"])
        self._seldon_process = self.keeper.start(
            "seldon-stand-in",
            [
                sys.executable,
                "-m",
                "textmod_dev.seldon.controller",
                f"--kubeconfig={self.kubeconfig}",
                f"--webhook-port={port}",
                f"--certificate={pair.certificate}",
                f"--key={pair.key}",
            ],
        )
        wait_until(
            lambda: not is_free(port),
            "Seldon's webhook listens",
            process=self._seldon_process,
        )
        self.apply(webhook.configuration(port, authority.certificate))

    def stop_seldon(self) -> None:
        """Stops the stand-in. The API server then refuses every SeldonDeployment, because nobody
        answers for the webhook."""
        if self._seldon_process is not None:
            self.keeper.stop(self._seldon_process)

    def install_operator(self) -> None:
        """Applies the operator's permissions (a Lease in kube-system among them) and its metrics
        API; starts nothing.

        Its CRD is in every cluster from the start.
        """
        plane = self.control_plane
        folder = self.state_dir / "operator"
        serving = plane.server_authority.issue(
            "operator-serving",
            OPERATOR,
            hosts=["127.0.0.1", "localhost", f"{OPERATOR}.{manifests.SYSTEM}.svc"],
        )
        folder.mkdir(parents=True, exist_ok=True)
        for source, name in (
            (serving.certificate, "tls.crt"),
            (serving.key, "tls.key"),
            (plane.server_authority.certificate, "ca.crt"),
        ):
            shutil.copy(source, folder / name)
        self._operator_metrics_port, self.operator_health_port = free_port(), free_port()
        consoles.add_image(self.images, self.console_kubeconfig)
        lease = f"{OPERATOR}-lease"
        self.apply(
            manifests.cluster_role(OPERATOR, chart.rules("cluster-role-rules.yaml")),
            manifests.cluster_role_binding(OPERATOR, OPERATOR, user=OPERATOR),
            manifests.role(lease, chart.rules("lease-role-rules.yaml"), namespace=manifests.SYSTEM),
            manifests.role_binding(lease, lease, namespace=manifests.SYSTEM, user=OPERATOR),
            # The front proxy's certificate authority, which an aggregated API has to know.
            manifests.role_binding(
                OPERATOR,
                "extension-apiserver-authentication-reader",
                namespace=manifests.SYSTEM,
                user=OPERATOR,
            ),
            *consoles.objects(OPERATOR, self.state_dir / "volumes", chart.rules),
            *manifests.aggregated_api(
                "external.metrics.k8s.io",
                "v1beta1",
                OPERATOR,
                self._operator_metrics_port,
                plane.server_authority.certificate,
            ),
        )

    def start_operator(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> ManagedProcess:
        """Starts the operator as user ``textmod-operator`` once `install_operator` has run.

        Call it again after `stop_operator`, with other arguments if need be.

        Raises:
            LocalClusterError: it ended, or did not become ready.
        """
        self._progress.step("Starting the operator")
        health = self.operator_health_port
        process = self.keeper.start(
            "operator",
            [
                sys.executable,
                "-m",
                "textmod_operator",
                "run",
                f"--kubeconfig={self.operator_kubeconfig}",
                "--metrics-address=127.0.0.1",
                f"--metrics-port={self._operator_metrics_port}",
                f"--health-port={health}",
                f"--certificate-dir={self.state_dir / 'operator'}",
                "--console-webhook-networks=127.0.0.0/8",  # all of this cluster is on loopback
                *arguments,
            ],
            env=environment,
        )
        self.operator_process = process
        wait_until(
            lambda: answers(f"http://127.0.0.1:{health}/readyz"),
            "the operator was ready",
            process=process,
        )
        wait_until(
            lambda: self.control_plane.api_available("v1beta1.external.metrics.k8s.io"),
            "the operator's metrics API was available",
            process=process,
        )
        return process

    def stop_operator(self, *, kill: bool = False) -> None:
        """Stops the operator, cleanly or by SIGKILL, as a test of a restart wants it."""
        if kill:
            self.operator_process.kill()
        self.keeper.stop(self.operator_process)

    def _start(self) -> None:
        self._progress.step("Starting the control plane and Kafka")
        self.kafka = KafkaBroker(
            self.state_dir / "kafka",
            brokers=self._brokers,
            port=self._kafka_port,
            security=self._kafka_security,
            keeper=self.keeper,
            progress=self._progress,
        )
        self.kafka.start()
        folder = self.state_dir / "control-plane"
        folder.mkdir(parents=True)
        self.control_plane = ControlPlane(
            self.keeper, self.binaries, folder, self._times, self._audited
        )
        self.operator_kubeconfig = self.control_plane.add_token_user(OPERATOR)
        self.console_kubeconfig = self.control_plane.add_token_user(consoles.USER)
        self.control_plane.start_api()
        # Before the controllers, some of which look for new kinds twice a minute only.
        self._install_crd(repository_root() / "crds" / "textmoderations.yaml")
        if self._seldon:
            self._install_seldon_crd()
        self.control_plane.start_controllers()
        self._start_process_node()
        wait_until(
            lambda: self.control_plane.service_account_ready("default"),
            "the controller manager made the default service account",
        )
        if self._seldon:
            self.start_seldon()
        self.kafka.wait()

    def _install_seldon_crd(self) -> None:
        """With the pod's schema of this API server, less what Seldon's is too old for."""
        openapi = json.loads(self.kubectl("get", "--raw", "/openapi/v3/api/v1"))
        made = with_pod_schema(yaml.safe_load(SELDON_CRD.read_text()), openapi)
        file = self.state_dir / "seldondeployments.json"
        file.write_text(json.dumps(made))
        self._install_crd(file)

    def _install_crd(self, file: Path) -> None:
        self.kubectl("apply", "--server-side", "-f", str(file))
        # Not `kubectl wait`: it fails on an object whose status is still empty.
        for crd in yaml.safe_load_all(file.read_text()):
            name = crd["metadata"]["name"]
            wait_until(
                functools.partial(self.control_plane.crd_established, name),
                f"the API of {name} was served",
            )

    def _start_process_node(self) -> None:
        self._progress.step("Starting the process node")
        plane = self.control_plane
        user = f"system:node:{self._nodes[0]}"
        client = plane.client_authority.issue("process-node", user, organizations=["system:nodes"])
        serving = plane.server_authority.issue(
            "process-node-serving",
            "process-node",
            hosts=["127.0.0.1", "localhost", f"{METRICS_SERVICE}.{manifests.SYSTEM}.svc"],
        )
        metrics_port = free_port()
        self.apply(
            # The Node authorizer would hand out exactly this, node by node.
            manifests.cluster_role_binding("process-node", "system:node", user=user),
            *manifests.aggregated_api(
                "metrics.k8s.io",
                "v1beta1",
                METRICS_SERVICE,
                metrics_port,
                plane.server_authority.certificate,
            ),
        )
        version = json.loads(self.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
        process = self.keeper.start(
            "process-node",
            [
                sys.executable,
                "-m",
                "textmod_dev.process_node",
                *(f"--node={name}" for name in self._nodes),
                f"--kubeconfig={plane.write_kubeconfig('process-node', client)}",
                f"--images={self.images.path}",
                f"--pods-dir={self.state_dir / 'pods'}",
                f"--logs-dir={self.state_dir / 'logs' / 'pods'}",
                f"--certificate={serving.certificate}",
                f"--key={serving.key}",
                f"--client-ca={plane.client_authority.certificate}",
                f"--front-proxy-ca={plane.front_proxy_authority}",
                f"--kubelet-port={free_port()}",
                f"--metrics-port={metrics_port}",
                f"--version={version}",
                f"--restart-backoff={self._restart_backoff}",
            ],
        )
        for name in self._nodes:
            wait_until(
                functools.partial(plane.node_ready, name),
                f"node {name} was ready",
                process=process,
            )


@contextlib.contextmanager
def _held(state_dir: Path) -> Iterator[None]:
    """Holds the state folder's lock, and empties the folder of what an earlier cluster left.

    The kernel drops the lock when its holder ends, so a lock that can be had means that whatever
    the folder tells of is over, or should be: processes that still carry the old cluster's marker
    are ended.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalClusterError(
                f"A local cluster already runs in {state_dir}: stop it with `make down`, or set "
                "TEXTMOD_STATE to another folder."
            ) from None
        if (old := identity_file(state_dir)).exists():
            clean_up(old.read_text())
        for name in (
            "control-plane",
            "kafka",
            "logs",
            "operator",
            "pods",
            "volumes",
            "images.json",
        ):
            path = state_dir / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        yield


def identity_file(state_dir: Path) -> Path:
    """Where a cluster writes down what marks its processes."""
    return state_dir / "identity"
