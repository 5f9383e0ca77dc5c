"""Writes the status of TextModerations: only differences, fast figures at a limited rate, and the
Events of transitions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from textmod_operator import metrics
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions import FIGURES, differ_in_rates_alone, notices
from textmod_operator.state import Manifest, ObjectKey


class StatusDoor(Protocol):
    """The part of the cluster that a status is written through."""

    def patch_status(self, key: ObjectKey, status: Manifest, uid: str) -> Manifest | None: ...

    def post_event(
        self, about: TextModeration, severity: str, reason: str, message: str
    ) -> None: ...


class StatusWriter:
    """Thread-safe: one object is written by one pass at a time.

    Args:
        cluster: the door that is written through.
        figures_interval: seconds between two writes of an object's figures alone.
        wrote: receives the object that the API server returned.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        cluster: StatusDoor,
        figures_interval: float,
        wrote: Callable[[ObjectKey, Manifest], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._figures_interval = figures_interval
        self._wrote = wrote
        self._clock = clock
        self._figures_written: dict[ObjectKey, float] = {}

    @metrics.STEPS.labels("status").time()
    def write(
        self, key: ObjectKey, body: Manifest, status: Manifest, about: TextModeration | None
    ) -> None:
        """Send what differs from the status in `body`, then post the Events of its transitions.

        Args:
            about: the object that the Events belong to; None posts none.
        """
        before = body.get("status") or {}
        after = {name: value for name, value in status.items() if value is not None}
        patch = merge_patch(before, after)
        fast = set(patch) <= {*FIGURES, "policies"} and differ_in_rates_alone(before, after)
        if says_nothing_new(patch) or (fast and not self.figures_due(key)):
            return
        self.merge(key, patch, body["metadata"]["uid"])
        if about is None:
            return
        for notice in notices(before, after):
            self._cluster.post_event(about, notice.severity, notice.reason, notice.message)

    def merge(self, key: ObjectKey, patch: Manifest, uid: str) -> Manifest | None:
        """Merge a patch into the status of the object with this uid at once; the object afterwards,
        None when it is gone."""
        after = self._cluster.patch_status(key, patch, uid)
        metrics.STATUS_WRITES.inc()
        if set(patch) & set(FIGURES):
            self._figures_written[key] = self._clock()
        if after is not None:
            self._wrote(key, after)
        return after

    def figures_due(self, key: ObjectKey) -> bool:
        """Whether the figures alone may be written again."""
        written = self._figures_written.get(key)
        return written is None or self._clock() - written >= self._figures_interval

    def forget(self, key: ObjectKey) -> None:
        """Drop what is kept of an object that is gone."""
        self._figures_written.pop(key, None)


def says_nothing_new(patch: Manifest) -> bool:
    """Whether a patch of a status changes nothing but the date of the last decision."""
    return not patch or (patch.keys() == {"scaling"} and _only_dated(patch["scaling"]))


def _only_dated(scaling: object) -> bool:
    return isinstance(scaling, dict) and scaling.keys() <= {"observedAt"}


def merge_patch(before: Manifest, after: Manifest) -> Manifest:
    """The JSON merge patch (RFC 7386) that turns `before` into `after`; empty when they agree."""
    patch: Manifest = {}
    for name in before.keys() - after.keys():
        patch[name] = None
    for name, value in after.items():
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            if inner := merge_patch(old, value):
                patch[name] = inner
        elif value != old:
            patch[name] = value
    return patch
