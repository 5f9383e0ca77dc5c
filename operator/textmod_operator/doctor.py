"""Whether the operator's installation works, as seen from inside the cluster. Nothing is written.

`helm test` runs it, and so may anybody: `kubectl exec deploy/… -- textmod-operator doctor`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import API_VERSION, PLURAL
from textmod_operator.errors import ClusterError
from textmod_operator.kube.cluster import LEASE_SECONDS, Cluster

METRICS_API = "external.metrics.k8s.io/v1beta1"


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what is wrong with it; None: nothing."""

    what: str
    problem: str | None

    def __str__(self) -> str:
        return f"ok      {self.what}" if self.problem is None else f"FAILED  {self.problem}"


def examine(
    cluster: Cluster,
    lease_namespace: str | None,
    *,
    metrics_api: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Finding]:
    """Looks at one thing after the other; waits until the leader has renewed, a few seconds.

    Args:
        lease_namespace: where the operator's Lease is; None: it runs without one.
        metrics_api: whether external.metrics.k8s.io should be the operator's.
    """
    yield _examined("the API textmoderation.dev is served", lambda: _crd(cluster))
    if lease_namespace is not None:
        yield _examined(
            f"a replica leads (Lease {lease_namespace}/{naming.FIELD_MANAGER})",
            lambda: _lease(cluster, lease_namespace, sleep),
        )
    if metrics_api:
        yield _examined(
            f"the API server passes {METRICS_API} on to the operator",
            lambda: _metrics(cluster),
        )


def _examined(what: str, look: Callable[[], str | None]) -> Finding:
    try:
        return Finding(what, look())
    except ClusterError as error:
        return Finding(what, f"{what}: {error}")


def _crd(cluster: Cluster) -> str | None:
    if PLURAL in (cluster.resources(API_VERSION) or ()):
        return None
    return f"the cluster serves no {API_VERSION}: install the CRD (the chart's crds.enabled)"


def _lease(cluster: Cluster, namespace: str, sleep: Callable[[float], None]) -> str | None:
    """Clocks differ from machine to machine: what is looked for is a change of renewTime."""
    first = cluster.lease_renewal(namespace)
    for _ in range(2 * LEASE_SECONDS):
        sleep(1)
        last = cluster.lease_renewal(namespace)
        if last is not None and last != first:
            return None
    state = "is not there" if first is None else "is not renewed"
    return (
        f"Lease {namespace}/{naming.FIELD_MANAGER} {state}: no replica leads; look at the pods of "
        "the operator and their logs"
    )


def _metrics(cluster: Cluster) -> str | None:
    served = cluster.resources(METRICS_API)
    if served is None:
        return (
            f"the cluster serves no {METRICS_API}: install the APIService "
            "(the chart's metricsApi.apiService.create)"
        )
    if naming.METRIC not in served:
        return (
            f"{METRICS_API} has no metric {naming.METRIC}: another adapter (KEDA?) serves that "
            f"API; `kubectl get apiservice {naming.METRICS_API_SERVICE}` says which"
        )
    return None
