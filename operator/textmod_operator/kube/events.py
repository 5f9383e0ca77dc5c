"""Kubernetes Events."""

from __future__ import annotations

from datetime import UTC, datetime

from textmod_operator import naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.kube.client import Api


def post_event(
    client: Api,
    identity: str,
    about: api.TextModeration,
    *,
    severity: str,
    reason: str,
    message: str,
) -> None:
    """Post an Event about an object.

    Args:
        identity: the process that reports it.
        severity: Normal or Warning.
        message: cut at 1,024 characters, the limit of the API.

    Raises:
        ClusterError: the API server refused.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    namespace = about.metadata.namespace
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{about.metadata.name}.", "namespace": namespace},
        "involvedObject": {
            "apiVersion": api.API_VERSION,
            "kind": api.KIND,
            "namespace": namespace,
            "name": about.metadata.name,
            "uid": about.metadata.uid,
        },
        "type": severity,
        "reason": reason,
        "message": message[:1024],
        "source": {"component": naming.FIELD_MANAGER},
        "reportingComponent": naming.FIELD_MANAGER,
        "reportingInstance": identity,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    client.request("POST", f"/api/v1/namespaces/{namespace}/events", "Event", body=body)
