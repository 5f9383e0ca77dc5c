"""What runs between passes: the lag of every stream, and the topics of every Kafka cluster.

Reads are slow and run in threads; what follows from them runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor

from textmod_operator import naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.conditions import FIGURES, figures
from textmod_operator.controller.inventory import Inventory
from textmod_operator.controller.status_writer import StatusWriter, merge_patch
from textmod_operator.controller.streams import Streams
from textmod_operator.desired.autoscaler import acts_at_once
from textmod_operator.errors import ClusterError, Problem
from textmod_operator.kafka.admin import KafkaAdmins
from textmod_operator.kube.cluster import Cluster
from textmod_operator.settings import Settings
from textmod_operator.state import (
    KafkaConnection,
    LagUnknown,
    Manifest,
    ObjectKey,
    ScalingSeen,
)

logger = logging.getLogger(__name__)


class LagLoop:
    """Polls Kafka and acts on what it says. Lives on the event loop.

    Args:
        enqueue: asks for a pass over an object.
        leading: whether this process may write.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        kafka: KafkaAdmins,
        streams: Streams,
        inventory: Inventory,
        writer: StatusWriter,
        settings: Settings,
        enqueue: Callable[[ObjectKey], None],
        leading: Callable[[], bool],
        threads: Executor,
        poll_threads: Executor,
    ) -> None:
        self._cluster = cluster
        self._kafka = kafka
        self._streams = streams
        self._inventory = inventory
        self._writer = writer
        self._settings = settings
        self._enqueue = enqueue
        self._leading = leading
        self._threads = threads
        self._poll_threads = poll_threads
        self._connections: dict[ObjectKey, KafkaConnection] = {}
        self._topics: dict[ObjectKey, dict[str, int]] = {}
        self._polling: set[KafkaConnection] = set()
        self._polls: list[asyncio.Task[None]] = []

    # --- what is followed -------------------------------------------------------------------

    def follow(self, key: ObjectKey, connection: KafkaConnection, topics: dict[str, int]) -> None:
        """Look after the topics of an object, as its last pass saw them."""
        self._connections[key] = connection
        self._topics[key] = topics
        self._kafka.keep_only(set(self._connections.values()))

    def forget(self, key: ObjectKey) -> None:
        """Stop looking after an object that is gone."""
        self._connections.pop(key, None)
        self._topics.pop(key, None)
        self._kafka.keep_only(set(self._connections.values()))

    @property
    def alive(self) -> bool:
        """False when a poll ended with an exception."""
        return all(not task.done() or finished(task) for task in self._polls)

    async def stop(self) -> None:
        """Cancel the polls that wait."""
        for task in self._polls:
            task.cancel()
        await asyncio.gather(*self._polls, return_exceptions=True)

    # --- lag --------------------------------------------------------------------------------

    async def watch_lag(self) -> None:
        """Poll every Kafka cluster, each at its own pace, for ever."""
        while True:
            for connection in self._streams.connections():
                if connection not in self._polling:
                    self._polling.add(connection)
                    self._polls.append(asyncio.create_task(self._poll(connection)))
            self._polls = [task for task in self._polls if not finished(task)]
            await asyncio.sleep(self._settings.lag_interval)

    async def _poll(self, connection: KafkaConnection) -> None:
        loop = asyncio.get_running_loop()
        try:
            keys = await loop.run_in_executor(
                self._poll_threads, self._streams.poll, connection, time.time()
            )
            if self._leading():
                for key in keys:
                    await self._act(key, self._streams.scaling(key))
        finally:
            self._polling.discard(connection)

    async def _act(self, key: ObjectKey, scaling: ScalingSeen | None) -> None:
        """Scale up when a decision wants more; ask for a pass when it changes a condition or
        crosses zero; else write the fast figures alone, when they are due."""
        body = self._inventory.get(key)
        if body is None or scaling is None:
            return
        if (size := raised_size(body, scaling)) is not None:
            await self._raise_to(key, size)
        if changes_condition(body, scaling) or crosses_zero(body, scaling):
            self._enqueue(key)
            return
        before = body.get("status") or {}
        now = {name: value for name, value in figures(scaling).items() if value is not None}
        patch = merge_patch({name: before[name] for name in FIGURES if name in before}, now)
        # A decision is written at once: a standby answers the HPA by what is written.
        due = "desiredReplicas" in patch.get("scaling", {}) or self._writer.figures_due(key)
        if patch and "conditions" in before and due:
            loop = asyncio.get_running_loop()
            try:
                await loop.run_in_executor(self._threads, self._write_figures, key, body, patch)
            except ClusterError as error:
                logger.warning("%s: could not write the lag to the status: %s", key, error)

    async def _raise_to(self, key: ObjectKey, size: int) -> None:
        """Scale up now, as the HPA would at its next sync."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._cluster.scale, key, size)
            logger.info("%s: scaled to %d ahead of the HPA's next sync", key, size)
        except ClusterError as error:
            logger.warning("%s: could not scale to %d, leaving it to the HPA: %s", key, size, error)

    def _write_figures(self, key: ObjectKey, body: Manifest, patch: Manifest) -> None:
        self._writer.merge(key, patch)
        learned = self._streams.learned(key)
        known = (body["metadata"].get("annotations") or {}).get(naming.LEARNED_ANNOTATION)
        if learned is not None and learned != known:
            self._cluster.patch_metadata(key, {"annotations": {naming.LEARNED_ANNOTATION: learned}})

    # --- topics -----------------------------------------------------------------------------

    async def watch_topics(self) -> None:
        """Ask for a pass over every object whose topics are not what its last pass saw."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.topics_interval)
            for connection in set(self._connections.values()):
                admin = self._kafka.to(connection)
                with contextlib.suppress(Problem):  # the lag of these objects is unknown as well
                    there = await loop.run_in_executor(self._poll_threads, admin.partitions)
                    for key in self._drifted(connection, there):
                        self._enqueue(key)

    def _drifted(self, connection: KafkaConnection, there: dict[str, int]) -> list[ObjectKey]:
        return [
            key
            for key, topics in self._topics.items()
            if self._connections.get(key) == connection
            and any(there.get(name) != partitions for name, partitions in topics.items())
        ]


# --- pure helpers -------------------------------------------------------------------------------


def changes_condition(body: Manifest, scaling: ScalingSeen) -> bool:
    """Whether a decision makes AutoscalingReady say something else."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    current = next((item for item in conditions if item["type"] == "AutoscalingReady"), None)
    if current is None or current["reason"] == "NotOnLag":
        return current is None
    unknown = isinstance(scaling.reading, LagUnknown)
    wanted = "LagUnknown" if unknown else scaling.condition
    lag_reasons = ("LagUnknown", "AtMaximum", "HotPartition")
    return wanted != (current["reason"] if current["reason"] in lag_reasons else None)


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


def finished(task: asyncio.Task[None]) -> bool:
    """Whether a task ended well; one that failed stays, so that `alive` sees it."""
    return task.done() and not task.cancelled() and task.exception() is None
