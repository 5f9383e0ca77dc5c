"""Restarts the pods of a stream that Seldon's executor has stopped reading.

Once its brokers were away the executor closes its consumer and stays Ready: nothing but a restart
brings it back. Our own worker recovers by itself, or its liveness probe ends it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.kube.cluster import Cluster
from textmod_operator.state import ObjectKey, ScalingSeen, WorkloadSeen

BACK_OFF: Final = timedelta(minutes=10)
"""From one restart to the next."""


def restart_due(
    tm: TextModeration, workload: WorkloadSeen | None, scaling: ScalingSeen | None, now: datetime
) -> bool:
    """Whether the pods are to be restarted now. Pure."""
    if tm.spec.serving.streaming != "SeldonExecutor" or scaling is None or not scaling.standing:
        return False
    if workload is None or not any(pod.ready for pod in workload.pods):
        return False
    last = _stamp(tm.metadata.annotations.get(naming.RESTARTED_ANNOTATION))
    return last is None or now - last >= BACK_OFF


def restart(tm: TextModeration, cluster: Cluster, now: datetime) -> None:
    """Ask for a rollout of the same pods, by an annotation that is part of their revision."""
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    key = ObjectKey(tm.metadata.namespace, tm.metadata.name)
    annotations = {naming.RESTARTED_ANNOTATION: stamp}
    cluster.patch_metadata(key, {"annotations": annotations}, tm.metadata.uid)
    cluster.post_event(
        tm,
        "Warning",
        "Restarted",
        "Seldon's executor reads nothing although messages wait, and does not recover by itself: "
        f"its pods are restarted, once in {BACK_OFF.seconds // 60} minutes at most",
    )


def _stamp(text: str | None) -> datetime | None:
    """A time as `restart` wrote it; anything else counts as none."""
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
