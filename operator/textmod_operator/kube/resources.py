"""Kinds, paths and the fields of objects that this package reads. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from textmod_operator import naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.desired.kafka_topics import KAFKA, KAFKA_TOPIC
from textmod_operator.desired.scaled_object import SCALED_OBJECT, SCALED_OBJECT_API_VERSION
from textmod_operator.state import Manifest, ObjectKey, Ref

PLURALS: Final = {
    "TextModeration": api.PLURAL,
    "SeldonDeployment": "seldondeployments",
    "Deployment": "deployments",
    "Service": "services",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    SCALED_OBJECT: "scaledobjects",
    "ConfigMap": "configmaps",
    "StatefulSet": "statefulsets",
    "ServiceAccount": "serviceaccounts",
    "NetworkPolicy": "networkpolicies",
    "Ingress": "ingresses",
    KAFKA: "kafkas",
    KAFKA_TOPIC: "kafkatopics",
    "Pod": "pods",
}
"""The resource of every kind that the operator writes, or reads one of."""

OWNED_KINDS: Final = (
    ("machinelearning.seldon.io/v1", "SeldonDeployment"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    (SCALED_OBJECT_API_VERSION, SCALED_OBJECT),
    ("v1", "ConfigMap"),
    ("apps/v1", "StatefulSet"),
    ("v1", "ServiceAccount"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("networking.k8s.io/v1", "Ingress"),
)
"""(apiVersion, kind) of everything that is made for a TextModeration: watched, repaired, pruned."""
WORKLOAD_KINDS: Final = ("SeldonDeployment", "Deployment")
"""Those that make model pods."""


def prefix(api_version: str) -> str:
    """The path that every resource of a group and version starts with."""
    return "/api/v1" if api_version == "v1" else f"/apis/{api_version}"


def path_of(ref: Ref) -> str:
    """The path of one object."""
    return f"{prefix(ref.api_version)}/namespaces/{ref.namespace}/{PLURALS[ref.kind]}/{ref.name}"


def scopes(namespaces: tuple[str, ...]) -> list[str]:
    """The path segments that select these namespaces; one empty segment for all of them."""
    return [f"/namespaces/{name}" for name in namespaces] or [""]


def version_of(body: Manifest) -> int:
    """The resourceVersion. Kubernetes compares them as whole numbers (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])


def owner_key(body: Manifest) -> ObjectKey | None:
    """The TextModeration that an object was made for, by its label."""
    metadata = body["metadata"]
    labels = metadata.get("labels") or {}
    name = labels.get(naming.NAME_LABEL)
    namespace = metadata["namespace"]
    if body["kind"] == KAFKA_TOPIC:  # all else is in the namespace of its owner, whatever it says
        namespace = labels.get(naming.NAMESPACE_LABEL) or namespace
    return ObjectKey(namespace, name) if name else None


def owner_uid(body: Manifest) -> str | None:
    """The uid of the TextModeration in the ownerReferences, or None. A KafkaTopic has it in a
    label: see `naming.OWNER_LABEL`."""
    if body["kind"] == KAFKA_TOPIC:
        return (body["metadata"].get("labels") or {}).get(naming.OWNER_LABEL)
    references: Iterable[Manifest] = body["metadata"].get("ownerReferences") or ()
    return next((ref["uid"] for ref in references if ref.get("kind") == api.KIND), None)


def with_owner(manifest: Manifest, owner: api.TextModeration) -> Manifest:
    """The manifest with `owner` as its controller, so that garbage collection deletes it.

    A KafkaTopic keeps its label instead, and is deleted by `deletion` alone.
    """
    if manifest["kind"] == KAFKA_TOPIC:
        return manifest
    reference = {
        "apiVersion": api.API_VERSION,
        "kind": api.KIND,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [reference]}}
