"""A real KEDA on the local cluster: its operator, metrics server and admission webhooks.

With the permissions of KEDA's own manifests. Like an installed KEDA it takes over the API
``external.metrics.k8s.io``; when the block ends, `keda` restores the service that had it before::

    with keda(cluster, keda_folder()):
        ...
"""

from __future__ import annotations

import base64
import functools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from textmod_dev import manifests
from textmod_dev.control_plane import answers
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.manifests import Json
from textmod_dev.processes import ManagedProcess, free_port, wait_until

NAMESPACE = "keda"
USER = "keda-operator"
SERVICE = "keda-metrics-apiserver"
EXTERNAL_METRICS = "v1beta1.external.metrics.k8s.io"
WEBHOOK_PATH = "/validate-keda-sh-v1alpha1-scaledobject"


@contextmanager
def keda(cluster: LocalCluster, folder: Path) -> Iterator[None]:
    """Within the block KEDA runs and serves the external metrics of the cluster.

    Every ScaledObject has to be gone before the block ends: KEDA's finalizer holds them.

    Args:
        folder: of the build (`textmod_dev.build.keda`).

    Raises:
        LocalClusterError: one of its processes ended, or did not become ready.
    """
    before = json.loads(cluster.kubectl("get", "apiservice", EXTERNAL_METRICS, "-o", "json"))
    certificates = _certificates(cluster)
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    _install(cluster, folder)
    processes: list[ManagedProcess] = []
    try:
        kubeconfig = _kubeconfig(cluster)
        processes.append(_webhooks(cluster, folder, kubeconfig, certificates))
        metrics_port = free_port()
        processes.append(_operator(cluster, folder, kubeconfig, certificates, metrics_port))
        processes.append(_adapter(cluster, folder, kubeconfig, certificates, metrics_port))
        yield
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", "keda", "--ignore-not-found")
        _give_back(cluster, before)
        for process in reversed(processes):
            cluster.keeper.stop(process)
        for crd in _crds(folder):
            cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", str(crd))


def _certificates(cluster: LocalCluster) -> Path:
    """A folder as KEDA's Secret has it; the three processes share one pair."""
    plane = cluster.control_plane
    folder = cluster.state_dir / "keda"
    folder.mkdir(exist_ok=True)
    pair = plane.server_authority.issue(
        "keda-serving",
        USER,
        hosts=["127.0.0.1", "localhost", f"{SERVICE}.{manifests.SYSTEM}.svc"],
    )
    for source, name in (
        (pair.certificate, "tls.crt"),
        (pair.key, "tls.key"),
        (plane.server_authority.certificate, "ca.crt"),
    ):
        shutil.copy(source, folder / name)
    return folder


def _kubeconfig(cluster: LocalCluster) -> Path:
    plane = cluster.control_plane
    return plane.write_kubeconfig("keda", plane.client_authority.issue("keda", USER))


def _crds(folder: Path) -> list[Path]:
    return sorted((folder / "config" / "crd" / "bases").glob("*.yaml"))


def _install(cluster: LocalCluster, folder: Path) -> None:
    """Its CRDs and what its user may do."""
    # A stand-in of another test may be there; an apply would lay one schema over the other.
    for crd in _crds(folder):
        cluster.kubectl("delete", "--ignore-not-found", "-f", str(crd))
        cluster.kubectl("create", "-f", str(crd))
        name = yaml.safe_load(crd.read_text())["metadata"]["name"]
        wait_until(
            functools.partial(cluster.control_plane.crd_established, name),
            f"the API of {name} was served",
        )
    roles = list(yaml.safe_load_all((folder / "config" / "rbac" / "role.yaml").read_text()))
    reader = yaml.safe_load((folder / "config" / "metrics-server" / "role.yaml").read_text())
    bindings = [_bound(role, cluster_wide=role["kind"] == "ClusterRole") for role in roles if role]
    cluster.apply(
        *(role for role in roles if role),
        reader,
        *bindings,
        manifests.cluster_role_binding("keda-auth-delegator", "system:auth-delegator", user=USER),
        manifests.role_binding(
            "keda-auth-reader",
            "extension-apiserver-authentication-reader",
            namespace=manifests.SYSTEM,
            user=USER,
        ),
        _hpa_controller_reads(reader["metadata"]["name"]),
    )


def _bound(role: Json, *, cluster_wide: bool) -> Json:
    name = role["metadata"]["name"]
    if cluster_wide:
        return manifests.cluster_role_binding(name, name, user=USER)
    return manifests.role_binding(name, name, namespace=role["metadata"]["namespace"], user=USER)


def _hpa_controller_reads(role: str) -> Json:
    binding = manifests.cluster_role_binding("keda-hpa-controller-external-metrics", role)
    account = {
        "kind": "ServiceAccount",
        "name": "horizontal-pod-autoscaler",
        "namespace": manifests.SYSTEM,
    }
    return binding | {"subjects": [account]}


def _start(
    cluster: LocalCluster,
    name: str,
    command: Sequence[str | Path],
    kubeconfig: Path,
    is_ready: Callable[[], bool],
) -> ManagedProcess:
    """Start one of KEDA's programs, and wait until it is ready."""
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "POD_NAMESPACE": NAMESPACE,
        "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
        "WATCH_NAMESPACE": "",
    }
    process = cluster.keeper.start(name, command, env=environment)
    wait_until(is_ready, f"{name} was ready", process=process)
    return process


def _operator(
    cluster: LocalCluster, folder: Path, kubeconfig: Path, certificates: Path, metrics_port: int
) -> ManagedProcess:
    probe = free_port()
    return _start(
        cluster,
        "keda-operator",
        [
            folder / "operator",
            "--enable-prometheus-metrics=false",
            f"--health-probe-bind-address=127.0.0.1:{probe}",
            f"--metrics-service-bind-address=127.0.0.1:{metrics_port}",
            f"--cert-dir={certificates}",
            f"--ca-dir={certificates}",
        ],
        kubeconfig,
        lambda: answers(f"http://127.0.0.1:{probe}/readyz"),
    )


def _adapter(
    cluster: LocalCluster, folder: Path, kubeconfig: Path, certificates: Path, metrics_port: int
) -> ManagedProcess:
    port, authority = free_port(), cluster.control_plane.server_authority.certificate
    cluster.apply(
        *manifests.aggregated_api("external.metrics.k8s.io", "v1beta1", SERVICE, port, authority)
    )
    return _start(
        cluster,
        "keda-metrics-apiserver",
        [
            folder / "adapter",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--port={free_port()}",
            f"--metrics-service-address=127.0.0.1:{metrics_port}",
            f"--cert-dir={certificates}",
            f"--tls-cert-file={certificates / 'tls.crt'}",
            f"--tls-private-key-file={certificates / 'tls.key'}",
            f"--lister-kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
        ],
        kubeconfig,
        lambda: cluster.control_plane.api_available(EXTERNAL_METRICS),
    )


def _webhooks(
    cluster: LocalCluster, folder: Path, kubeconfig: Path, certificates: Path
) -> ManagedProcess:
    """They refuse what they can't judge here; KEDA's own configuration lets that pass."""
    port, probe = free_port(), free_port()
    process = _start(
        cluster,
        "keda-webhooks",
        [
            folder / "webhooks",
            "--metrics-bind-address=0",
            f"--health-probe-bind-address=127.0.0.1:{probe}",
            f"--port={port}",
            f"--cert-dir={certificates}",
        ],
        kubeconfig,
        lambda: answers(f"http://127.0.0.1:{probe}/readyz"),
    )
    authority = cluster.control_plane.server_authority.certificate
    cluster.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "keda"},
            "webhooks": [
                {
                    "name": "vscaledobject.kb.io",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "failurePolicy": "Fail",
                    "clientConfig": {
                        "url": f"https://127.0.0.1:{port}{WEBHOOK_PATH}",
                        "caBundle": base64.b64encode(authority.read_bytes()).decode(),
                    },
                    "rules": [
                        {
                            "apiGroups": ["keda.sh"],
                            "apiVersions": ["v1alpha1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["scaledobjects"],
                        }
                    ],
                }
            ],
        }
    )
    return process


def _give_back(cluster: LocalCluster, before: Json) -> None:
    cluster.kubectl("delete", "apiservice", EXTERNAL_METRICS)
    for field in ("resourceVersion", "uid", "managedFields", "creationTimestamp"):
        before["metadata"].pop(field, None)
    before.pop("status", None)
    cluster.apply(before)
    wait_until(
        lambda: cluster.control_plane.api_available(EXTERNAL_METRICS),
        "the metrics API that was there before was available",
    )
