"""The objects that the local cluster itself needs. Pure: each function returns dictionaries."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]

SYSTEM = "kube-system"


def as_list(objects: Iterable[Json]) -> str:
    """What `kubectl apply -f -` takes."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def cluster_role(name: str, rules: Sequence[Json]) -> Json:
    """A ClusterRole with these rules."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": list(rules),
    }


def role(name: str, rules: Sequence[Json], *, namespace: str) -> Json:
    """A Role of the namespace with these rules."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": list(rules),
    }


def cluster_role_binding(name: str, role: str, *, user: str | None = None) -> Json:
    """Binds a ClusterRole to a user in all namespaces; without a user it has no subjects."""
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        **({"subjects": subjects} if user else {}),
    }


def role_binding(name: str, role: str, *, namespace: str, user: str) -> Json:
    """Gives a user a Role of the namespace."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


def aggregated_api(group: str, version: str, service: str, port: int, ca: Path) -> list[Json]:
    """An APIService that a process on this machine answers on `port`.

    Its Service is an ExternalName to localhost, so that it takes no kube-proxy to reach it. The
    serving certificate must be good for ``<service>.kube-system.svc``.
    """
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": service, "namespace": SYSTEM},
            "spec": {
                "type": "ExternalName",
                "externalName": "localhost",
                "ports": [{"port": port}],
            },
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}"},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": {"name": service, "namespace": SYSTEM, "port": port},
                "caBundle": base64.b64encode(ca.read_bytes()).decode(),
            },
        },
    ]


def persistent_volume(name: str, folder: Path) -> Json:
    """A volume that a claim without a StorageClass is bound to; this cluster has no provisioner."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder), "type": "DirectoryOrCreate"},
        },
    }
