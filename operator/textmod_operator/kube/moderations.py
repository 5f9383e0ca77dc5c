"""TextModerations: listed, and patched in their status, metadata and scale."""

from __future__ import annotations

from textmod_operator.api import v1alpha1 as api
from textmod_operator.errors import ClusterError
from textmod_operator.kube.client import Api, patch
from textmod_operator.kube.resources import prefix, scopes
from textmod_operator.state import Manifest, ObjectKey, Ref


class Moderations:
    """Thread-safe; keeps nothing."""

    def __init__(self, client: Api) -> None:
        self._api = client

    def keys(self, namespaces: tuple[str, ...]) -> set[ObjectKey]:
        """List the TextModerations that exist now.

        Args:
            namespaces: where; empty means all.
        """
        paths = [f"{prefix(api.API_VERSION)}{scope}/{api.PLURAL}" for scope in scopes(namespaces)]
        lists = [self._api.request("GET", path, api.KIND) or {} for path in paths]
        found = (item["metadata"] for listed in lists for item in listed.get("items") or ())
        return {ObjectKey(metadata["namespace"], metadata["name"]) for metadata in found}

    def patch_status(self, key: ObjectKey, status: Manifest) -> Manifest | None:
        """Merge into the status (None removes a field); the object afterwards, None when it is
        gone."""
        return self._merge(key, {"status": status}, "/status")

    def patch_metadata(self, key: ObjectKey, metadata: Manifest) -> Manifest | None:
        """Merge into the metadata; the object afterwards, None when it is gone."""
        return self._merge(key, {"metadata": metadata})

    def scale(self, key: ObjectKey, replicas: int) -> None:
        """Set spec.replicas through the scale subresource, as an autoscaler does."""
        self._merge(key, {"spec": {"replicas": replicas}}, "/scale")

    def _merge(self, key: ObjectKey, body: Manifest, subresource: str = "") -> Manifest | None:
        ref = Ref(api.API_VERSION, api.KIND, key.namespace, key.name)
        try:
            return patch(self._api, ref, body, subresource=subresource)
        except ClusterError as error:
            if error.status != 404:
                raise
            return None
