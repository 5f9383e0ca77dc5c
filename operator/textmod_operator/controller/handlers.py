"""kopf's triggers, and the controller behind them.

A trigger notes what a watch told and asks for a pass; nothing is decided here. Only watch events
are used: kopf's change handlers and timers would write annotations and finalizers to every object,
and a pass is level-triggered anyway (`decisions/` has the page).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import kopf

from textmod_operator import metrics, naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.conditions import (
    FIGURES,
    figures,
    held_status,
    notices,
    published,
    unknown,
)
from textmod_operator.controller.reconcile import Edges, Outcome, finalize, key_of, reconcile
from textmod_operator.controller.streams import Streams, stream_of
from textmod_operator.controller.workqueue import WorkQueue
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
    Ref,
    ScalingSeen,
)

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0
"""From the first sign that kopf lists anew to our own look at what is left."""


class Controller:
    """What the watches told, the queue of work, and the lag of every stream.

    Lives on kopf's event loop; passes and polls run in threads of their own. One object is never in
    two passes at the same time.
    """

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._queue: WorkQueue[ObjectKey] = WorkQueue()
        self._bodies: dict[ObjectKey, Manifest] = {}
        self._claims = Claims()
        self._connections: dict[ObjectKey, KafkaConnection] = {}
        self._topics: dict[ObjectKey, dict[str, int]] = {}
        self._figures_written: dict[ObjectKey, float] = {}
        self._polling: set[KafkaConnection] = set()
        self._threads = ThreadPoolExecutor(settings.workers, "reconcile")
        self._poll_threads = ThreadPoolExecutor(8, "lag")
        self._tasks: list[asyncio.Task[None]] = []
        self._leading = asyncio.Event()
        self._kafka = KafkaAdmins()
        self._edges: Edges | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweep: asyncio.Task[None] | None = None
        self.streams = Streams()
        metrics.StreamFigures(self.streams.figures, self._conditions)

    # --- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Starts the work; `lead` lets it act."""
        self._loop = loop = asyncio.get_running_loop()
        capabilities = await loop.run_in_executor(self._threads, self._cluster.capabilities)
        self._edges = Edges(
            self._cluster,
            self._kafka,
            replace(capabilities, keda_url=self._settings.keda_url),
            self._claims.rival,
            self._send_status,
        )

        def tell(key: ObjectKey) -> None:
            loop.call_soon_threadsafe(self._act_on, key)

        self._cluster.follow(self._settings.namespaces, tell)
        workers = [self._work() for _ in range(self._settings.workers)]
        loops = (*workers, self._watch_lag(), self._watch_topics())
        self._tasks = [asyncio.create_task(task) for task in loops]

    async def stop(self) -> None:
        """Ends the work: what runs finishes, what waits is left for the next process, which need
        not wait for our Lease to end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._poll_threads.shutdown(wait=True, cancel_futures=True)
        self.streams.close()
        await asyncio.to_thread(self._cluster.resign)

    def lead(self) -> None:
        """This process is the one that acts from now on."""
        logger.info("leading")
        metrics.LEADER.set(1)
        self._leading.set()

    @property
    def namespaced(self) -> bool:
        """Whether it watches some namespaces only."""
        return bool(self._settings.namespaces)

    @property
    def started(self) -> bool:
        return self._edges is not None

    @property
    def alive(self) -> bool:
        """False when a task ended by a bug: the process should be started again."""
        return all(not task.done() or _finished(task) for task in self._tasks)

    async def scaling(self, key: ObjectKey) -> ScalingSeen | None:
        """What the metrics API answers: the leader's last decision, whichever replica is asked.

        A standby decides nothing of its own: two laws with two memories would have the HPA go to
        and fro. It reads what the leader has published, while the leader is known to be there.
        """
        if self._leading.is_set():
            return self.streams.scaling(key)
        if not self._cluster.leader_renews:
            return None
        ref = Ref(api.API_VERSION, api.KIND, key.namespace, key.name)
        loop = asyncio.get_running_loop()
        try:
            body = await loop.run_in_executor(self._poll_threads, self._cluster.get, ref)
        except ClusterError as error:
            return unknown(str(error), time.time())
        return published(body or {}, time.time())

    # --- triggers -------------------------------------------------------------------------------

    def textmoderation_changed(self, event: str | None, body: Manifest) -> None:
        """A watch told of a TextModeration."""
        key = key_of(body)
        if event == "DELETED":
            self._forget(key)
            return
        before = self._bodies.get(key)
        if event is None and before is not None:
            self._sweep_soon()
        if before is not None and not is_newer(body, before):
            return  # a patch of ours has told already what came of it
        self._bodies[key] = body
        self._claims.note(key, body)
        metrics.OBJECTS.set(len(self._bodies))
        if before is None or _asks(before) != _asks(body):
            self._queue.succeeded(key)
            self._queue.add(key)

    def _sweep_soon(self) -> None:
        """kopf lists anew what it has told before when its watch was cut, and never tells what was
        deleted meanwhile."""
        if self._sweep is None or self._sweep.done():
            self._sweep = asyncio.create_task(self._sweep_up())

    async def _sweep_up(self) -> None:
        await asyncio.sleep(SWEEP_SECONDS)
        loop, known = asyncio.get_running_loop(), set(self._bodies)
        namespaces = self._settings.namespaces
        try:
            there = await loop.run_in_executor(self._threads, self._cluster.moderations, namespaces)
        except ClusterError as error:
            logger.warning("listing the TextModerations: %s", error)
            return  # the cut that made it fail brings the next
        for key in known - there:
            self._forget(key)

    def _act_on(self, key: ObjectKey) -> None:
        """Asks for a pass over what is there."""
        if key in self._bodies:
            self._queue.add(key)

    def _patched(self, key: ObjectKey, body: Manifest) -> None:
        """Takes in what came of a patch of ours: the next pass may come before the watch does, and
        must not go by the old status."""
        if key in self._bodies:
            self.textmoderation_changed("MODIFIED", body)

    def _forget(self, key: ObjectKey) -> None:
        for table in (self._bodies, self._connections, self._topics, self._figures_written):
            table.pop(key, None)
        self._claims.forget(key)
        self._queue.forget(key)
        self.streams.forget(key)
        self._kafka.keep_only(set(self._connections.values()))
        metrics.OBJECTS.set(len(self._bodies))

    # --- passes ---------------------------------------------------------------------------------

    async def _work(self) -> None:
        await self._leading.wait()
        loop = asyncio.get_running_loop()
        while True:
            key = await self._queue.get()
            try:
                outcome = await loop.run_in_executor(self._threads, self._pass, key)
                self._plan(key, outcome)
            except (ClusterError, Problem) as error:
                metrics.RECONCILE_ERRORS.inc()
                delay = self._queue.add_after_failure(key)
                logger.warning("%s: %s; again in %.1f s", key, error, delay)
            except Exception:
                metrics.RECONCILE_ERRORS.inc()
                delay = self._queue.add_after_failure(key)
                logger.exception("%s: a pass failed; again in %.1f s", key, delay)
            finally:
                self._queue.done(key)

    @metrics.RECONCILES.time()
    def _pass(self, key: ObjectKey) -> Outcome | None:
        """One pass, in a thread; None when the object is gone or going."""
        body, edges = self._bodies.get(key), self._edges
        if body is None or edges is None:
            return None
        if body["metadata"].get("deletionTimestamp"):
            self._let_go(key, body, edges)
            return None
        outcome = reconcile(body, edges, self.streams.scaling(key), datetime.now(UTC))
        self._write_status(key, body, outcome)
        return outcome

    def _let_go(self, key: ObjectKey, body: Manifest, edges: Edges) -> None:
        if naming.FINALIZER not in (body["metadata"].get("finalizers") or ()):
            return
        try:
            finalize(body, edges)
        except Problem as problem:
            held = held_status(body, problem, datetime.now(UTC))
            if patch := merge_patch(body.get("status") or {}, held):
                self._send_status(key, patch)
            raise

    def _plan(self, key: ObjectKey, outcome: Outcome | None) -> None:
        """What follows a pass: another one, and when; the lag to follow."""
        if outcome is None or key not in self._bodies:
            return
        if outcome.retry:
            self._queue.add_after_failure(key)
        else:
            self._queue.succeeded(key)
        interval = self._settings.resync_interval * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        if outcome.uses_secrets:
            interval = min(interval, self._secrets_interval(key))
        self._queue.add(key, interval)
        if outcome.tm is None or outcome.connection is None:
            self.streams.forget(key)
            return
        self._connections[key] = outcome.connection
        seen = outcome.status.get("topics") or ()
        self._topics[key] = {topic["name"]: topic["partitions"] for topic in seen}
        self._kafka.keep_only(set(self._connections.values()))
        learned = outcome.tm.metadata.annotations.get(naming.LEARNED_ANNOTATION)
        ready = outcome.status.get("readyReplicas")
        self.streams.follow(stream_of(outcome.tm, outcome.connection, ready), learned)

    def _secrets_interval(self, key: ObjectKey) -> float:
        seen = self.streams.scaling(key)
        if seen is not None and isinstance(seen.reading, LagUnknown):
            return self._settings.secrets_doubt_interval
        return self._settings.secrets_interval

    def _write_status(self, key: ObjectKey, body: Manifest, outcome: Outcome) -> None:
        """Sends what the status says anew, and the Events of its transitions."""
        before = body.get("status") or {}
        after = {name: value for name, value in outcome.status.items() if value is not None}
        patch = merge_patch(before, after)
        if not patch or (set(patch) <= set(FIGURES) and not self._figures_due(key)):
            return
        self._send_status(key, patch)
        if outcome.tm is not None:
            for notice in notices(before, after):
                self._cluster.post_event(outcome.tm, notice.severity, notice.reason, notice.message)

    def _send_status(self, key: ObjectKey, patch: Manifest) -> None:
        after = self._cluster.patch_status(key, patch)
        metrics.STATUS_WRITES.inc()
        if set(patch) & set(FIGURES):
            self._figures_written[key] = time.monotonic()
        if after is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._patched, key, after)

    # --- lag ------------------------------------------------------------------------------------

    async def _watch_lag(self) -> None:
        while True:
            for connection in self.streams.connections():
                if connection not in self._polling:
                    self._polling.add(connection)
                    self._tasks.append(asyncio.create_task(self._poll(connection)))
            self._tasks = [task for task in self._tasks if not _finished(task)]
            await asyncio.sleep(self._settings.lag_interval)

    async def _watch_topics(self) -> None:
        """Asks for a pass over every object whose topics are not what its last pass saw."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.topics_interval)
            for connection in set(self._connections.values()):
                admin = self._kafka.to(connection)
                with contextlib.suppress(Problem):  # the lag of these objects is unknown as well
                    there = await loop.run_in_executor(self._poll_threads, admin.partitions)
                    for key in self._drifted(connection, there):
                        self._queue.add(key)

    def _drifted(self, connection: KafkaConnection, there: dict[str, int]) -> list[ObjectKey]:
        return [
            key
            for key, topics in self._topics.items()
            if self._connections.get(key) == connection
            and any(there.get(name) != partitions for name, partitions in topics.items())
        ]

    async def _poll(self, connection: KafkaConnection) -> None:
        loop = asyncio.get_running_loop()
        try:
            keys = await loop.run_in_executor(
                self._poll_threads, self.streams.poll, connection, time.time()
            )
            if self._leading.is_set():
                for key in keys:
                    await self._tell(key, self.streams.scaling(key))
        finally:
            self._polling.discard(connection)

    async def _tell(self, key: ObjectKey, scaling: ScalingSeen | None) -> None:
        """Asks for more replicas when a decision wants them; asks for a pass when it changes a
        condition or steps over zero; else writes the fast figures alone, when they are due."""
        body = self._bodies.get(key)
        if body is None or scaling is None:
            return
        if (size := raised_size(body, scaling)) is not None:
            await self._raise_to(key, size)
        if _changes_condition(body, scaling) or _steps_over_zero(body, scaling):
            self._queue.add(key)
            return
        before = body.get("status") or {}
        told = {name: value for name, value in figures(scaling).items() if value is not None}
        patch = merge_patch({name: before[name] for name in FIGURES if name in before}, told)
        # A decision is written at once: a standby answers the HPA by what is written.
        due = "desiredReplicas" in patch.get("scaling", {}) or self._figures_due(key)
        if patch and "conditions" in before and due:
            loop = asyncio.get_running_loop()
            try:
                await loop.run_in_executor(self._threads, self._send_figures, key, body, patch)
            except ClusterError as error:
                logger.warning("%s: writing the lag to the status failed: %s", key, error)

    async def _raise_to(self, key: ObjectKey, size: int) -> None:
        """Asks for more replicas now, as the HPA would at its next sync."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._cluster.scale, key, size)
            logger.info("%s: scaled to %d ahead of the HPA's next sync", key, size)
        except ClusterError as error:
            logger.warning("%s: scaling to %d is left to the HPA: %s", key, size, error)

    def _send_figures(self, key: ObjectKey, body: Manifest, patch: Manifest) -> None:
        self._send_status(key, patch)
        learned = self.streams.learned(key)
        known = (body["metadata"].get("annotations") or {}).get(naming.LEARNED_ANNOTATION)
        if learned is not None and learned != known:
            self._cluster.patch_metadata(key, {"annotations": {naming.LEARNED_ANNOTATION: learned}})

    def _conditions(self) -> list[tuple[str, str, dict[str, str]]]:
        """(namespace, name, condition → status) of every object, while this process leads."""
        if not self._leading.is_set():
            return []
        return [
            (
                key.namespace,
                key.name,
                {
                    item["type"]: item["status"]
                    for item in (body.get("status") or {}).get("conditions") or ()
                },
            )
            for key, body in list(self._bodies.items())
        ]

    def _figures_due(self, key: ObjectKey) -> bool:
        written = self._figures_written.get(key)
        return written is None or time.monotonic() - written >= self._settings.figures_interval


class Claims:
    """Which TextModeration came first to a topic: two models on one stream would each see half."""

    def __init__(self) -> None:
        self._topics: dict[ObjectKey, tuple[tuple[str, str], set[tuple[str, str]]]] = {}
        self._claimants: dict[tuple[str, str], set[ObjectKey]] = {}

    def note(self, key: ObjectKey, body: Manifest) -> None:
        """Takes in what an object claims now."""
        self.forget(key)
        try:
            tm = api.TextModeration.parse(body)
        except Problem:
            return
        servers = ",".join(sorted(tm.spec.kafka.bootstrap_servers.split(",")))
        topics = {(servers, name) for name in (tm.input_topic, tm.output_topic)}
        self._topics[key] = ((tm.metadata.creation_timestamp, tm.metadata.uid), topics)
        for topic in topics:
            self._claimants.setdefault(topic, set()).add(key)

    def forget(self, key: ObjectKey) -> None:
        """Takes back what an object claimed."""
        _, topics = self._topics.pop(key, (None, set()))
        for topic in topics:
            self._claimants[topic].discard(key)
            if not self._claimants[topic]:
                del self._claimants[topic]

    def rival(self, tm: api.TextModeration) -> str | None:
        """The oldest other object with one of its topics, if that is older than `tm`."""
        own = ObjectKey(tm.metadata.namespace, tm.metadata.name)
        age, topics = self._topics.get(own, (None, set()))
        rivals = {key for topic in topics for key in set(self._claimants.get(topic, ()))} - {own}
        older = [
            (self._topics[key][0], key)
            for key in rivals
            if age is not None and key in self._topics and self._topics[key][0] < age
        ]
        return str(min(older)[1]) if older else None


class Patience:
    """How long kopf waits between two attempts of a request, in seconds.

    For ever: kopf ends the process when a watch has failed nine times, and an outage may be longer.
    But not in the first moments, when kopf finds out what it may look at (namespaces and CRDs, with
    Roles alone neither) and goes on without what is forbidden only once it has given up.
    """

    PROBING_SECONDS = 10.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._probing_until = clock() + self.PROBING_SECONDS

    def __iter__(self) -> Iterator[float]:
        if self._clock() < self._probing_until:
            return iter((0.5, 1.0))
        return itertools.chain((1.0, 1.0, 2.0, 3.0, 5.0, 8.0), itertools.repeat(13.0))


def handlers(controller: Controller, background: Callable[[], Awaitable[None]]) -> Any:  # noqa: ANN401
    """kopf's registry of our triggers.

    Args:
        controller: what the triggers talk to.
        background: what else starts with the operator (its servers, the leader election).
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's own arguments
        return kopf.login_with_kubeconfig(**kwargs) or kopf.login_with_service_account(**kwargs)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: object) -> None:
        settings.posting.enabled = False  # Events are posted on transitions, not for log lines
        # With Roles alone nobody may list namespaces or watch CRDs; kopf would ask nine times.
        settings.scanning.disabled = controller.namespaced
        settings.networking.error_backoffs = Patience()
        await controller.start()
        await background()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: object) -> None:
        await controller.stop()

    @kopf.on.event(api.GROUP, api.VERSION, api.PLURAL, registry=registry)
    async def textmoderation(event: kopf.RawEvent, **_: object) -> None:
        controller.textmoderation_changed(event["type"], dict(event["object"]))

    return registry


# --- pure helpers ---------------------------------------------------------------------------------


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


def is_newer(body: Manifest, than: Manifest) -> bool:
    """Whether one reading of an object is later than another, by their resourceVersions (which
    Kubernetes compares as whole numbers)."""
    return int(body["metadata"]["resourceVersion"]) > int(than["metadata"]["resourceVersion"])


def _asks(body: Manifest) -> Any:  # noqa: ANN401 - a value that is only compared
    """The part of a TextModeration whose change is worth a pass."""
    metadata = body["metadata"]
    return (
        metadata.get("uid"),
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        metadata.get("finalizers"),
        (metadata.get("annotations") or {}).get(naming.OFFSETS_ANNOTATION),
        (body.get("status") or {}).get("consumerGroup"),
    )


def _changes_condition(body: Manifest, scaling: ScalingSeen) -> bool:
    conditions = (body.get("status") or {}).get("conditions") or ()
    told = next((item for item in conditions if item["type"] == "AutoscalingReady"), None)
    if told is None or told["reason"] == "NotOnLag":
        return told is None
    unknown = isinstance(scaling.reading, LagUnknown)
    wanted = "LagUnknown" if unknown else scaling.condition
    lag_reasons = ("LagUnknown", "AtMaximum", "HotPartition")
    return wanted != (told["reason"] if told["reason"] in lag_reasons else None)


def _steps_over_zero(body: Manifest, scaling: ScalingSeen) -> bool:
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


def _finished(task: asyncio.Task[None]) -> bool:
    """Whether a task ended well; one that failed stays, so that `alive` sees it."""
    return task.done() and not task.cancelled() and task.exception() is None
