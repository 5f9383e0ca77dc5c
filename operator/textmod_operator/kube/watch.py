"""List-watch of the model pods and of everything that is made for TextModerations, in threads."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from textmod_operator import naming
from textmod_operator.errors import ClusterError
from textmod_operator.kube.cache import OwnedObjects
from textmod_operator.kube.client import Api
from textmod_operator.kube.resources import OWNED_KINDS, PLURALS, prefix, scopes
from textmod_operator.pods import PodTable
from textmod_operator.state import Manifest, ObjectKey

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 600.0
"""The API server ends a watch after this time, and it is requested again."""
NOT_INSTALLED_SECONDS: Final = 600.0
"""How often to look for a kind that the cluster does not have, unless one is applied before."""
FORBIDDEN_SECONDS: Final = 5.0
"""How often to retry a watch that is forbidden: an API server that has just started forbids
everything for a moment."""


@dataclass(frozen=True)
class Handler:
    """Callbacks of one list-watch."""

    on_list: Callable[[list[Manifest]], set[ObjectKey]]
    """A complete list; the TextModerations whose objects changed."""
    on_event: Callable[[Manifest], ObjectKey | None]
    """One event; the TextModeration whose object changed, or None."""
    enqueue: Callable[[ObjectKey], None]


class Watches:
    """The watches of one process.

    They select by label on the server, and treat what is missing in a list as deleted: kopf's do
    neither.
    """

    def __init__(self, api: Api, owned: OwnedObjects, pods: PodTable) -> None:
        self._api = api
        self._owned = owned
        self._pods = pods
        self._installed = {kind: threading.Event() for kind in PLURALS}
        """Set once an object of that kind was applied."""

    def applied(self, kind: str) -> None:
        """Look for a kind now that one was applied."""
        self._installed[kind].set()

    def start(self, namespaces: tuple[str, ...], enqueue: Callable[[ObjectKey], None]) -> None:
        """Watch from now on, in threads.

        Args:
            namespaces: where; empty means all.
            enqueue: called with each TextModeration whose objects changed.
        """
        everywhere = scopes(namespaces)
        self._pods.expect(set(everywhere))
        for scope in everywhere:
            handler = Handler(
                partial(self._pods.listed, scope), partial(self._pods.saw, scope), enqueue
            )
            self._start(f"/api/v1{scope}/pods", "Pod", naming.NAME_LABEL, handler)
            for api_version, kind in OWNED_KINDS:
                path = f"{prefix(api_version)}{scope}/{PLURALS[kind]}"
                handler = Handler(
                    partial(self._owned.listed, kind, scope), self._owned.on_event, enqueue
                )
                selector = f"{naming.MANAGED_BY_LABEL}={naming.MANAGED_BY}"
                self._start(path, kind, selector, handler)

    def _start(self, path: str, kind: str, selector: str, handler: Handler) -> None:
        follow = partial(self._follow, path, kind, selector, handler)
        threading.Thread(target=follow, name=f"watch-{kind}", daemon=True).start()

    def _follow(self, path: str, kind: str, selector: str, handler: Handler) -> None:
        query = [("labelSelector", selector)]
        installed = self._installed.setdefault(kind, threading.Event())
        while True:
            installed.clear()
            try:
                listed = self._api.request("GET", path, kind, query=query) or {}
                group = {"apiVersion": listed.get("apiVersion"), "kind": kind}
                items = [{**group, **item} for item in listed.get("items") or ()]
                for key in handler.on_list(items):
                    handler.enqueue(key)
                version = listed["metadata"]["resourceVersion"]
                events = self._api.watch(
                    path,
                    [*query, ("resourceVersion", version)],
                    seconds=WATCH_SECONDS,
                    silence=WATCH_SECONDS * 2,
                )
                for event in events:
                    if event["type"] == "ERROR":
                        break  # the version has expired: list again
                    if event["type"] != "BOOKMARK" and (changed := handler.on_event(event)):
                        handler.enqueue(changed)
            except ClusterError as error:
                if error.status == 404:
                    # The cluster does not have the kind. The first apply wakes us.
                    installed.wait(NOT_INSTALLED_SECONDS)
                    continue
                logger.warning("watch %s: %s; restarting", path, error)
                seconds = FORBIDDEN_SECONDS if error.status == 403 else 1.0
                time.sleep(seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
