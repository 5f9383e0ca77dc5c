"""The review console's network: Service, Ingress, NetworkPolicy."""

from __future__ import annotations

import re
from typing import Final

from textmod_operator import naming
from textmod_operator.api.review import Console, Ingress
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.console_webhooks import port_of
from textmod_operator.desired.console_webhooks import ports as ports_of_webhooks
from textmod_operator.settings import ConsoleSettings
from textmod_operator.state import KafkaConnection, Manifest

_DNS: Final = (53, 5353)
"""The Service's port, and the one behind it on OpenShift, which is the one that policies see."""
_API_SERVER: Final = (443, 6443)
"""The Service's port and the usual one behind it; webhooks and token endpoints are on 443 too."""
_POSTGRES: Final = 5432
_NODE_PORTS: Final = (30000, 32767)
"""Brokers that are reached on a port of the nodes each have one of their own."""


def service(tm: TextModeration) -> Manifest:
    """The pages, and what the operator and Prometheus read."""
    ports = (("http", naming.CONSOLE_PORT), ("internal", naming.CONSOLE_INTERNAL_PORT))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(tm),
        "spec": {
            "selector": naming.console_pod_labels(tm),
            "ports": [
                {"name": name, "port": port, "targetPort": port, "protocol": "TCP"}
                for name, port in ports
            ],
        },
    }


def ingress(tm: TextModeration, asked: Ingress) -> Manifest:
    """The pages under a host of their own."""
    backend = {"service": {"name": naming.console(tm), "port": {"name": "http"}}}
    spec: Manifest = {
        "rules": [
            {
                "host": asked.host,
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
            }
        ]
    }
    if asked.class_name:
        spec["ingressClassName"] = asked.class_name
    if asked.tls_secret_name:
        spec["tls"] = [{"hosts": [asked.host], "secretName": asked.tls_secret_name}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {**metadata(tm), "annotations": dict(asked.annotations)},
        "spec": spec,
    }


def url(tm: TextModeration, console: Console) -> str:
    """Where people reach the console: its host, or its Service inside the cluster."""
    if asked := console.ingress:
        return f"{'https' if asked.tls_secret_name else 'http'}://{asked.host}/"
    return f"http://{naming.console(tm)}.{tm.metadata.namespace}.svc:{naming.CONSOLE_PORT}/"


def network_policy(
    tm: TextModeration,
    console: Console,
    connection: KafkaConnection,
    settings: ConsoleSettings,
    database_port: int | None,
) -> Manifest:
    """The pages are open to the cluster, the internal port to the operator and the scrapers; egress
    is limited to DNS, the API server, the brokers, the database and the webhooks.

    Addresses of brokers and databases can't be selected, so egress is limited by port.
    """
    internal = [*settings.metrics_from]
    if settings.operator_namespace is not None:
        here = {"kubernetes.io/metadata.name": settings.operator_namespace}
        internal.insert(0, {"namespaceSelector": {"matchLabels": here}})
    outgoing = [*_API_SERVER, *_broker_ports(connection), *_provider_ports(connection)]
    outgoing += ports_of_webhooks(console)
    if console.database is not None:
        outgoing.append(database_port or _POSTGRES)
    ports: list[Manifest] = [
        *({"port": port, "protocol": protocol} for port in _DNS for protocol in ("UDP", "TCP")),
        *({"port": port, "protocol": "TCP"} for port in sorted(set(outgoing))),
    ]
    first, last = _NODE_PORTS
    if any(first <= port <= last for port in _broker_ports(connection)):
        ports = [one for one in ports if not first <= one["port"] <= last]
        ports.append({"port": first, "endPort": last, "protocol": "TCP"})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(tm),
        "spec": {
            "podSelector": {"matchLabels": naming.console_pod_labels(tm)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"ports": [{"port": naming.CONSOLE_PORT, "protocol": "TCP"}]},
                {
                    "ports": [{"port": naming.CONSOLE_INTERNAL_PORT, "protocol": "TCP"}],
                    "from": internal,
                },
            ],
            "egress": [{"ports": ports}],
        },
    }


def metadata(tm: TextModeration) -> Manifest:
    """Name, namespace and labels of each object made for the console."""
    return {
        "name": naming.console(tm),
        "namespace": tm.metadata.namespace,
        "labels": naming.labels(tm) | naming.console_labels(tm),
    }


def _broker_ports(connection: KafkaConnection) -> list[int]:
    found = re.findall(r":(\d+)(?:,|$)", connection.bootstrap_servers)
    return [int(port) for port in found]


def _provider_ports(connection: KafkaConnection) -> list[int]:
    """Of an OAuth provider that is not on HTTPS's own port."""
    if connection.oauth is None:
        return []
    return [port_of(connection.oauth.token_endpoint_url)]
