"""What follows from a decision of the scaling law between passes: more replicas at once, a pass, or
fresh figures in the status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor

from textmod_operator import naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.conditions import FIGURES, figures
from textmod_operator.controller.inventory import Inventory
from textmod_operator.controller.status_writer import (
    StatusWriter,
    merge_patch,
    says_nothing_new,
)
from textmod_operator.controller.streams import Streams
from textmod_operator.desired.autoscaler import acts_at_once
from textmod_operator.errors import ClusterError, Problem
from textmod_operator.kube.cluster import Cluster
from textmod_operator.scaling.progress import SUSPICIOUS_SECONDS
from textmod_operator.state import LagUnknown, Manifest, ObjectKey, ScalingSeen

logger = logging.getLogger(__name__)


class Decisions:
    """Acts on decisions while this process leads. Lives on the event loop.

    Args:
        enqueue: asks for a pass over an object.
        leading: whether this process may write.
        threads: runs the requests to the API server.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        streams: Streams,
        inventory: Inventory,
        writer: StatusWriter,
        enqueue: Callable[[ObjectKey], None],
        leading: Callable[[], bool],
        threads: Executor,
    ) -> None:
        self._cluster = cluster
        self._streams = streams
        self._inventory = inventory
        self._writer = writer
        self._enqueue = enqueue
        self._leading = leading
        self._threads = threads
        self._stopped: set[ObjectKey] = set()

    async def act(self, key: ObjectKey) -> None:
        """Scale up when a decision wants more; ask for a pass when it changes a condition or
        crosses zero; else write the fast figures alone, when they are due."""
        body, scaling = self._inventory.get(key), self._streams.scaling(key)
        if body is None or scaling is None or not self._leading():
            return
        if (size := raised_size(body, scaling)) is not None:
            await self._raise_to(key, size, body["metadata"]["uid"])
        stopped_or_went_on = self._progress_changed(key, scaling)
        if stopped_or_went_on or changes_condition(body, scaling) or crosses_zero(body, scaling):
            self._enqueue(key)
            return
        before = body.get("status") or {}
        now = {name: value for name, value in figures(scaling).items() if value is not None}
        patch = merge_patch({name: before[name] for name in FIGURES if name in before}, now)
        # A decision is written at once: a standby answers the HPA by what is written.
        changed = (patch.get("scaling") or {}).keys() & {"desiredReplicas", "observedBy"}
        due = bool(changed) or self._writer.figures_due(key)
        if not says_nothing_new(patch) and "conditions" in before and due:
            loop = asyncio.get_running_loop()
            try:
                await loop.run_in_executor(self._threads, self._write_figures, key, body, patch)
            except ClusterError as error:
                logger.warning("%s: could not write the lag to the status: %s", key, error)

    def _progress_changed(self, key: ObjectKey, scaling: ScalingSeen) -> bool:
        """Whether the stream has just stopped, or gone on: a pass then asks its pods why."""
        was, stopped = key in self._stopped, scaling.standing_seconds >= SUSPICIOUS_SECONDS
        (self._stopped.add if stopped else self._stopped.discard)(key)
        return was != stopped

    async def _raise_to(self, key: ObjectKey, size: int, uid: str) -> None:
        """Scale up now, as the HPA would at its next sync."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._cluster.scale, key, size, uid)
            logger.info("%s: scaled to %d ahead of the HPA's next sync", key, size)
        except ClusterError as error:
            logger.warning("%s: could not scale to %d, leaving it to the HPA: %s", key, size, error)

    def _write_figures(self, key: ObjectKey, body: Manifest, patch: Manifest) -> None:
        uid = body["metadata"]["uid"]
        self._writer.merge(key, patch, uid)
        learned = self._streams.learned(key)
        known = (body["metadata"].get("annotations") or {}).get(naming.LEARNED_ANNOTATION)
        if learned is not None and learned != known:
            annotations = {naming.LEARNED_ANNOTATION: learned}
            self._cluster.patch_metadata(key, {"annotations": annotations}, uid)


# --- pure helpers -------------------------------------------------------------------------------


def changes_condition(body: Manifest, scaling: ScalingSeen) -> bool:
    """Whether a decision makes a condition say something else."""
    listed = (body.get("status") or {}).get("conditions") or ()
    current = {item["type"]: item for item in listed}
    if "AutoscalingReady" not in current:
        return True
    if current["AutoscalingReady"]["status"] == "Unknown":
        return False  # the pass stopped before it came to the lag; it has triggers of its own
    return (
        _changes_autoscaling(current["AutoscalingReady"]["reason"], scaling)
        or _changes(current.get("WorkloadReady", {}), "NotConsuming", bool(scaling.standing))
        or _changes(current.get("TopicsReady", {}), "MessagesExpired", bool(scaling.expired))
        or (_waits_for_a_rate(current) and bool(scaling.in_per_second))
    )


def _waits_for_a_rate(current: dict[str, Manifest]) -> bool:
    """Whether a budget of the policies can't be worked out before texts arrive."""
    return current.get("PoliciesReady", {}).get("reason") == "RateUnknown"


def _changes(condition: Manifest, reason: str, is_so: bool) -> bool:
    """Whether a condition that is True would get this reason, or one that has it would lose it."""
    return (
        is_so
        if condition.get("status") == "True"
        else condition.get("reason") == reason and not is_so
    )


def _changes_autoscaling(reason: str, scaling: ScalingSeen) -> bool:
    if reason == "NotOnLag":
        return False
    unknown = isinstance(scaling.reading, LagUnknown)
    wanted = "LagUnknown" if unknown else scaling.condition
    lag_reasons = ("LagUnknown", "AtMaximum", "HotPartition")
    return wanted != (reason if reason in lag_reasons else None)


def crosses_zero(body: Manifest, scaling: ScalingSeen) -> bool:
    """Whether a decision takes the last replica away or brings the first one back."""
    replicas = body["spec"].get("replicas")
    if replicas is None or body["spec"].get("autoscaling", {}).get("minReplicas", 1) > 0:
        return False
    return bool(replicas == 0) != (scaling.desired == 0)


def raised_size(body: Manifest, scaling: ScalingSeen) -> int | None:
    """The size to ask for ahead of the HPA, or None: never a smaller one, never on a lag that is
    not known, and not from 0, which switches the HPA off."""
    replicas = body["spec"].get("replicas", 1)
    if isinstance(scaling.reading, LagUnknown) or not 0 < replicas < scaling.desired:
        return None
    try:
        tm = api.TextModeration.parse(body)
    except Problem:
        return None
    size = min(scaling.desired, tm.max_replicas)
    return size if size > replicas and acts_at_once(tm) else None
