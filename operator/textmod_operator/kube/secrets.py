"""Secrets, and the APIService that trusts what one of them holds."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.errors import ClusterError
from textmod_operator.kube.client import MERGE_PATCH, Api
from textmod_operator.kube.resources import with_owner
from textmod_operator.state import Manifest


class Secrets:
    """Reads and updates Secrets. Thread-safe; keeps nothing."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def read(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """The data of a Secret, or None when there is no such Secret."""
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        body = self._api.request("GET", path, "Secret", absent_is_none=True)
        return None if body is None else _decoded(body)

    def create(self, owner: TextModeration, name: str, data: Mapping[str, bytes]) -> None:
        """Create a Secret that is deleted with its owner; one that is there stays as it is.

        Raises:
            ClusterError: the API server refused.
        """
        namespace = owner.metadata.namespace
        body = with_owner(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "Opaque",
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": naming.labels(owner),
                },
                "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
            },
            owner,
        )
        query = [("fieldManager", naming.FIELD_MANAGER)]
        try:
            path = f"/api/v1/namespaces/{namespace}/secrets"
            self._api.request("POST", path, "Secret", body=body, query=query)
        except ClusterError as error:
            if error.status != 409:
                raise

    def update(
        self,
        namespace: str,
        name: str,
        change: Callable[[Mapping[str, bytes]], Mapping[str, bytes]],
    ) -> Mapping[str, bytes]:
        """Set a Secret's data to `change(data)`, and return that.

        Sends nothing when `change` returns its argument. After a conflict the Secret is read and
        changed again.

        Raises:
            ClusterError: 404 when there is no such Secret; or another refusal.
        """
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        while True:
            body = self._api.request("GET", path, "Secret") or {}
            data = _decoded(body)
            wanted = change(data)
            if wanted is data:
                return data
            patch = {
                "metadata": {"resourceVersion": body["metadata"]["resourceVersion"]},
                "data": {k: base64.b64encode(v).decode() for k, v in wanted.items()},
            }
            try:
                self._merge(path, "Secret", patch)
            except ClusterError as error:
                if error.status != 409:
                    raise
                continue
            return wanted

    def trust(self, api_service: str, namespace: str, service: str, ca_pem: bytes) -> bool:
        """Make an APIService trust the authorities in `ca_pem`; whether it did already.

        An APIService that does not exist, or that another Service answers, is left alone and
        counts as done.

        Raises:
            ClusterError: the API server refused.
        """
        path = f"/apis/apiregistration.k8s.io/v1/apiservices/{api_service}"
        body = self._api.request("GET", path, "APIService", absent_is_none=True)
        spec = (body or {}).get("spec") or {}
        answering = spec.get("service") or {}
        if (answering.get("namespace"), answering.get("name")) != (namespace, service):
            return True
        bundle = base64.b64encode(ca_pem).decode()
        if spec.get("caBundle") == bundle:
            return True
        self._merge(path, "APIService", {"spec": {"caBundle": bundle}})
        return False

    def _merge(self, path: str, kind: str, patch: Manifest) -> None:
        query = [("fieldManager", naming.FIELD_MANAGER)]
        self._api.request("PATCH", path, kind, body=patch, query=query, content_type=MERGE_PATCH)


def _decoded(secret: Manifest) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
