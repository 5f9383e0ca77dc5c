"""One worker per Kafka cluster: it finds out whether the cluster answers, reads the lag of every
stream there, and lists the topics. What one cluster costs in time, no other waits for.

`ClusterWork.step` is one look at one cluster, without threads; `KafkaWorkers` repeats it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from textmod_operator.clock import steady_now
from textmod_operator.controller.lanes import Lane
from textmod_operator.controller.streams import Streams
from textmod_operator.errors import TopicsNotReady
from textmod_operator.kafka.clusters import KafkaCluster, KafkaClusters, KafkaPending
from textmod_operator.settings import Settings
from textmod_operator.state import KafkaConnection, ObjectKey

logger = logging.getLogger(__name__)

PROVEN_THREADS: Final = 32
"""Clusters that answered last time and are read at the same time."""
UNPROVEN_THREADS: Final = 32
"""Clusters that did not, or were not asked yet, and are tried at the same time."""


@dataclass(frozen=True)
class Look:
    """What one look at a cluster brought."""

    decided: tuple[ObjectKey, ...] = ()
    """Streams with a new decision."""
    partitions: dict[str, int] | None = None
    """Topic → partitions, when the topics were listed."""
    changed: bool = False
    """The cluster answers now and did not before, or the reverse, or fails for another reason."""


class ClusterWork:
    """What is repeated for one cluster. `step` blocks, and never raises.

    Args:
        topics_interval: seconds between two lists of the topics.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        streams: Streams,
        topics_interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._streams = streams
        self._topics_interval = topics_interval
        self._clock = clock
        self._listed_at = -math.inf

    @property
    def proven(self) -> bool:
        """Whether the cluster answered the last time."""
        return self._cluster.breaker.proven

    def delay(self, lag_interval: float) -> float:
        """Seconds until the next step is due: the lag's interval, or the breaker's back-off."""
        return max(lag_interval, self._cluster.breaker.delay(self._clock()))

    def step(self, now: float) -> Look:
        """Look once; `now` is Unix time in seconds."""
        connection, breaker = self._cluster.connection, self._cluster.breaker
        before = (breaker.proven, breaker.problem and breaker.problem.message)
        partitions = None
        decided: list[ObjectKey] = []
        try:
            if not breaker.proven or self._clock() - self._listed_at >= self._topics_interval:
                partitions = self._cluster.prove()
                self._listed_at = self._clock()
            decided = self._streams.poll(self._cluster, now)
        except KafkaPending:
            return Look()  # closed: nobody uses the cluster any more
        except TopicsNotReady as problem:
            decided = self._streams.fail(connection, f"{problem.message}.", now)
        except Exception as error:
            logger.exception("read Kafka at %s", connection.bootstrap_servers)
            why = f"the operator failed to read Kafka ({type(error).__name__}); its log says more"
            breaker.failed(TopicsNotReady("KafkaUnreachable", why), self._clock())
            decided = self._streams.fail(connection, f"{why}.", now)
        after = (breaker.proven, breaker.problem and breaker.problem.message)
        return Look(tuple(decided), partitions, before != after)


class KafkaWorkers:
    """A task per Kafka cluster that an object uses. Lives on the event loop.

    Args:
        enqueue: asks for a pass over an object.
        act: acts on a new decision about a stream.
    """

    def __init__(
        self,
        clusters: KafkaClusters,
        streams: Streams,
        settings: Settings,
        enqueue: Callable[[ObjectKey], None],
        act: Callable[[ObjectKey], Awaitable[None]],
    ) -> None:
        self._clusters = clusters
        self._streams = streams
        self._settings = settings
        self._enqueue = enqueue
        self._act = act
        self._connections: dict[ObjectKey, KafkaConnection] = {}
        self._topics: dict[ObjectKey, dict[str, int]] = {}
        self._tasks: dict[KafkaConnection, asyncio.Task[None]] = {}
        self._proven = Lane("lag", PROVEN_THREADS)
        self._unproven = Lane("kafka-connect", UNPROVEN_THREADS)

    def __len__(self) -> int:
        """Clusters with a worker."""
        return len(self._tasks)

    def follow(self, key: ObjectKey, connection: KafkaConnection, topics: dict[str, int]) -> None:
        """Work for an object, whose last pass saw these topics (name → partitions)."""
        self._connections[key] = connection
        self._topics[key] = topics
        self._adjust()

    def wait_for(self, key: ObjectKey, connection: KafkaConnection) -> None:
        """Ask for a pass over an object once its cluster has been tried."""
        self.follow(key, connection, self._topics.get(key, {}))
        breaker = self._clusters.to(connection).breaker
        if breaker.proven or breaker.problem is not None:
            self._enqueue(key)  # it was tried since the pass looked

    def forget(self, key: ObjectKey) -> None:
        """Stop working for an object; the clients that nobody else uses are closed, those included
        that a pass of a deleted object looked up."""
        self._topics.pop(key, None)
        self._connections.pop(key, None)
        self._adjust()

    async def stop(self) -> None:
        """End every worker."""
        tasks = list(self._tasks.values())
        self._connections.clear()
        self._topics.clear()
        self._adjust()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _adjust(self) -> None:
        """Start the workers that are missing, end those that have nothing to do."""
        wanted = set(self._connections.values())
        for connection in self._tasks.keys() - wanted:
            self._tasks.pop(connection).cancel()
        self._clusters.keep_only(wanted)
        for connection in wanted - self._tasks.keys():
            self._tasks[connection] = asyncio.create_task(self._work(connection))

    async def _work(self, connection: KafkaConnection) -> None:
        work = ClusterWork(
            self._clusters.to(connection), self._streams, self._settings.topics_interval
        )
        while True:
            started = time.monotonic()
            try:
                lane = self._proven if work.proven else self._unproven
                await self._follow_up(connection, await lane.run(lambda: work.step(steady_now())))
            except Exception:
                # Such as a thread that can't be started. The worker goes on: it is the only one
                # that reads this cluster.
                logger.exception("look at Kafka at %s", connection.bootstrap_servers)
            left = self._settings.lag_interval - (time.monotonic() - started)
            await asyncio.sleep(max(0.05, work.delay(left)))

    async def _follow_up(self, connection: KafkaConnection, look: Look) -> None:
        keys = [key for key, used in self._connections.items() if used == connection]
        drifted = [key for key in keys if look.changed or self._drifted(key, look.partitions)]
        for key in drifted:
            self._enqueue(key)
        for key in look.decided:
            try:
                await self._act(key)
            except Exception:
                logger.exception("%s: act on a decision", key)

    def _drifted(self, key: ObjectKey, there: dict[str, int] | None) -> bool:
        """Whether the topics of an object are not what its last pass saw."""
        topics = self._topics.get(key, {})
        return there is not None and any(there.get(name) != n for name, n in topics.items())
