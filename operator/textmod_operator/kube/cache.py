"""The objects that were made for TextModerations, as the watches report them. No I/O."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from typing import Any, Final

from textmod_operator.desired.kafka_topics import KAFKA_TOPIC
from textmod_operator.desired.scaled_object import SCALED_OBJECT
from textmod_operator.kube.resources import owner_key, owner_uid, version_of
from textmod_operator.state import Manifest, ObjectKey, Ref

DELETED_REMEMBERED: Final = 10_000
"""How many deletions to remember: readings of an object are late by seconds at most."""

_REPLICAS: Final = (
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
)
_RELEVANT_STATUS: Final = {
    "Deployment": _REPLICAS,
    "StatefulSet": _REPLICAS,
    "SeldonDeployment": ("state", "description", "replicas", "deploymentStatus"),
}


class OwnedObjects:
    """A cache of the owned objects, and of what the last apply of each sent. Thread-safe.

    Readings arrive out of order, from lists, watches and answers to writes. Three rules keep the
    cache from going back in time: an older resourceVersion never replaces a newer one, a reading
    older than the deletion of its object is dropped, and an event or a list removes only what is
    not newer than itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: dict[Ref, Manifest] = {}
        self._applied: dict[Ref, tuple[str, Any]] = {}
        self._deleted: OrderedDict[Ref, int] = OrderedDict()
        """The resourceVersion that an absent object was deleted at, or before."""
        self._listed: dict[tuple[str, str], int] = {}
        """The resourceVersion of the last list, by kind and namespace ("" for all)."""
        self._answered: set[tuple[str, str]] = set()
        """Kinds and namespaces that were listed, or that the cluster was found not to have."""

    def saw(self, body: Manifest, *, in_list: bool = False) -> bool:
        """Cache an object from a watch or a list; whether a relevant part of it changed."""
        ref, body = Ref.of(body), trimmed(body)
        with self._lock:
            before = self._live.get(ref)
            if not self._put(ref, body, in_list=in_list):
                return False
        return before is None or _relevant(before) != _relevant(body)

    def gone(self, ref: Ref, version: int) -> bool:
        """Drop an object that did not exist at a resourceVersion; whether it was cached."""
        with self._lock:
            live = self._live.get(ref)
            if live is not None and version_of(live) > version:
                return False  # created again since
            self._live.pop(ref, None)
            self._applied.pop(ref, None)
            self._deleted[ref] = max(version, self._deleted.pop(ref, 0))
            if len(self._deleted) > DELETED_REMEMBERED:
                self._deleted.popitem(last=False)
        return live is not None

    def live(self, ref: Ref) -> Manifest | None:
        """The cached object, or None."""
        with self._lock:
            return self._live.get(ref)

    def is_listed(self, ref: Ref) -> bool:
        """Whether the objects of this kind and namespace have been listed: what is not cached is
        then not there."""
        with self._lock:
            return any((ref.kind, scope) in self._listed for scope in ("", ref.namespace))

    def is_known(self, kind: str, namespace: str) -> bool:
        """Whether it is known which objects of a kind there are, or that there is no such kind."""
        with self._lock:
            return any((kind, scope) in self._answered for scope in ("", namespace))

    def owned(self, uid: str, namespace: str) -> list[Ref]:
        """The cached objects that go with the owner of this uid: without KafkaTopics, which outlive
        an object with `topics.deletionPolicy: Retain`."""
        with self._lock:
            return [
                ref
                for ref, body in self._live.items()
                if ref.namespace == namespace and ref.kind != KAFKA_TOPIC and owner_uid(body) == uid
            ]

    def listed(
        self, kind: str, scope: str, items: list[Manifest], version: int | None
    ) -> set[ObjectKey]:
        """Replace the cached objects of one kind and scope with a list; the TextModerations whose
        objects changed.

        Args:
            version: the list's resourceVersion: what was cached later is not in it, and stays.
                None: the cluster does not have the kind, and nothing stays.
        """
        there = {Ref.of(body) for body in items}
        namespace = scope.removeprefix("/namespaces/")
        with self._lock:
            missing = {
                ref: body
                for ref, body in self._live.items()
                if ref.kind == kind and namespace in ("", ref.namespace) and ref not in there
            }
        gone = [
            body
            for ref, body in missing.items()
            if self.gone(ref, version_of(body) if version is None else version)
        ]
        changed = [*gone, *(body for body in items if self.saw(body, in_list=True))]
        with self._lock:
            self._answered.add((kind, namespace))
            if version is not None:
                self._listed[kind, namespace] = version
        return {key for body in changed if (key := owner_key(body)) is not None}

    def on_event(self, event: Manifest) -> ObjectKey | None:
        """Cache one watch event; the TextModeration whose object changed, or None."""
        body = event["object"]
        if event["type"] == "DELETED":
            changed = self.gone(Ref.of(body), version_of(body))
        else:
            changed = self.saw(body)
        return owner_key(body) if changed else None

    def as_applied(self, ref: Ref, manifest: Manifest) -> Manifest | None:
        """The cached object if the last apply sent this manifest and its fields are unchanged
        since; else None."""
        with self._lock:
            live, applied = self._live.get(ref), self._applied.get(ref)
        if live and applied and applied == (_digest(manifest), projection(live, manifest)):
            return live
        return None

    def is_drift(self, ref: Ref, manifest: Manifest) -> bool:
        """Whether this very manifest was applied before, and somebody has changed its fields."""
        with self._lock:
            live, applied = self._live.get(ref), self._applied.get(ref)
        if live is None or applied is None or applied[0] != _digest(manifest):
            return False
        return bool(applied[1] != projection(live, manifest))

    def applied(self, ref: Ref, manifest: Manifest, body: Manifest) -> Manifest:
        """Cache the answer to an apply of `manifest`; the answer without managedFields."""
        body = trimmed(body)
        with self._lock:
            self._put(ref, body, in_list=False)
            if ref in self._live:
                self._applied[ref] = (_digest(manifest), projection(body, manifest))
        return body

    def _put(self, ref: Ref, body: Manifest, *, in_list: bool) -> bool:
        """Cache a reading unless a newer one is known; under the lock."""
        before, version = self._live.get(ref), version_of(body)
        if before is not None:
            if version_of(before) > version:
                return False
        elif version <= self._deleted.get(ref, 0):
            return False
        elif not in_list and version <= max(
            self._listed.get((ref.kind, scope), 0) for scope in ("", ref.namespace)
        ):
            return False  # a later list did not have it
        self._deleted.pop(ref, None)
        self._live[ref] = body
        return True


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
    if body["kind"] in ("Deployment", "StatefulSet"):
        # That its pods can't be created comes after the rest, as a condition alone.
        conditions = status.get("conditions") or ()
        failures = (item for item in conditions if item.get("type") == "ReplicaFailure")
        reported["failed"] = [item["status"] for item in failures]
    if body["kind"] in ("HorizontalPodAutoscaler", SCALED_OBJECT):
        reported = [
            (condition["type"], condition["status"], condition.get("reason"))
            for condition in status.get("conditions") or ()
        ]
    if body["kind"] == KAFKA_TOPIC:
        reported = (status.get("observedGeneration"), status.get("conditions"))
    return (
        metadata.get("labels"),
        metadata.get("ownerReferences"),
        metadata.get("deletionTimestamp"),
        body.get("spec"),
        body.get("data"),
        reported,
    )


def _digest(manifest: Manifest) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
