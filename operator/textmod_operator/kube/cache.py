"""The objects that were made for TextModerations, as the watches report them. No I/O."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any, Final

from textmod_operator.desired.scaled_object import SCALED_OBJECT
from textmod_operator.kube.resources import owner_key, owner_uid, version_of
from textmod_operator.state import Manifest, ObjectKey, Ref

_RELEVANT_STATUS: Final = {
    "Deployment": (
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
    ),
    "SeldonDeployment": ("state", "description", "replicas", "deploymentStatus"),
}


class OwnedObjects:
    """A cache of the owned objects, and of what the last apply of each sent. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: dict[Ref, Manifest] = {}
        self._applied: dict[Ref, tuple[str, Any]] = {}

    def saw(self, body: Manifest) -> bool:
        """Cache an object from a watch; whether a relevant part of it changed."""
        ref, body = Ref.of(body), trimmed(body)
        with self._lock:
            before = self._live.get(ref)
            if before is not None and version_of(before) > version_of(body):
                return False  # the answer to an apply of ours was newer
            self._live[ref] = body
        return before is None or _relevant(before) != _relevant(body)

    def gone(self, ref: Ref) -> None:
        """Drop a deleted object."""
        with self._lock:
            self._live.pop(ref, None)
            self._applied.pop(ref, None)

    def owned(self, uid: str, namespace: str) -> list[Ref]:
        """The cached objects of the owner with this uid."""
        with self._lock:
            return [
                ref
                for ref, body in self._live.items()
                if ref.namespace == namespace and owner_uid(body) == uid
            ]

    def listed(self, kind: str, scope: str, items: list[Manifest]) -> set[ObjectKey]:
        """Replace the cached objects of one kind and scope with a list; the TextModerations whose
        objects changed."""
        there = {Ref.of(body) for body in items}
        namespace = scope.removeprefix("/namespaces/")
        with self._lock:
            gone = {
                ref: body
                for ref, body in self._live.items()
                if ref.kind == kind and namespace in ("", ref.namespace) and ref not in there
            }
        for ref in gone:
            self.gone(ref)
        changed = [*gone.values(), *filter(self.saw, items)]
        return {key for body in changed if (key := owner_key(body)) is not None}

    def on_event(self, event: Manifest) -> ObjectKey | None:
        """Cache one watch event; the TextModeration whose object changed, or None."""
        body = event["object"]
        if event["type"] == "DELETED":
            self.gone(Ref.of(body))
        elif not self.saw(body):
            return None
        return owner_key(body)

    def as_applied(self, ref: Ref, manifest: Manifest) -> Manifest | None:
        """The cached object if the last apply sent this manifest and its fields are unchanged
        since; else None."""
        with self._lock:
            live, applied = self._live.get(ref), self._applied.get(ref)
        if live and applied and applied == (_digest(manifest), projection(live, manifest)):
            return live
        return None

    def applied(self, ref: Ref, manifest: Manifest, body: Manifest) -> Manifest:
        """Cache the answer to an apply of `manifest`; the answer without managedFields."""
        body = trimmed(body)
        with self._lock:
            self._live[ref] = body
            self._applied[ref] = (_digest(manifest), projection(body, manifest))
        return body


def trimmed(body: Manifest) -> Manifest:
    """Without managedFields, which are most of an object's size."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return {**body, "metadata": metadata}


def projection(live: Any, shape: Any) -> Any:  # noqa: ANN401 - any JSON value
    """`live` cut down to the fields that `shape` sets.

    The API server normalizes quantities and sets defaults, so what is read differs from what was
    sent. The answer to an apply is the normal form that later reads are compared with.
    """
    if isinstance(shape, dict) and isinstance(live, dict):
        return {key: projection(live.get(key), part) for key, part in shape.items()}
    if isinstance(shape, list) and isinstance(live, list) and len(shape) == len(live):
        return [projection(one, part) for one, part in zip(live, shape, strict=True)]
    return live


def _relevant(body: Manifest) -> Any:  # noqa: ANN401 - a value that is only compared
    """The part of an owned object whose change needs a reconcile."""
    metadata, status = body["metadata"], body.get("status") or {}
    reported: Any = {key: status.get(key) for key in _RELEVANT_STATUS.get(body["kind"], ())}
    if body["kind"] in ("HorizontalPodAutoscaler", SCALED_OBJECT):
        reported = [
            (condition["type"], condition["status"], condition.get("reason"))
            for condition in status.get("conditions") or ()
        ]
    return (
        metadata.get("labels"),
        metadata.get("ownerReferences"),
        metadata.get("deletionTimestamp"),
        body.get("spec"),
        reported,
    )


def _digest(manifest: Manifest) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
