"""The clients of every Kafka cluster that an object uses, and which of them answer.

One `KafkaCluster` per connection, shared by all objects with that connection. Reconciles never wait
for a cluster that has not answered: they get the known problem at once, or `KafkaPending`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from textmod_operator.errors import TopicsNotReady
from textmod_operator.kafka.admin import KafkaAdmin, Owned
from textmod_operator.kafka.breaker import Breaker
from textmod_operator.kafka.lag import LagMonitor
from textmod_operator.kafka.requests import is_refusal
from textmod_operator.state import (
    KafkaConnection,
    LagReading,
    LagUnknown,
    ReaderKey,
    Topic,
    TopicSeen,
)

logger = logging.getLogger(__name__)

Discard = Callable[[Callable[[], None]], None]
"""Runs a function that may block, in a thread of its own, at some time."""


class KafkaPending(Exception):  # noqa: N818 - not an error: the pass is repeated once it is known
    """The cluster has not been asked yet: repeat the pass once its worker has."""

    def __init__(self, connection: KafkaConnection) -> None:
        super().__init__(f"Kafka at {connection.bootstrap_servers} has not been asked yet")
        self.connection = connection


class KafkaCluster:
    """The clients of one connection, behind one breaker. Thread-safe.

    Clients are made at the first request. `prove` and `read_lag` are for the cluster's own worker;
    the other requests raise at once while the cluster is not proven.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        make_admin: Callable[[KafkaConnection], KafkaAdmin] = KafkaAdmin,
        make_monitor: Callable[[KafkaConnection], LagMonitor] = LagMonitor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connection = connection
        self.breaker = Breaker()
        self.monitor = make_monitor(connection)
        self._make_admin = make_admin
        self._admin: KafkaAdmin | None = None
        self._lock = threading.Lock()
        self._requests = 0
        self._closed = False
        self._clock = clock

    def prove(self) -> dict[str, int]:
        """Ask for the topics, whatever the breaker says; returns their partition counts.

        Raises:
            KafkaPending: it was closed.
            TopicsNotReady: the cluster does not answer, or refuses.
        """
        with self._client() as client:
            return client.partitions()

    def read_lag(self, now: float) -> dict[ReaderKey, LagReading | LagUnknown]:
        """Read the lag of every watched reader once; `now` is Unix time in seconds."""
        readings = self.monitor.poll(now)
        if self.monitor.problem is not None:
            self.breaker.failed(self.monitor.problem, self._clock())
        elif readings:
            self.breaker.succeeded()
        return readings

    def ensure(
        self, topics: Iterable[Topic], owned: Owned, record: Callable[[list[str]], None]
    ) -> tuple[TopicSeen, ...]:
        """Make the topics as asked; see `KafkaAdmin.ensure`.

        Raises:
            KafkaPending: the cluster has not been asked anything yet.
            TopicsNotReady: it does not answer (known from before, or found now), or refuses.
        """
        self._require_proven()
        with self._client() as client:
            return client.ensure(topics, owned, record)

    def topic_ids(self, names: Iterable[str]) -> dict[str, str]:
        """Return the topics that exist; see `KafkaAdmin.topic_ids`. Raises as `ensure` does."""
        self._require_proven()
        with self._client() as client:
            return client.topic_ids(names)

    def cluster_id(self) -> str:
        """Return the brokers' cluster id; see `KafkaAdmin.cluster_id`. Raises as `ensure` does."""
        self._require_proven()
        with self._client() as client:
            return client.cluster_id()

    def manageable(self, names: Iterable[str]) -> set[str]:
        """Return the topics that our user may manage; see `KafkaAdmin.manageable`. Raises as
        `ensure` does."""
        self._require_proven()
        with self._client() as client:
            return client.manageable(names)

    def ensure_group(
        self, group: str, session_seconds: int | None, before: int | None
    ) -> int | None:
        """Set how long a dead member keeps its partitions; see `GroupConfigs.ensure`. Raises as
        `ensure` does."""
        self._require_proven()
        with self._client() as client:
            return client.ensure_group(group, session_seconds, before)

    def delete(self, owned: Owned) -> None:
        """Delete topics; see `KafkaAdmin.delete`. Raises as `ensure` does."""
        self._require_proven()
        with self._client() as client:
            client.delete(owned)

    def close(self) -> None:
        """Close the clients. Waits for a poll of the lag that is under way; other requests are left
        to end, and the last one closes its client."""
        try:
            self.monitor.close()
        finally:
            with self._lock:
                self._closed = True
                self._close_if_idle()

    @contextmanager
    def _client(self) -> Iterator[KafkaAdmin]:
        """The admin client for one request, whose outcome the breaker notes."""
        with self._lock:
            if self._closed:  # the last object that used it went while this one looked
                raise KafkaPending(self.connection)
            self._requests += 1
        try:
            with self._lock:
                if self._admin is None:
                    self._admin = self._make_admin(self.connection)
                admin = self._admin
            yield admin
        except TopicsNotReady as problem:
            if is_refusal(problem):  # brokers that say no to one object answer the others
                self.breaker.succeeded()
            else:
                self.breaker.failed(problem, self._clock())
            raise
        else:
            self.breaker.succeeded()
        finally:
            with self._lock:
                self._requests -= 1
                self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._closed and self._requests == 0 and self._admin is not None:
            admin, self._admin = self._admin, None
            admin.close()

    def _require_proven(self) -> None:
        if self.breaker.proven:
            return
        if self.breaker.problem is None:
            raise KafkaPending(self.connection)
        raise self.breaker.problem.without_trace()


class KafkaClusters:
    """One `KafkaCluster` per connection. Thread-safe; nothing here waits for a broker.

    Args:
        make: makes the clients of one connection.
        discard: closes what nobody uses any more without blocking the caller.
    """

    def __init__(
        self,
        make: Callable[[KafkaConnection], KafkaCluster] = KafkaCluster,
        discard: Discard | None = None,
    ) -> None:
        self._make = make
        self._discard = discard or _in_a_thread
        self._lock = threading.Lock()
        self._clusters: dict[KafkaConnection, KafkaCluster] = {}
        self._unused: list[KafkaCluster] = []
        """Clusters that nobody uses any more and that have not been handed to `discard` yet."""
        self._closing = 0

    def __len__(self) -> int:
        """Clusters with clients, those that are being closed included."""
        with self._lock:
            return len(self._clusters) + len(self._unused) + self._closing

    def to(self, connection: KafkaConnection) -> KafkaCluster:
        """Return the clients of a connection."""
        with self._lock:
            if connection not in self._clusters:
                self._clusters[connection] = self._make(connection)
            return self._clusters[connection]

    def get(self, connection: KafkaConnection) -> KafkaCluster | None:
        """Return the clients of a connection, if there are any."""
        with self._lock:
            return self._clusters.get(connection)

    def keep_only(self, connections: set[KafkaConnection]) -> None:
        """Close the clients of every other connection, in the background. Those for which no thread
        can be started now are closed by a later call."""
        with self._lock:
            self._unused += [self._clusters.pop(one) for one in self._clusters.keys() - connections]
        while (cluster := self._next_unused()) is not None:
            try:
                self._discard(self._closer(cluster))
            except RuntimeError as error:
                with self._lock:
                    self._unused.append(cluster)
                    self._closing -= 1
                servers = cluster.connection.bootstrap_servers
                logger.warning("close the clients of %s: %s; retrying later", servers, error)
                return

    def _next_unused(self) -> KafkaCluster | None:
        with self._lock:
            if not self._unused:
                return None
            self._closing += 1
            return self._unused.pop()

    def _closer(self, cluster: KafkaCluster) -> Callable[[], None]:
        def close() -> None:
            try:
                cluster.close()
            except Exception:
                logger.exception("close the clients of %s", cluster.connection.bootstrap_servers)
            finally:
                with self._lock:
                    self._closing -= 1

        return close


def _in_a_thread(close: Callable[[], None]) -> None:
    threading.Thread(target=close, name="kafka-close", daemon=True).start()
