"""The controller: the queue of work between the triggers and the passes.

Lives on kopf's event loop; passes and polls run in threads of their own. One object is never in two
passes at the same time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from textmod_operator import metrics, naming
from textmod_operator.api import v1alpha1 as api
from textmod_operator.clock import steady_now
from textmod_operator.conditions import published, unknown
from textmod_operator.controller.claims import Claims
from textmod_operator.controller.console_figures import ConsoleFigures
from textmod_operator.controller.decisions import Decisions
from textmod_operator.controller.inventory import Inventory, key_of, needs_pass
from textmod_operator.controller.kafka_workers import KafkaWorkers
from textmod_operator.controller.model_pods import ModelPods
from textmod_operator.controller.passes import Passes, next_pass
from textmod_operator.controller.quality_metrics import figures_of_all
from textmod_operator.controller.reconcile import Edges, Outcome
from textmod_operator.controller.status_writer import StatusWriter
from textmod_operator.controller.streams import Streams, stream_of
from textmod_operator.controller.workqueue import WorkQueue
from textmod_operator.errors import ClusterError, Problem
from textmod_operator.kafka.clusters import KafkaClusters, KafkaPending
from textmod_operator.kube.cluster import Cluster
from textmod_operator.settings import Settings
from textmod_operator.state import Manifest, ObjectKey, Ref, ScalingSeen

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0
"""From the first sign of a re-list by kopf to our own look at what is left."""


class Controller:
    """What the watches said, the queue of work, and the lag of every stream."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._queue: WorkQueue[ObjectKey] = WorkQueue()
        self._inventory = Inventory()
        self._claims = Claims()
        self._model_pods = ModelPods()
        self._consoles = ConsoleFigures(changed=self._enqueue_from_thread)
        self._kafka = KafkaClusters()
        self._threads = ThreadPoolExecutor(settings.workers, "reconcile")
        self._tasks: list[asyncio.Task[None]] = []
        self._leading = asyncio.Event()
        self._passes: Passes | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweep: asyncio.Task[None] | None = None
        self.streams = Streams(self._kafka, settings.identity)
        self._writer = StatusWriter(cluster, settings.figures_interval, self._wrote)
        self._decisions = Decisions(
            cluster=cluster,
            streams=self.streams,
            inventory=self._inventory,
            writer=self._writer,
            enqueue=self._enqueue_known,
            leading=self._leading.is_set,
            threads=self._threads,
        )
        self._kafka_workers = KafkaWorkers(
            self._kafka, self.streams, settings, self._enqueue_known, self._decisions.act
        )
        metrics.StreamFigures(self.streams.figures, self._conditions, quality=self._quality)

    # --- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the work; `lead` lets it act."""
        self._loop = loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._cluster.capabilities)
        if self.namespaced:
            await loop.run_in_executor(self._threads, self._require_kind)
        edges = Edges(
            self._cluster,
            self._kafka,
            lambda: replace(
                self._cluster.capabilities(),
                keda_url=self._settings.keda_url,
                console=self._settings.console,
            ),
            self._claims,
            self._writer.merge,
            model_pods=self._model_pods,
            consoles=self._consoles,
        )
        self._passes = Passes(self._inventory, edges, self.streams.scaling, self._writer)
        self._cluster.reads_from(self._inventory.get)
        self._cluster.follow(self._settings.namespaces, self._enqueue_from_thread)
        workers = [self._work(self._passes) for _ in range(self._settings.workers)]
        workers.append(self._sweep_regularly())
        self._tasks = [asyncio.create_task(worker) for worker in workers]
        metrics.KAFKA_CLUSTERS.set_function(lambda: len(self._kafka))
        metrics.TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))
        metrics.THREADS.set_function(metrics.threads)

    def _require_kind(self) -> None:
        """Check that there are TextModerations: with Roles alone kopf looks for the kind once.

        Raises:
            ClusterError: the API server could not be asked; 404: there are none.
        """
        if api.PLURAL not in (self._cluster.resources(api.API_VERSION) or ()):
            raise ClusterError(404, f"the cluster has no {api.PLURAL}: install their CRD")

    async def stop(self) -> None:
        """End the work: what runs finishes, what waits is left for the next process, which need
        not wait for our Lease to expire."""
        self._cluster.unfollow()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._kafka_workers.stop()
        self._consoles.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        await asyncio.to_thread(self._cluster.resign)

    def lead(self) -> None:
        """Let this process act from now on."""
        logger.info("leading")
        metrics.LEADER.set(1)
        self._leading.set()

    @property
    def namespaced(self) -> bool:
        """Whether it watches some namespaces only."""
        return bool(self._settings.namespaces)

    @property
    def started(self) -> bool:
        return self._passes is not None

    @property
    def alive(self) -> bool:
        """False when a task ended by a bug: the process should be restarted."""
        return all(not task.done() or _finished(task) for task in self._tasks)

    async def scaling(self, key: ObjectKey) -> ScalingSeen | None:
        """What the metrics API answers: the leader's last decision, whichever replica is asked.

        A standby decides nothing of its own: two laws with two memories would have the HPA go to
        and fro. It reads what the leader has published, while the leader is known to be there.
        """
        if self._leading.is_set():
            return self.streams.scaling(key)
        leader = self._cluster.leader
        if leader is None:
            return unknown("No leader has renewed its Lease lately.", steady_now())
        ref = Ref(api.API_VERSION, api.KIND, key.namespace, key.name)
        loop = asyncio.get_running_loop()
        try:
            body = await loop.run_in_executor(None, self._cluster.get, ref)
        except ClusterError as error:
            return unknown(str(error), steady_now())
        return published(body or {}, leader, steady_now())

    # --- triggers -------------------------------------------------------------------------------

    def on_event(self, event: str | None, body: Manifest) -> None:
        """Handle a watch event for a TextModeration; `event` is None for an item of a list."""
        key = key_of(body)
        if event == "DELETED":
            self._forget(key, body["metadata"].get("uid"))
            return
        before = self._inventory.get(key)
        if event is None and before is not None:
            self._sweep_soon()
        if not self._inventory.note(key, body):
            return  # a patch of ours has returned a newer reading already
        for other in self._claims.note(key, body):
            self._enqueue_known(other)
        metrics.OBJECTS.set(len(self._inventory))
        if needs_pass(before, body):
            self._queue.succeeded(key)
            self._queue.add(key)

    def _sweep_soon(self) -> None:
        """After a reconnect kopf re-lists, but never reports objects deleted while it was
        disconnected."""
        if self._sweep is None or self._sweep.done():
            self._sweep = asyncio.create_task(self._sweep_up(SWEEP_SECONDS))

    async def _sweep_regularly(self) -> None:
        """Sweep at every resync: a re-list that returns no object causes no event."""
        while True:
            await self._sweep_up(self._settings.resync_interval)

    async def _sweep_up(self, seconds: float) -> None:
        """Forget, after so many seconds, the objects that are gone. Namespaces that can't be listed
        (one was deleted, and our Role with it) hold up no others."""
        await asyncio.sleep(seconds)
        loop = asyncio.get_running_loop()
        scopes: list[tuple[str, ...]] = [(name,) for name in self._settings.namespaces]
        for scope in scopes or [()]:
            known = {
                key: body["metadata"].get("uid")
                for key, body in self._inventory.items()
                if not scope or key.namespace in scope
            }
            try:
                there = await loop.run_in_executor(self._threads, self._cluster.moderations, scope)
            except ClusterError as error:
                logger.warning("could not list the TextModerations: %s", error)
                continue
            for key in known.keys() - there:
                self._forget(key, known[key])

    def _enqueue_known(self, key: ObjectKey) -> None:
        if key in self._inventory:
            self._queue.add(key)

    def _enqueue_from_thread(self, key: ObjectKey) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._enqueue_known, key)

    def _wrote(self, key: ObjectKey, body: Manifest) -> None:
        """Cache the object that our own PATCH returned: the next pass may come before the watch
        event does, and must not use the old status. Called from threads."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cache_patched, key, body)

    def _cache_patched(self, key: ObjectKey, body: Manifest) -> None:
        if key in self._inventory:
            self.on_event("MODIFIED", body)

    def _forget(self, key: ObjectKey, uid: str | None) -> None:
        """Forget the object with this uid. One that was created again under its name stays: kopf
        orders the events of one uid only, and a list may be late."""
        body = self._inventory.get(key)
        if body is not None and body["metadata"].get("uid") != uid:
            return
        spec = (body or {}).get("spec") or {}
        if self._leading.is_set() and spec.get("review") is not None:
            self._threads.submit(self._revoke_console, key)
        self._inventory.forget(key)
        self._drop(key)
        for other in self._claims.forget(key):
            self._enqueue_known(other)
        metrics.OBJECTS.set(len(self._inventory))

    def _drop(self, key: ObjectKey) -> None:
        """Drop what is kept of an object that is gone; again after a pass that outlived it."""
        self._queue.forget(key)
        self._writer.forget(key)
        self._unfollow(key)
        self._cluster.forget(key)
        self._model_pods.forget(key)
        self._consoles.forget(key)

    def _revoke_console(self, key: ObjectKey) -> None:
        """Revoke the permission of a deleted object's console; garbage collection deletes the rest.
        Runs in a thread. An object that was created again meanwhile is granted it again."""
        try:
            self._cluster.revoke_console(key.namespace, naming.console_of(key.name))
        except ClusterError as error:
            logger.warning("%s: could not revoke its console's permission: %s", key, error)
        self._enqueue_from_thread(key)

    # --- passes ---------------------------------------------------------------------------------

    async def _work(self, passes: Passes) -> None:
        await self._leading.wait()
        loop = asyncio.get_running_loop()
        while True:
            key = await self._queue.get()
            try:
                outcome = await loop.run_in_executor(self._threads, passes.run, key)
                self._plan(key, outcome)
            except KafkaPending as pending:
                self._wait_for_kafka(key, pending)
            except (ClusterError, Problem) as error:
                metrics.RECONCILE_ERRORS.inc()
                delay = self._queue.add_after_failure(key)
                logger.warning("%s: %s; retrying in %.1f s", key, error, delay)
            except Exception:
                metrics.RECONCILE_ERRORS.inc()
                delay = self._queue.add_after_failure(key)
                logger.exception("%s: the pass failed; retrying in %.1f s", key, delay)
            finally:
                self._queue.done(key)
                if key not in self._inventory:
                    self._drop(key)

    def _plan(self, key: ObjectKey, outcome: Outcome | None) -> None:
        """Schedule the next pass, and follow the lag."""
        if outcome is None or key not in self._inventory:
            return
        due = next_pass(outcome, self.streams.scaling(key), self._settings)
        if due.failed:
            self._queue.add_after_failure(key)
        else:
            self._queue.succeeded(key)
        self._queue.add(key, due.seconds * random.uniform(0.9, 1.1))  # noqa: S311 - jitter
        if not outcome.finished:
            return
        if outcome.tm is None or outcome.connection is None:
            self._unfollow(key)
            return
        seen = outcome.status.get("topics") or ()
        topics = {topic["name"]: topic["partitions"] for topic in seen}
        self._kafka_workers.follow(key, outcome.connection, topics)
        learned = outcome.tm.metadata.annotations.get(naming.LEARNED_ANNOTATION)
        ready = outcome.status.get("readyReplicas")
        self.streams.follow(stream_of(outcome.tm, outcome.connection, ready), learned)

    def _wait_for_kafka(self, key: ObjectKey, pending: KafkaPending) -> None:
        """Repeat a pass once its Kafka cluster was tried, unless the object went meanwhile."""
        if key in self._inventory:
            self._kafka_workers.wait_for(key, pending.connection)

    def _unfollow(self, key: ObjectKey) -> None:
        """Stop everything that is done for an object in Kafka."""
        self.streams.forget(key)
        self._kafka_workers.forget(key)

    def _quality(self) -> list[metrics.QualityFigure]:
        """What was measured of every object, while this process leads."""
        if not self._leading.is_set():
            return []
        return list(figures_of_all(self._inventory.items()))

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
            for key, body in self._inventory.items()
        ]


def _finished(task: asyncio.Task[None]) -> bool:
    """Whether a task ended well; one that failed stays, so that `alive` sees it."""
    return task.done() and not task.cancelled() and task.exception() is None
