"""List-watch of the model pods and of everything that is made for TextModerations.

`ListWatch` decides and does one request at a time, without threads; `Watches` runs one in a thread
for each kind and scope. `decisions/2026-11-27-list-watch.md` says why this is not the client
library's informer.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from textmod_operator import naming
from textmod_operator.desired.kafka_topics import KAFKA_TOPIC
from textmod_operator.errors import ClusterError
from textmod_operator.kube.cache import OwnedObjects
from textmod_operator.kube.client import Api
from textmod_operator.kube.resources import OWNED_KINDS, PLURALS, prefix, scopes
from textmod_operator.pods import PodTable
from textmod_operator.state import Manifest, ObjectKey

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 300.0
"""The API server ends a watch after this time, and it is resumed."""
SILENCE_SECONDS: Final = 130.0
"""A watch that says nothing for so long is dead: the API server sends a bookmark every minute."""
NOT_INSTALLED_SECONDS: Final = 600.0
"""How often to look for a kind that the cluster does not have, unless one is applied before."""
FIRST_BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 30.0
SHORT_SECONDS: Final = 1.0
"""A watch that ends sooner than this without an event counts as a failure."""
GONE: Final = 410


@dataclass(frozen=True)
class Handler:
    """Callbacks of one list-watch."""

    on_list: Callable[[list[Manifest], int | None], set[ObjectKey]]
    """A complete list and its resourceVersion (None: the cluster does not have the kind); the
    TextModerations whose objects changed."""
    on_event: Callable[[Manifest], ObjectKey | None]
    """One event; the TextModeration whose object changed, or None."""
    enqueue: Callable[[ObjectKey], None]


class ListWatch:
    """One kind in one scope: what to request next, and how long to wait before it.

    Lists once, then watches from the last resourceVersion that it saw, through time-outs and broken
    connections; lists again only when that version has expired. Not thread-safe.

    Args:
        path: of the collection.
        selector: labelSelector or fieldSelector, and its value.
        clock: monotonic seconds.
        jitter: a factor for each back-off, about 1.
        find: returns the path before each list, for a kind whose version depends on the cluster;
            raises ClusterError 404 when the cluster does not have the kind.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        kind: str,
        selector: tuple[str, str],
        handler: Handler,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.5),  # noqa: S311
        find: Callable[[], str] | None = None,
    ) -> None:
        self._api = api
        self._find = find
        self._path = path
        self._kind = kind
        self._query = [selector]
        self._handler = handler
        self._clock = clock
        self._jitter = jitter
        self._version: int | None = None
        self._failures = 0

    def step(self) -> float:
        """Do one list or one watch, to its end; the seconds to wait before the next step.

        Raises nothing: a fault of a handler is logged, and the list is read again after a back-off.
        """
        try:
            if self._version is None:
                self._list()
                return 0.0
            return self._watch(self._version)
        except ClusterError as error:
            return self._failed(error)
        except Exception:
            logger.exception("watch %s: unexpected error; listing again", self._path)
            self._version = None
            return self._backoff()

    def _list(self) -> None:
        if self._find is not None:
            self._path = self._find()
        listed = self._api.request("GET", self._path, self._kind, query=self._query) or {}
        version = int(listed["metadata"]["resourceVersion"])
        group = {"apiVersion": listed.get("apiVersion"), "kind": self._kind}
        items = [{**group, **item} for item in listed.get("items") or ()]
        for key in self._handler.on_list(items, version):
            self._handler.enqueue(key)
        self._version = version

    def _watch(self, version: int) -> float:
        started = self._clock()
        query = [
            *self._query,
            ("resourceVersion", str(version)),
            ("allowWatchBookmarks", "true"),
        ]
        events = self._api.watch(self._path, query, seconds=WATCH_SECONDS, silence=SILENCE_SECONDS)
        progressed = False
        for event in events:
            if event["type"] == "ERROR":
                status = event["object"]
                raise ClusterError(status.get("code", 0), status.get("message", "watch error"))
            if event["type"] != "BOOKMARK" and (changed := self._handler.on_event(event)):
                self._handler.enqueue(changed)
            self._version = int(event["object"]["metadata"]["resourceVersion"])
            self._failures, progressed = 0, True
        if progressed or self._clock() - started >= SHORT_SECONDS:
            self._failures = 0
            return 0.0
        return self._backoff()

    def _failed(self, error: ClusterError) -> float:
        if error.status == GONE:
            # Some events between that version and the next list are lost for good.
            logger.info("watch %s: resourceVersion expired; listing again", self._path)
            self._version = None
            return self._backoff()
        if error.status == 404:
            # The cluster does not have the kind, or no longer. The first apply wakes us.
            self._version = None
            for key in self._handler.on_list([], None):
                self._handler.enqueue(key)
            return NOT_INSTALLED_SECONDS
        delay = self._backoff()
        logger.warning("watch %s: %s; retrying in %.1f s", self._path, error, delay)
        return delay

    def _backoff(self) -> float:
        delay = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return delay * self._jitter()


@dataclass(frozen=True)
class KafkaTopics:
    """Where to watch KafkaTopics, whose version depends on the cluster."""

    namespaces: tuple[str, ...]
    """Empty means all."""
    api_version: Callable[[], str]
    """Raises ClusterError 404 when the cluster has none."""


class Watches:
    """The watches of one process, each in a thread.

    They select by label on the server, and treat what is missing in a list as deleted: kopf's do
    neither.
    """

    def __init__(
        self,
        api: Api,
        owned: OwnedObjects,
        pods: Mapping[str, PodTable],
        kafka_topics: KafkaTopics | None = None,
    ) -> None:
        """
        Args:
            pods: label by which pods are selected → where they are kept.
            kafka_topics: None: they are not watched.
        """
        self._api = api
        self._kafka_topics = kafka_topics
        self._owned = owned
        self._pods = pods
        self._applied = {kind: threading.Event() for kind in PLURALS}
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Call nobody any more, and end each thread after its current request."""
        self._stopped.set()
        for applied in self._applied.values():
            applied.set()

    def applied(self, kind: str) -> None:
        """Look for a kind now that one was applied."""
        self._applied[kind].set()

    def start(self, namespaces: tuple[str, ...], enqueue: Callable[[ObjectKey], None]) -> None:
        """Watch from now on.

        Args:
            namespaces: where; empty means all.
            enqueue: called with each TextModeration whose objects changed, in a watch's thread.
        """
        stopped = self._stopped

        def enqueue_until_stopped(key: ObjectKey) -> None:
            if not stopped.is_set():
                enqueue(key)

        for kind, list_watch in self.list_watches(namespaces, enqueue_until_stopped):
            self._run(kind, list_watch)

    def list_watches(
        self, namespaces: tuple[str, ...], enqueue: Callable[[ObjectKey], None]
    ) -> list[tuple[str, ListWatch]]:
        """Return what `start` runs in threads, each with its kind, for a caller that steps it."""
        everywhere = scopes(namespaces)
        for table in self._pods.values():
            table.expect(set(everywhere))
        managed = ("labelSelector", f"{naming.MANAGED_BY_LABEL}={naming.MANAGED_BY}")
        found = []
        for scope in everywhere:
            path = f"/api/v1{scope}/pods"
            for label, table in self._pods.items():
                handler = Handler(
                    partial(_pods_listed, table, scope), partial(table.saw, scope), enqueue
                )
                labelled = ("labelSelector", label)
                found.append(("Pod", ListWatch(self._api, path, "Pod", labelled, handler)))
            for api_version, kind in OWNED_KINDS:
                path = f"{prefix(api_version)}{scope}/{PLURALS[kind]}"
                handler = Handler(
                    partial(self._owned.listed, kind, scope), self._owned.on_event, enqueue
                )
                found.append((kind, ListWatch(self._api, path, kind, managed, handler)))
        if (topics := self._kafka_topics) is not None:
            found += [
                (KAFKA_TOPIC, self._of_kafka_topics(topics, scope, enqueue))
                for scope in scopes(topics.namespaces)
            ]
        return found

    def _of_kafka_topics(
        self, topics: KafkaTopics, scope: str, enqueue: Callable[[ObjectKey], None]
    ) -> ListWatch:
        def find() -> str:
            return f"{prefix(topics.api_version())}{scope}/{PLURALS[KAFKA_TOPIC]}"

        ours = ("labelSelector", f"{naming.MANAGED_BY_LABEL}={naming.MANAGED_BY}")
        listed = partial(self._owned.listed, KAFKA_TOPIC, scope)
        handler = Handler(listed, self._owned.on_event, enqueue)
        return ListWatch(self._api, PLURALS[KAFKA_TOPIC], KAFKA_TOPIC, ours, handler, find=find)

    def follow_config_map(
        self, namespace: str, name: str, published: Callable[[Manifest], None]
    ) -> None:
        """Watch one ConfigMap from now on.

        Args:
            published: called in the watch's thread with the ConfigMap as it is, and as it becomes.
        """
        handler = config_map_handler(published)
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        named = ("fieldSelector", f"metadata.name={name}")
        self._run("ConfigMap", ListWatch(self._api, path, "ConfigMap", named, handler))

    def _run(self, kind: str, list_watch: ListWatch) -> None:
        applied = self._applied.setdefault(kind, threading.Event())

        def follow() -> None:
            while not self._stopped.is_set():
                applied.clear()
                delay = list_watch.step()
                waited_for = applied if delay >= NOT_INSTALLED_SECONDS else self._stopped
                waited_for.wait(delay)

        threading.Thread(target=follow, name=f"watch-{kind}", daemon=True).start()


def config_map_handler(published: Callable[[Manifest], None]) -> Handler:
    """Return a handler that passes on what is there: a deletion changes nothing."""

    def on_list(items: list[Manifest], _: int | None) -> set[ObjectKey]:
        for item in items:
            published(item)
        return set()

    def on_event(event: Manifest) -> None:
        if event["type"] != "DELETED":
            published(event["object"])

    return Handler(on_list, on_event, lambda _: None)


def _pods_listed(
    pods: PodTable, scope: str, items: list[Manifest], _: int | None
) -> set[ObjectKey]:
    return pods.listed(scope, items)
