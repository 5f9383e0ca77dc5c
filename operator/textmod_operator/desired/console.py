"""The review console: what is made for `spec.review.console`."""

from __future__ import annotations

from dataclasses import dataclass

from textmod_operator import naming
from textmod_operator.api.quantity import quantity_text
from textmod_operator.api.review import Console
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.console_network import (
    ingress,
    metadata,
    network_policy,
    service,
    url,
)
from textmod_operator.desired.console_pod import DATA_VOLUME, pod_template
from textmod_operator.state import Capabilities, KafkaConnection, Manifest


@dataclass(frozen=True)
class ConsoleSecrets:
    """What a pass needs to know of the Secrets that a review console reads; no secret."""

    digest: str = ""
    """Changes with their content."""
    database_port: int | None = None
    """Of the database's URL; None: the URL names none."""


def wanted(tm: TextModeration) -> Console | None:
    """The console that the spec asks for; None: it asks for none."""
    review = tm.spec.review
    return review.console if review is not None and review.console.enabled else None


def console_url(tm: TextModeration) -> str | None:
    """Where people reach the console; None without one."""
    console = wanted(tm)
    return None if console is None else url(tm, console)


def console_objects(
    tm: TextModeration,
    connection: KafkaConnection,
    capabilities: Capabilities,
    secrets: ConsoleSecrets,
) -> tuple[Manifest, ...]:
    """Everything that should exist for the console, its workload last; nothing when there is none.

    Args:
        connection: how the brokers are reached (no secret of it goes into an object).
        capabilities: what the cluster offers, and the operator's settings for consoles.
        secrets: what is known of the Secrets that the console reads.
    """
    console = wanted(tm)
    if console is None:
        return ()
    settings = capabilities.console
    objects = [_service_account(tm), service(tm)]
    if console.ingress is not None:
        objects.append(ingress(tm, console.ingress))
    if settings.network_policy:
        port = secrets.database_port
        objects.append(network_policy(tm, console, connection, settings, port))
    if console.replicas > 1:
        objects.append(_disruption_budget(tm))
    template = pod_template(tm, console, connection, capabilities, secrets.digest)
    if console.database is None:
        objects.append(_stateful_set(tm, console, template))
    else:
        objects.append(_deployment(tm, console, template))
    return tuple(objects)


def _service_account(tm: TextModeration) -> Manifest:
    """The console's identity at the API server. Its pods mount the token themselves."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(tm),
        "automountServiceAccountToken": False,
    }


def _stateful_set(tm: TextModeration, console: Console, template: Manifest) -> Manifest:
    """One pod with a volume for SQLite. Never two pods on one file, and the volume outlives what
    made it, unless the object's topics don't either."""
    goes_too = tm.spec.topics.deletion_policy == "Delete"
    storage = console.storage
    claim: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": quantity_text(storage.size)}},
    }
    if storage.storage_class_name:
        claim["storageClassName"] = storage.storage_class_name
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(tm),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 3,
            "serviceName": naming.console(tm),
            # With the other policy, a revision that never gets ready blocks the one that mends it.
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": naming.console_pod_labels(tm)},
            "template": template,
            "volumeClaimTemplates": [
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": DATA_VOLUME, "labels": naming.console_pod_labels(tm)},
                    "spec": claim,
                }
            ],
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Delete" if goes_too else "Retain",
                "whenScaled": "Retain",
            },
        },
    }


def _deployment(tm: TextModeration, console: Console, template: Manifest) -> Manifest:
    """Replicas that share a database."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(tm),
        "spec": {
            "replicas": console.replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": naming.console_pod_labels(tm)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": template,
        },
    }


def _disruption_budget(tm: TextModeration) -> Manifest:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(tm),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": naming.console_pod_labels(tm)},
        },
    }
