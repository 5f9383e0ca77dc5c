"""Server-side apply and deletion of owned objects, under one field manager.

Fields that the operator does not set belong to whoever does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from textmod_operator import naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.desired.scaled_object import SCALED_OBJECT
from textmod_operator.errors import (
    AutoscalingNotReady,
    ClusterError,
    NotAccepted,
    Problem,
    WorkloadNotReady,
)
from textmod_operator.kube.cache import OwnedObjects
from textmod_operator.kube.client import APPLY_PATCH, Api, patch
from textmod_operator.kube.resources import owner_uid, path_of, with_owner
from textmod_operator.state import Manifest, Ref


class Applier:
    """Brings owned objects to what their manifests say. Thread-safe."""

    def __init__(self, api: Api, owned: OwnedObjects) -> None:
        self._api = api
        self._owned = owned

    def apply(self, manifest: Manifest, owner: api.TextModeration) -> Manifest:
        """Bring an object to what the manifest says; the object as the API server has it.

        Sends nothing when the last apply of the same manifest is still in effect.

        Raises:
            WorkloadNotReady: Conflict, when an object of that name belongs to somebody else;
                SeldonNotInstalled, when the cluster does not have SeldonDeployments.
            AutoscalingNotReady: MetricsUnavailable, when it does not have ScaledObjects.
            NotAccepted: InvalidSpec, when the API server calls a field invalid.
            ClusterError: the API server refused for another reason.
        """
        ref = Ref.of(manifest)
        wanted = with_owner(manifest, owner)
        if (live := self._owned.as_applied(ref, wanted)) is not None:
            return live
        body = self._server_side_apply(ref, wanted, owner.metadata.uid)
        return self._owned.applied(ref, wanted, body)

    def dry_run(self, manifest: Manifest) -> Manifest:
        """The object as an apply would leave it; nothing is written."""
        query = [("fieldManager", naming.FIELD_MANAGER), ("force", "true"), ("dryRun", "All")]
        return patch(self._api, Ref.of(manifest), manifest, APPLY_PATCH, query=query)

    def delete(self, ref: Ref) -> None:
        """Delete an object and, in the background, what it owns. Absent counts as deleted."""
        options = {"propagationPolicy": "Background"}
        self._api.request("DELETE", path_of(ref), ref.kind, body=options, absent_is_none=True)
        self._owned.gone(ref)

    def get(self, ref: Ref) -> Manifest | None:
        """Read one object from the API server, or None."""
        return self._api.request("GET", path_of(ref), ref.kind, absent_is_none=True)

    def _server_side_apply(self, ref: Ref, manifest: Manifest, uid: str) -> Manifest:
        query = [("fieldManager", naming.FIELD_MANAGER)]
        try:
            return patch(self._api, ref, manifest, APPLY_PATCH, query=query)
        except ClusterError as error:
            not_installed = _NOT_INSTALLED.get(ref.kind)
            if error.status == 404 and not_installed is not None:
                raise not_installed() from error
            if error.status not in (409, 422):
                raise
            refusal = error
        # Somebody else set a field of ours. On an object of ours that is drift, and is undone; an
        # object of anybody else is left alone.
        live = self.get(ref)
        if live is not None and owner_uid(live) != uid:
            raise WorkloadNotReady(
                "Conflict",
                f"{ref.kind} {ref.name} exists and was not made for this TextModeration: delete it "
                "or rename this object",
            )
        if refusal.status == 422:
            self._replace(ref, manifest, live, refusal)
        query.append(("force", "true"))
        return patch(self._api, ref, manifest, APPLY_PATCH, query=query)

    def _replace(
        self, ref: Ref, manifest: Manifest, live: Manifest | None, refusal: ClusterError
    ) -> None:
        """Replace whole lists. When somebody edited the key of a list entry (a Service's port), an
        apply would add ours beside it."""
        try:
            if live is None:
                raise refusal
            query = [("fieldManager", naming.FIELD_MANAGER)]
            patch(self._api, ref, manifest, query=query)
        except ClusterError as error:
            if error.status != 422:
                raise
            raise NotAccepted(
                "InvalidSpec", f"the API server refuses {ref.kind} {ref.name}: {error.message}"
            ) from error


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


_NOT_INSTALLED: Final[dict[str, Callable[[], Problem]]] = {
    "SeldonDeployment": _seldon_not_installed,
    SCALED_OBJECT: _keda_not_installed,
}
"""The kinds that a cluster may not have, and the problem that this is."""
