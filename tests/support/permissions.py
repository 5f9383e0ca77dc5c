"""What the operator asked of the API server, from the audit log, beside what its chart grants."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from textmod_dev import chart
from textmod_dev.local_cluster import LocalCluster


class Permission(NamedTuple):
    group: str
    resource: str
    verb: str


BOUND_ELSEWHERE = {
    # Role extension-apiserver-authentication-reader in kube-system.
    Permission("", "configmaps", "get"),
    Permission("", "configmaps", "list"),
    Permission("", "configmaps", "watch"),
}


def granted() -> set[Permission]:
    """Return what the chart's rules allow."""
    names = ("cluster-role", "lease-role", "console-grant")
    rules = [rule for name in names for rule in chart.rules(f"{name}-rules.yaml")]
    return set(itertools.chain.from_iterable(map(_permissions, rules)))


def optional() -> set[Permission]:
    """Return what the chart's rules allow only where it is asked for."""
    rules = chart.rules("strimzi-rules.yaml")
    return set(itertools.chain.from_iterable(map(_permissions, rules)))


def used(cluster: LocalCluster) -> set[Permission]:
    """Return what the operator has used since the cluster's start."""
    found = set()
    for event in _requests(cluster):
        about = event["objectRef"]
        resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
        group = about.get("apiGroup", "")
        found.add(Permission(group, resource, event["verb"]))
        # A server-side apply that creates is authorized as both.
        if event["verb"] == "patch" and event["responseStatus"]["code"] == 201:
            found.add(Permission(group, resource, "create"))
    return found


def check_requests(cluster: LocalCluster) -> None:
    """Check that all requests of the operator since the cluster's start are allowed by the chart.

    Raises:
        AssertionError: one was denied, or is allowed by a rule of somebody else's only.
    """
    denied = [
        f"{event['verb']} {event['requestURI']}"
        for event in _requests(cluster)
        if event["annotations"]["authorization.k8s.io/decision"] != "allow"
    ]
    assert not denied, f"the operator was denied: {denied}"
    beyond = used(cluster) - BOUND_ELSEWHERE - granted() - optional()
    assert not beyond, f"the operator used what no rule of the chart grants: {sorted(beyond)}"


def _permissions(rule: dict[str, list[str]]) -> Iterator[Permission]:
    parts: Iterable[list[str]] = (rule["apiGroups"], rule["resources"], rule["verbs"])
    return itertools.starmap(Permission, itertools.product(*parts))


def _requests(cluster: LocalCluster) -> list[dict[str, Any]]:
    """Audit events of the operator, those of discovery left out (everybody may look)."""
    lines = cluster.control_plane.audit_log.read_text().splitlines()
    return [event for event in map(json.loads, lines) if "objectRef" in event]
