"""TextModerations: listed, and patched in their status, metadata and scale.

Every write names the resourceVersion that it was decided on. A conflict is decided again on a fresh
reading where that is safe: parts of the status and annotations of the operator's own are merged,
finalizers are computed from the fresh list, and a size is left to the next pass.

A write names the uid of the object that it was decided on, too: an object may be deleted and
created again under its name while a pass over it runs, and the new one is not what the pass saw.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from textmod_operator import naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.errors import ClusterError
from textmod_operator.kube.client import Api, patch
from textmod_operator.kube.resources import path_of, prefix, scopes, version_of
from textmod_operator.state import Manifest, ObjectKey, Ref

ATTEMPTS: Final = 5
"""How often one write is decided again because the object changed meanwhile."""

Reader = Callable[[ObjectKey], Manifest | None]
"""The newest reading of an object at hand, without a request; None: not known."""
Change = Callable[[Manifest], Manifest | None]
"""The patch for a reading of an object; None when there is nothing to write."""


class Moderations:
    """Thread-safe.

    Args:
        read: replaced by `reads_from`.
    """

    def __init__(self, client: Api, read: Reader = lambda _: None) -> None:
        self._api = client
        self._read = read
        self._lock = threading.Lock()
        self._written: dict[ObjectKey, Manifest] = {}
        """Answers to writes of ours that the reader may not have yet."""
        self._fenced: set[str] = set()
        """uids of the objects that this leader has marked."""

    def reads_from(self, read: Reader) -> None:
        """Decide writes on what `read` returns."""
        self._read = read

    def keys(self, namespaces: tuple[str, ...]) -> set[ObjectKey]:
        """List the TextModerations that exist now.

        Args:
            namespaces: where; empty means all.
        """
        paths = [f"{prefix(api.API_VERSION)}{scope}/{api.PLURAL}" for scope in scopes(namespaces)]
        lists = [self._api.request("GET", path, api.KIND) or {} for path in paths]
        found = (item["metadata"] for listed in lists for item in listed.get("items") or ())
        return {ObjectKey(metadata["namespace"], metadata["name"]) for metadata in found}

    def patch_status(
        self, key: ObjectKey, status: Manifest, uid: str | None = None
    ) -> Manifest | None:
        """Merge into the status (None removes a field); the object afterwards, None when it is
        gone.

        Args:
            uid: of the object that the status is of; None: of whatever has the key now.
        """
        return self._write(key, lambda _: {"status": status}, "/status", uid=uid)

    def patch_metadata(
        self, key: ObjectKey, metadata: Manifest, uid: str | None = None
    ) -> Manifest | None:
        """Merge into the metadata; the object afterwards, None when it is gone.

        Not for lists (finalizers), which a merge replaces: see `set_finalizer`.
        """
        return self._write(key, lambda _: {"metadata": metadata}, uid=uid)

    def set_finalizer(
        self, key: ObjectKey, *, present: bool, uid: str | None = None
    ) -> Manifest | None:
        """Add the operator's finalizer, or remove it, and leave those of others; the object
        afterwards, None when it is gone."""

        def change(body: Manifest) -> Manifest | None:
            before = list(body["metadata"].get("finalizers") or ())
            after = [name for name in before if name != naming.FINALIZER]
            if present:
                after.append(naming.FINALIZER)
            return None if set(after) == set(before) else {"metadata": {"finalizers": after}}

        return self._write(key, change, uid=uid)

    def scale(self, key: ObjectKey, replicas: int, uid: str | None = None) -> None:
        """Set spec.replicas through the scale subresource, as an autoscaler does.

        Raises:
            ClusterError: 409 when the object was changed since it was read: the size was decided
                on something else.
        """
        change = {"spec": {"replicas": replicas}}
        self._write(key, lambda _: change, "/scale", attempts=1, uid=uid)

    def mark(self, key: ObjectKey, leader: str) -> None:
        """Write this leader's name to an object that an earlier one may have acted on.

        That changes its resourceVersion, so that whatever the earlier leader still has on its way
        conflicts. Sends nothing for objects that nobody has acted on, or that are marked.
        """
        body = self._newest(key)
        if body is None or body["metadata"]["uid"] in self._fenced:
            return
        annotations = {naming.LEADER_ANNOTATION: leader}
        held = (body["metadata"].get("annotations") or {}).get(naming.LEADER_ANNOTATION)
        acted_on = body.get("status") or naming.FINALIZER in (
            body["metadata"].get("finalizers") or ()
        )
        if acted_on and held != leader:
            self._write(key, lambda _: {"metadata": {"annotations": annotations}})
        self._fenced.add(body["metadata"]["uid"])

    def forget(self, key: ObjectKey) -> None:
        """Drop what is kept of an object that is gone."""
        with self._lock:
            body = self._written.pop(key, None)
        if body is not None:
            self._fenced.discard(body["metadata"]["uid"])

    def _write(
        self,
        key: ObjectKey,
        change: Change,
        subresource: str = "",
        attempts: int = ATTEMPTS,
        uid: str | None = None,
    ) -> Manifest | None:
        ref = Ref(api.API_VERSION, api.KIND, key.namespace, key.name)
        body = self._newest(key) or self._get(ref)
        if uid is None and body is not None:
            uid = body["metadata"]["uid"]
        for attempt in range(1, attempts + 1):
            if body is None or body["metadata"]["uid"] != uid:
                return None
            wanted = change(body)
            if wanted is None:
                return body
            try:
                answer = patch(self._api, ref, _conditional(wanted, body), subresource=subresource)
            except ClusterError as error:
                if error.status == 404:
                    return None
                if error.status != 409 or attempt == attempts:
                    raise
                body = self._get(ref)
            else:
                self._remember(key, _scaled(body, answer) if subresource == "/scale" else answer)
                return answer
        raise AssertionError("unreachable")

    def _get(self, ref: Ref) -> Manifest | None:
        return self._api.request("GET", path_of(ref), ref.kind, absent_is_none=True)

    def _newest(self, key: ObjectKey) -> Manifest | None:
        read = self._read(key)
        with self._lock:
            written = self._written.get(key)
        if read is None or written is None:
            return read
        return max(read, written, key=version_of)

    def _remember(self, key: ObjectKey, body: Manifest) -> None:
        with self._lock:
            self._written[key] = body


def _scaled(body: Manifest, scale: Manifest) -> Manifest:
    """The object after a write to its scale subresource, which answers with a Scale."""
    version = {"resourceVersion": scale["metadata"]["resourceVersion"]}
    spec = {"replicas": scale["spec"]["replicas"]}
    return {**body, "metadata": body["metadata"] | version, "spec": body["spec"] | spec}


def _conditional(change: Manifest, body: Manifest) -> Manifest:
    """The patch, for this very reading of the object only."""
    version: dict[str, Any] = {"resourceVersion": body["metadata"]["resourceVersion"]}
    return change | {"metadata": (change.get("metadata") or {}) | version}
