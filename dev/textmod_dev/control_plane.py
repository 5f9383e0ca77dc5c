"""A real Kubernetes control plane as plain processes on 127.0.0.1.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler with their own default controllers,
RBAC on, and the front proxy set up so that aggregated APIs (metrics.k8s.io,
external.metrics.k8s.io) work. Three things differ from a cluster with machines:

- etcd does not fsync: a power cut may lose this cluster, and nobody minds;
- the endpoints controllers are off: the API refuses endpoints in 127.0.0.0/8, which is where the
  process node's pods live, and no kube-proxy is there to read them;
- the API server does not publish its own address as the `kubernetes` Service's endpoint, for the
  same reason. The Service itself is there.
"""

from __future__ import annotations

import base64
import os
import secrets
import signal
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from textmod_dev.certificates import CertificateAuthority, KeyPair, signing_key, write_private
from textmod_dev.processes import ManagedProcess, ProcessKeeper, free_port, wait_until

SERVICE_RANGE = "10.96.0.0/16"
LOOPBACK = "127.0.0.1"
# All of the defaults but those that would write endpoints.
CONTROLLERS = ",".join(
    [
        "*",
        "-endpoints-controller",
        "-endpointslice-controller",
        "-endpointslice-mirroring-controller",
    ]
)


@dataclass(frozen=True)
class AutoscalerTimes:
    """Seconds; the defaults are kube-controller-manager's own."""

    sync: int = 15
    downscale_stabilization: int = 300
    cpu_initialization: int = 300
    initial_readiness_delay: int = 30


class ControlPlane:
    """Started by `start_api` and `start_controllers`; the keeper that it is given stops it.

    Attributes:
        url: of the API server.
        kubeconfig: for a member of system:masters.
        client_authority: signs client certificates that the API server accepts.
        server_authority: signs every serving certificate, the kubelet's and the adapters' too.
        audit_log: one JSON line for each request of an audited user.

    Args:
        audited: users whose every request is written to `audit_log`.
    """

    def __init__(
        self,
        keeper: ProcessKeeper,
        binaries: Path,
        folder: Path,
        times: AutoscalerTimes,
        audited: Sequence[str] = (),
    ) -> None:
        self._keeper = keeper
        self._binaries = binaries
        self._folder = folder
        self._times = times
        self._audited = list(audited)
        self.audit_log = folder / "audit.log"
        certificates = folder / "certificates"
        self.client_authority = CertificateAuthority(certificates, "client-ca")
        self.server_authority = CertificateAuthority(certificates, "server-ca")
        self._front_proxy = CertificateAuthority(certificates, "front-proxy-ca")
        self._certificates = certificates
        self._tokens: dict[str, str] = {}
        self._port = free_port()
        self.url = f"https://{LOOPBACK}:{self._port}"
        self.admin = self.client_authority.issue(
            "admin", "local-admin", organizations=["system:masters"]
        )
        self.kubeconfig = self.write_kubeconfig("admin", self.admin)

    @property
    def front_proxy_authority(self) -> Path:
        """Certificate of the authority that signs the aggregator's client certificate."""
        return self._front_proxy.certificate

    def add_token_user(self, user: str, *groups: str) -> Path:
        """A user with a bearer token; returns its kubeconfig. Only before `start_api`."""
        token = secrets.token_hex(24)
        self._tokens[token] = f'{token},{user},{user},"{",".join(groups)}"'
        return self.write_token_kubeconfig(user, token)

    def write_token_kubeconfig(self, name: str, token: str) -> Path:
        """A kubeconfig with a bearer token, such as a service account's."""
        return self._write_kubeconfig(name, {"token": token})

    def start_api(self) -> None:
        """Starts etcd and the API server; returns once it is ready.

        Raises:
            LocalClusterError: one of them does not start.
        """
        self._etcd, etcd_url = self._start_etcd()
        self._api_server_command = self._api_server_arguments(etcd_url)
        self._start_api_server()

    def stop_api(self) -> None:
        """Takes the API server away, as a test of an outage wants it; every watch is cut."""
        self._keeper.stop(self._api_server)

    def restart_api(self) -> None:
        """Brings it back after `stop_api`, on the data it had; returns once it is ready."""
        self._start_api_server()

    @contextmanager
    def etcd_paused(self) -> Iterator[None]:
        """Within the block etcd answers nobody, and the API server nobody who wants to write."""
        os.kill(self._etcd.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._etcd.pid, signal.SIGCONT)

    def start_controllers(self) -> None:
        """Starts the controller manager and the scheduler.

        The HPA controller learns of new kinds every 30 seconds, so that a CRD which is there
        before saves the first HPA on it that wait.
        """
        self._start_controller_manager()
        self._start_scheduler()

    def write_kubeconfig(self, name: str, client: KeyPair) -> Path:
        """A kubeconfig with a client certificate, everything inside one file."""
        user = {
            "client-certificate-data": _base64(client.certificate),
            "client-key-data": _base64(client.key),
        }
        return self._write_kubeconfig(name, user)

    def _write_kubeconfig(self, name: str, user: dict[str, str]) -> Path:
        cluster = {
            "server": self.url,
            "certificate-authority-data": _base64(self.server_authority.certificate),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "textmod-local", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [
                {"name": "textmod-local", "context": {"cluster": "textmod-local", "user": name}}
            ],
            "current-context": "textmod-local",
        }
        path = self._folder / f"{name}.kubeconfig"
        write_private(path, yaml.safe_dump(content).encode())
        return path

    def _start_etcd(self) -> tuple[ManagedProcess, str]:
        client, peer = (f"http://{LOOPBACK}:{free_port()}" for _ in range(2))
        process = self._keeper.start(
            "etcd",
            [
                self._binaries / "etcd",
                f"--data-dir={self._folder / 'etcd'}",
                "--unsafe-no-fsync",
                "--log-level=warn",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
            ],
        )
        wait_until(lambda: answers(f"{client}/health"), "etcd answered", process=process)
        return process, client

    def _start_api_server(self) -> None:
        self._api_server = self._keeper.start("kube-apiserver", self._api_server_command)
        wait_until(self.is_ready, "the API server was ready", process=self._api_server)

    def _api_server_arguments(self, etcd_url: str) -> list[str | Path]:
        serving = self.server_authority.issue(
            "kube-apiserver",
            "kube-apiserver",
            hosts=[LOOPBACK, "localhost", "kubernetes.default.svc", "10.96.0.1"],
        )
        kubelet_client = self.client_authority.issue(
            "kube-apiserver-kubelet-client", "kube-apiserver", organizations=["system:masters"]
        )
        proxy_client = self._front_proxy.issue("front-proxy-client", "front-proxy-client")
        self._service_account_key = signing_key(self._certificates / "service-accounts.key")
        tokens = self._certificates / "tokens.csv"
        write_private(tokens, "\n".join(self._tokens.values()).encode())
        return [
            self._binaries / "kube-apiserver",
            f"--etcd-servers={etcd_url}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={self._port}",
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.client_authority.certificate}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._service_account_key}",
            f"--service-account-signing-key-file={self._service_account_key}",
            f"--kubelet-certificate-authority={self.server_authority.certificate}",
            f"--kubelet-client-certificate={kubelet_client.certificate}",
            f"--kubelet-client-key={kubelet_client.key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={self.front_proxy_authority}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={proxy_client.certificate}",
            f"--proxy-client-key-file={proxy_client.key}",
            *self._audit_flags(),
        ]

    def _audit_flags(self) -> list[str]:
        if not self._audited:
            return []
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],  # a watch has begun long before it is complete
            "rules": [{"level": "Metadata", "users": self._audited}, {"level": "None"}],
        }
        path = self._folder / "audit-policy.yaml"
        path.write_text(yaml.safe_dump(policy))
        return [f"--audit-policy-file={path}", f"--audit-log-path={self.audit_log}"]

    def _start_controller_manager(self) -> None:
        client = self.client_authority.issue(
            "kube-controller-manager", "system:kube-controller-manager"
        )
        kubeconfig = self.write_kubeconfig("kube-controller-manager", client)
        times = self._times
        downscale = times.downscale_stabilization
        readiness_delay = times.initial_readiness_delay
        self._keeper.start(
            "kube-controller-manager",
            [
                self._binaries / "kube-controller-manager",
                f"--kubeconfig={kubeconfig}",
                f"--bind-address={LOOPBACK}",
                f"--secure-port={free_port()}",
                f"--cert-dir={self._certificates}",
                "--leader-elect=false",
                f"--controllers={CONTROLLERS}",
                "--use-service-account-credentials",
                f"--service-account-private-key-file={self._service_account_key}",
                f"--root-ca-file={self.server_authority.certificate}",
                f"--horizontal-pod-autoscaler-sync-period={times.sync}s",
                f"--horizontal-pod-autoscaler-downscale-stabilization={downscale}s",
                f"--horizontal-pod-autoscaler-cpu-initialization-period={times.cpu_initialization}s",
                f"--horizontal-pod-autoscaler-initial-readiness-delay={readiness_delay}s",
            ],
        )

    def _start_scheduler(self) -> None:
        client = self.client_authority.issue("kube-scheduler", "system:kube-scheduler")
        kubeconfig = self.write_kubeconfig("kube-scheduler", client)
        self._keeper.start(
            "kube-scheduler",
            [
                self._binaries / "kube-scheduler",
                f"--kubeconfig={kubeconfig}",
                f"--bind-address={LOOPBACK}",
                f"--secure-port={free_port()}",
                f"--cert-dir={self._certificates}",
                "--leader-elect=false",
            ],
        )

    def is_ready(self) -> bool:
        """It answers, and so does its etcd."""
        try:
            return self.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def get(self, path: str) -> httpx.Response:
        """One GET as the administrator.

        Raises:
            httpx.TransportError: nothing answers.
        """
        context = ssl.create_default_context(cafile=self.server_authority.certificate)
        context.load_cert_chain(self.admin.certificate, self.admin.key)
        return httpx.get(f"{self.url}{path}", verify=context, timeout=5)

    def service_account_ready(self, namespace: str) -> bool:
        """Pods are refused in a namespace until its `default` service account has been made."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        return self.get(path).status_code == httpx.codes.OK

    def node_ready(self, name: str) -> bool:
        """The node exists and its Ready condition is True."""
        return self._condition(f"/api/v1/nodes/{name}", "Ready")

    def crd_established(self, name: str) -> bool:
        """The API server serves the kind of a CustomResourceDefinition."""
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        return self._condition(path, "Established")

    def api_available(self, name: str) -> bool:
        """The aggregator reaches the API that an APIService names."""
        path = f"/apis/apiregistration.k8s.io/v1/apiservices/{name}"
        return self._condition(path, "Available")

    def _condition(self, path: str, kind: str) -> bool:
        answer = self.get(path)
        if answer.status_code != httpx.codes.OK:
            return False
        conditions = answer.json().get("status", {}).get("conditions") or []  # null at first
        return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def answers(url: str) -> bool:
    """Whether a GET of the URL is answered with 200."""
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
