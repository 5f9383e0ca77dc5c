"""Kubernetes Events."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from textmod_operator import naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.errors import ClusterError
from textmod_operator.kube.client import Api

logger = logging.getLogger(__name__)


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

    One that is refused (by a quota of the namespace, or because that is being terminated) is logged
    and lost: the conditions say the same, and what it is about has happened.

    Args:
        identity: the process that reports it.
        severity: Normal or Warning.
        message: cut at 1,024 characters, the limit of the API.
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
    try:
        client.request("POST", f"/api/v1/namespaces/{namespace}/events", "Event", body=body)
    except ClusterError as error:
        logger.warning(
            "%s/%s: could not post Event %s: %s", namespace, about.metadata.name, reason, error
        )
