"""The TextModerations as they were last read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from textmod_operator import naming
from textmod_operator.state import Manifest, ObjectKey


class Inventory:
    """The newest reading of every object, from the watch or from the answer to a write of ours.

    Changed on the event loop only; passes read it from threads.
    """

    def __init__(self) -> None:
        self._bodies: dict[ObjectKey, Manifest] = {}

    def __len__(self) -> int:
        return len(self._bodies)

    def __contains__(self, key: ObjectKey) -> bool:
        return key in self._bodies

    def __iter__(self) -> Iterator[ObjectKey]:
        return iter(list(self._bodies))

    def get(self, key: ObjectKey) -> Manifest | None:
        """The object as last read, or None."""
        return self._bodies.get(key)

    def items(self) -> list[tuple[ObjectKey, Manifest]]:
        """A snapshot of all of them."""
        return list(self._bodies.items())

    def note(self, key: ObjectKey, body: Manifest) -> bool:
        """Keep a reading if it is newer than the one at hand; whether it was.

        Another uid is another object of the same name, and is always newer.
        """
        before = self._bodies.get(key)
        if before is not None and not is_newer(body, before):
            return False
        self._bodies[key] = body
        return True

    def forget(self, key: ObjectKey) -> None:
        """Drop an object that is gone."""
        self._bodies.pop(key, None)


def key_of(body: Manifest) -> ObjectKey:
    """The key of a TextModeration as read."""
    return ObjectKey(body["metadata"].get("namespace", "default"), body["metadata"]["name"])


def is_newer(body: Manifest, than: Manifest) -> bool:
    """Whether one reading of an object is later than another, by their resourceVersions (which
    Kubernetes compares as whole numbers)."""
    return int(body["metadata"]["resourceVersion"]) > int(than["metadata"]["resourceVersion"])


def needs_pass(before: Manifest | None, after: Manifest) -> bool:
    """Whether the difference between two readings is worth a pass."""
    return before is None or _asked(before) != _asked(after)


_ANNOTATIONS = (naming.OFFSETS_ANNOTATION, naming.RESTARTED_ANNOTATION)
"""Annotations that a pass goes by."""


def _asked(body: Manifest) -> Any:  # noqa: ANN401 - a value that is only compared
    metadata = body["metadata"]
    return (
        metadata.get("uid"),
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        metadata.get("finalizers"),
        [(metadata.get("annotations") or {}).get(name) for name in _ANNOTATIONS],
        (metadata.get("labels") or {}).get(naming.SELDON_CONTROLLER_LABEL),
        (body.get("status") or {}).get("consumerGroup"),
    )
