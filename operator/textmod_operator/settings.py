"""The operator's own settings: flags and environment of the process, not of an object."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any


def every_address() -> str:
    """What a server in a pod listens on: each of the pod's addresses, of the cluster's family."""
    return "::" if ":" in os.environ.get("KUBERNETES_SERVICE_HOST", "") else "0.0.0.0"  # noqa: S104


@dataclass(frozen=True)
class ConsoleSettings:
    """The operator's settings for all review consoles."""

    image: str = "textmoderation/console:0.1.0"
    """Where an object names none."""
    operator_namespace: str | None = None
    """The operator's own, from which it reads the consoles' figures; None: not known."""
    metrics_from: tuple[dict[str, Any], ...] = ()
    """NetworkPolicy peers that may scrape the consoles."""
    network_policy: bool = True
    """Whether each console gets a NetworkPolicy."""
    webhook_networks: tuple[str, ...] = ()
    """Networks that are not public and that webhooks may lead to, such as 10.0.0.0/8."""

    def __post_init__(self) -> None:
        """Check the networks. Raises ValueError."""
        for network in self.webhook_networks:
            try:
                ip_network(network)
            except ValueError:
                message = (
                    f"--console-webhook-networks names {network}: give networks such as "
                    "10.0.0.0/8 or fd00::/8, without bits of a host"
                )
                raise ValueError(message) from None


@dataclass(frozen=True)
class Settings:
    """What one operator process runs with. Durations are seconds.

    `textmod_operator.__main__` fills it from the command line, whose flags default to the
    TEXTMOD_OPERATOR_* environment variables of the same names.
    """

    namespaces: tuple[str, ...] = ()
    """Watched namespaces; empty means all."""
    metrics_port: int = 6443
    """HTTPS port of the external.metrics.k8s.io API; 0 leaves it out."""
    metrics_address: str = field(default_factory=every_address)
    certificate_folder: Path | None = None
    """Holds tls.crt and tls.key of the metrics API; somebody else renews them."""
    metrics_service: tuple[str, str] | None = None
    """Namespace and name of the metrics API's Service: its certificate is made and renewed here."""
    certificate_interval: float = 30.0
    """Time between two looks at the certificate, and at the front proxy's authority."""
    health_port: int = 8080
    """Port of /healthz, /readyz, /metrics; 0 leaves them out."""
    workers: int = 4
    """Reconciles that run at the same time; one object is never in two of them."""
    lag_interval: float = 2.0
    """Time between two reads of the lag."""
    topics_interval: float = 10.0
    """Time between two looks at the topics of each Kafka cluster: Kafka has no watch."""
    resync_interval: float = 600.0
    """Every object is reconciled at least this often, whatever the watches said."""
    secrets_interval: float = 300.0
    """Objects that use Secrets are reconciled this often, so that a rotated Secret is seen."""
    secrets_doubt_interval: float = 10.0
    """The same while the brokers refuse to tell the lag: the Secret may just be rotated."""
    figures_interval: float = 10.0
    """Lag, rates and scaling figures are written to a status at most this often."""
    keda_url: str | None = None
    """URL of this operator's Service on the health port, as KEDA reaches it, such as
    http://textmod-operator.moderation.svc:8080; None: metricsProvider Keda is refused."""
    strimzi_namespaces: tuple[str, ...] | None = None
    """Where KafkaTopics may be made, for topics.management Strimzi; empty means everywhere, None:
    nowhere. It takes permissions that the chart grants with strimzi.enabled."""
    lease_namespace: str | None = None
    """Namespace of the leader's Lease; None: this process is the only one."""
    identity: str = "textmod-operator"
    """Name of this process in the Lease and in events."""
    console: ConsoleSettings = ConsoleSettings()
    """For all review consoles."""
