"""Server-side apply and deletion of owned objects, under one field manager.

Fields that the operator does not set belong to their setters. Every write carries preconditions:

- a create succeeds only if there is no object of that name, so that nothing foreign is adopted;
- an update and a delete name the uid and the resourceVersion that they were decided on.

So a request that was delayed on its way (by a frozen process, or a network that came back) has no
effect on an object that anybody, such as the next leader, has written meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from textmod_operator import naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.desired.kafka_topics import KAFKA_TOPIC
from textmod_operator.desired.scaled_object import SCALED_OBJECT
from textmod_operator.errors import (
    AutoscalingNotReady,
    ClusterError,
    NotAccepted,
    Problem,
    TopicsNotReady,
    WorkloadNotReady,
)
from textmod_operator.kube.cache import OwnedObjects
from textmod_operator.kube.client import APPLY_PATCH, Api, patch
from textmod_operator.kube.resources import owner_uid, path_of, version_of, with_owner
from textmod_operator.state import Manifest, Ref

ATTEMPTS: Final = 4
"""How often one apply or delete is decided again because the object changed meanwhile."""
NONE_YET: Final = "1"
"""A resourceVersion that no object has: an apply with it creates, and conflicts with any object
that is there. (Kubernetes checks it against existing objects only.)"""
REPAIRS: Final = 5
"""How often an object may be repaired at once."""
REPAIR_SECONDS: Final = 30.0
"""How often it may be repaired after that."""


class Applier:
    """Brings owned objects to what their manifests say. Thread-safe.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self, api: Api, owned: OwnedObjects, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._owned = owned
        self._brake = RepairBrake(clock)

    def apply(
        self, manifest: Manifest, owner: api.TextModeration, leader: str | None = None
    ) -> Manifest:
        """Bring an object to what the manifest says; the object as the API server has it.

        Sends nothing when the last apply of the same manifest is still in effect.

        Args:
            leader: written to the object, so that the first apply of every leader changes its
                resourceVersion; None without leader election.

        Raises:
            WorkloadNotReady: Conflict, when an object of that name belongs to somebody else, or
                somebody else keeps changing it; SeldonNotInstalled, when the cluster does not have
                SeldonDeployments.
            AutoscalingNotReady: MetricsUnavailable, when it does not have ScaledObjects.
            TopicsNotReady: StrimziUnavailable, when it does not have KafkaTopics.
            NotAccepted: InvalidSpec, when the API server calls a field invalid.
            ClusterError: the API server refused for another reason.
        """
        ref = Ref.of(manifest)
        wanted = with_owner(manifest, owner)
        if leader is not None:
            wanted = _annotated(wanted, naming.LEADER_ANNOTATION, leader)
        if (live := self._owned.as_applied(ref, wanted)) is not None:
            return live
        if self._owned.is_drift(ref, wanted) and not self._brake.allows(ref):
            raise WorkloadNotReady(
                "Conflict",
                f"{ref.kind} {ref.name} is changed by somebody else as often as the operator "
                "repairs it: its metadata.managedFields name who; stop that, or give it up to them",
            )
        body = self._server_side_apply(ref, wanted, owner.metadata.uid)
        return self._owned.applied(ref, wanted, body)

    def dry_run(self, manifest: Manifest) -> Manifest:
        """The object as an apply would leave it; nothing is written."""
        query = [("fieldManager", naming.FIELD_MANAGER), ("force", "true"), ("dryRun", "All")]
        return patch(self._api, Ref.of(manifest), manifest, APPLY_PATCH, query=query)

    def is_terminating(self, namespace: str) -> bool:
        """Whether a namespace takes no new objects because it is being deleted. Nothing is written;
        the namespace itself is not read, for which the operator would need a right of its own.

        Raises:
            ClusterError: the API server could not be reached.
        """
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"generateName": f"{naming.FIELD_MANAGER}-"},
        }
        query = [("fieldManager", naming.FIELD_MANAGER), ("dryRun", "All")]
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        try:
            self._api.request("POST", path, "ConfigMap", body=body, query=query)
        except ClusterError as error:
            if error.status == 0:
                raise
            return error.status == 403 and "being terminated" in error.message
        return False

    def delete(self, ref: Ref) -> None:
        """Delete an object that was made for a TextModeration and, in the background, what it owns.

        Absent counts as deleted, and so does an object of the same name that is another one.

        Raises:
            ClusterError: the API server refused; 409 when the object does not stop changing.
        """
        live = known = self._owned.live(ref) or self.get(ref)
        for attempt in range(1, ATTEMPTS + 1):
            if live is None or known is None or owner_uid(live) != owner_uid(known):
                return
            metadata = live["metadata"]
            if metadata["uid"] != known["metadata"]["uid"]:
                return
            options = {
                "propagationPolicy": "Background",
                "preconditions": {
                    "uid": metadata["uid"],
                    "resourceVersion": metadata["resourceVersion"],
                },
            }
            try:
                self._api.request(
                    "DELETE", path_of(ref), ref.kind, body=options, absent_is_none=True
                )
            except ClusterError as error:
                if error.status != 409 or attempt == ATTEMPTS:
                    raise
                live = self.get(ref)
            else:
                self._owned.gone(ref, version_of(live))
                return

    def get(self, ref: Ref) -> Manifest | None:
        """Read one object from the API server, or None."""
        return self._api.request("GET", path_of(ref), ref.kind, absent_is_none=True)

    def _server_side_apply(self, ref: Ref, manifest: Manifest, uid: str) -> Manifest:
        live = self._owned.live(ref)
        if live is not None and owner_uid(live) != uid:
            live = self.get(ref)  # the cache may be late
        for attempt in range(1, ATTEMPTS + 1):
            _refuse_foreign(ref, live, uid)
            try:
                return self._patch(ref, manifest, live)
            except ClusterError as error:
                not_installed = _NOT_INSTALLED.get(ref.kind)
                if error.status == 404 and not_installed is not None:
                    raise not_installed() from error
                if error.status not in (409, 422) or attempt == ATTEMPTS:
                    raise
                refusal = error
            live = self.get(ref)
            if refusal.status == 422:
                _refuse_foreign(ref, live, uid)
                live = self._replace(ref, manifest, live, refusal)
        raise AssertionError("unreachable")

    def _patch(self, ref: Ref, manifest: Manifest, live: Manifest | None) -> Manifest:
        """Create the object if `live` is None; else update exactly that object, and take back
        fields of ours that somebody else has set."""
        query = [("fieldManager", naming.FIELD_MANAGER)]
        if live is not None:
            query.append(("force", "true"))
        return patch(self._api, ref, _conditional(manifest, live), APPLY_PATCH, query=query)

    def _replace(
        self, ref: Ref, manifest: Manifest, live: Manifest | None, refusal: ClusterError
    ) -> Manifest:
        """Replace whole lists. When somebody edited the key of a list entry (a Service's port), an
        apply would add ours beside it."""
        try:
            if live is None:
                raise refusal
            query = [("fieldManager", naming.FIELD_MANAGER)]
            return patch(self._api, ref, _conditional(manifest, live), query=query)
        except ClusterError as error:
            if error.status != 422:
                raise
            raise NotAccepted(
                "InvalidSpec", f"the API server refuses {ref.kind} {ref.name}: {error.message}"
            ) from error


class RepairBrake:
    """Limits how often an object is repaired that somebody else keeps changing: a token bucket for
    each. Thread-safe enough: one object is in one pass at a time.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[Ref, tuple[float, float]] = {}
        """Repairs left, and when that was so."""

    def allows(self, ref: Ref) -> bool:
        """Whether the object may be repaired now; counts it if so."""
        now = self._clock()
        for other, (left, since) in list(self._buckets.items()):
            if left + (now - since) / REPAIR_SECONDS >= REPAIRS:
                self._buckets.pop(other, None)
        left, since = self._buckets.get(ref, (float(REPAIRS), now))
        left = min(float(REPAIRS), left + (now - since) / REPAIR_SECONDS)
        allowed = left >= 1.0
        self._buckets[ref] = (left - 1.0 if allowed else left, now)
        return allowed


def _refuse_foreign(ref: Ref, live: Manifest | None, uid: str) -> None:
    if live is not None and owner_uid(live) != uid:
        raise WorkloadNotReady(
            "Conflict",
            f"{ref.kind} {ref.name} exists and was not made for this TextModeration: delete it "
            "or rename this object",
        )


def _conditional(manifest: Manifest, live: Manifest | None) -> Manifest:
    """The manifest, for this very reading of the object only."""
    if live is None:
        conditions = {"resourceVersion": NONE_YET}
    else:
        metadata = live["metadata"]
        conditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    return manifest | {"metadata": manifest["metadata"] | conditions}


def _annotated(manifest: Manifest, name: str, value: str) -> Manifest:
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), name: value}
    return manifest | {"metadata": metadata | {"annotations": annotations}}


def _seldon_not_installed() -> WorkloadNotReady:
    return WorkloadNotReady(
        "SeldonNotInstalled",
        "this cluster has no SeldonDeployments: install Seldon Core 1.17, or set serving.platform "
        "to Deployment; either is noticed without further help",
    )


def _keda_not_installed() -> AutoscalingNotReady:
    return AutoscalingNotReady(
        "MetricsUnavailable",
        "this cluster has no ScaledObjects: install KEDA 2, or set autoscaling.metricsProvider to "
        "Builtin; either is noticed without further help",
    )


def strimzi_not_installed() -> TopicsNotReady:
    """The cluster has no KafkaTopics."""
    return TopicsNotReady(
        "StrimziUnavailable",
        "this cluster has no KafkaTopics: install Strimzi, which the operator notices without a "
        "restart",
    )


_NOT_INSTALLED: Final[dict[str, Callable[[], Problem]]] = {
    "SeldonDeployment": _seldon_not_installed,
    SCALED_OBJECT: _keda_not_installed,
    KAFKA_TOPIC: strimzi_not_installed,
}
"""The kinds that a cluster may not have, and the problem that this is."""
