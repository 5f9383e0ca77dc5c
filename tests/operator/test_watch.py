"""List-watch, step by step, against an API server in memory."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api_server import FakeApiServer

from textmod_operator import naming
from textmod_operator.errors import ClusterError
from textmod_operator.kube.cache import OwnedObjects
from textmod_operator.kube.watch import (
    MAX_BACKOFF_SECONDS,
    NOT_INSTALLED_SECONDS,
    SHORT_SECONDS,
    Handler,
    ListWatch,
    config_map_handler,
)
from textmod_operator.state import ObjectKey, Ref

COLLECTION = "/api/v1/services"
PATH = "/api/v1/namespaces/reddit/services/science"
REF = Ref("v1", "Service", "reddit", "science")
SCIENCE = ObjectKey("reddit", "science")


def service(port: int = 80) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"labels": {naming.NAME_LABEL: "science", "managed": "yes"}},
        "spec": {"port": port},
    }


class World:
    def __init__(self) -> None:
        self.server = FakeApiServer()
        self.cache = OwnedObjects()
        self.changed: list[ObjectKey] = []
        self.seconds = 0.0
        handler = Handler(
            lambda items, version: self.cache.listed("Service", "", items, version),
            self.cache.on_event,
            self.changed.append,
        )
        self.watch = ListWatch(
            self.server,
            COLLECTION,
            "Service",
            ("labelSelector", "managed=yes"),
            handler,
            clock=lambda: self.seconds,
            jitter=lambda: 1.0,
        )

    def requests(self) -> list[str]:
        """LIST or WATCH, since the last call."""
        sent, self.server.sent = self.server.sent, []
        return ["LIST" if one.method == "GET" else one.method for one in sent]


@pytest.fixture
def world() -> World:
    return World()


def test_one_list_and_then_watches_from_the_last_version(world: World) -> None:
    world.server.put(PATH, service())
    assert world.watch.step() == 0
    assert world.changed == [SCIENCE]
    edited = world.server.edit(PATH, {"spec": {"port": 81}})
    assert world.watch.step() == 0
    assert world.changed == [SCIENCE, SCIENCE]
    world.watch.step()
    assert world.requests() == ["LIST", "WATCH", "WATCH"]
    live = world.cache.live(REF)
    assert live is not None
    assert live["metadata"]["resourceVersion"] == edited["metadata"]["resourceVersion"]


def test_bookmarks_are_requested_and_move_the_version_on(world: World) -> None:
    world.watch.step()
    world.server.put("/api/v1/namespaces/reddit/services/foreign", {"metadata": {}})
    world.watch.step()
    asked = world.server.sent[-1].query
    assert asked["allowWatchBookmarks"] == "true"
    world.server.compact()  # everything before now is Gone, and the watch need not care
    world.watch.step()
    assert world.requests() == ["LIST", "WATCH", "WATCH"]
    assert world.changed == []


def test_a_broken_connection_is_resumed_without_a_list(world: World) -> None:
    world.watch.step()
    world.server.fail("WATCH", COLLECTION, 0, "read timed out")
    assert world.watch.step() > 0
    world.server.put(PATH, service())
    world.watch.step()
    assert world.requests() == ["LIST", "WATCH", "WATCH"]
    assert world.changed == [SCIENCE]


def test_what_was_deleted_while_the_version_expired_is_noticed(world: World) -> None:
    world.server.put(PATH, service())
    world.watch.step()
    world.server.remove(PATH)
    world.server.compact()
    assert world.watch.step() > 0, "not at once"
    world.watch.step()
    assert world.requests() == ["LIST", "WATCH", "LIST"]
    assert world.cache.live(REF) is None
    assert world.changed == [SCIENCE, SCIENCE]


def test_error_events_for_ever_are_answered_ever_more_slowly(world: World) -> None:
    world.watch.step()
    error = {"type": "ERROR", "object": {"code": 500, "message": "etcd is away"}}
    for _ in range(40):
        world.server.stream(COLLECTION, error)
    waits = [world.watch.step() for _ in range(40)]
    assert waits[0] > 0
    assert waits == sorted(waits)
    assert waits[-1] == MAX_BACKOFF_SECONDS
    assert set(world.requests()[1:]) == {"WATCH"}, "only Gone asks for a list"


def test_gone_for_ever_is_answered_ever_more_slowly(world: World) -> None:
    waits = []
    for _ in range(40):
        world.watch.step()
        gone = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
        world.server.stream(COLLECTION, gone)
        waits.append(world.watch.step())
    assert waits == sorted(waits)
    assert waits[-1] == MAX_BACKOFF_SECONDS


def test_watches_that_end_at_once_are_answered_ever_more_slowly(world: World) -> None:
    """A proxy that closes every stream."""
    world.watch.step()
    for _ in range(9):
        world.server.stream(COLLECTION)
    waits = [world.watch.step() for _ in range(9)]
    assert waits == sorted(waits)
    assert waits[0] > 0


def test_an_event_ends_the_back_off(world: World) -> None:
    world.watch.step()
    world.server.fail("WATCH", COLLECTION, 503, times=6)
    waits = [world.watch.step() for _ in range(6)]
    world.server.put(PATH, service())
    assert world.watch.step() == 0
    world.server.fail("WATCH", COLLECTION, 503)
    assert world.watch.step() == waits[0]


def test_a_quiet_watch_that_lasted_is_resumed_at_once(world: World) -> None:
    world.watch.step()

    class Quiet(FakeApiServer):
        def watch(self, *_: object, **__: object) -> Any:
            world.seconds += SHORT_SECONDS
            return iter(())

    world.watch._api = Quiet()
    assert world.watch.step() == 0


@pytest.mark.parametrize("status", [0, 401, 403, 429, 500, 503])
def test_a_list_that_fails_is_tried_again(world: World, status: int) -> None:
    world.server.put(PATH, service())
    world.server.fail("GET", COLLECTION, status, times=3)
    waits = [world.watch.step() for _ in range(3)]
    assert waits == sorted(waits)
    assert waits[0] > 0
    world.watch.step()
    assert world.changed == [SCIENCE]


def test_a_kind_that_is_not_installed_is_awaited(world: World) -> None:
    world.server.unknown = {"services"}
    assert world.watch.step() == NOT_INSTALLED_SECONDS
    world.server.unknown = set()
    world.server.put(PATH, service())
    assert world.watch.step() == 0
    assert world.changed == [SCIENCE]


def test_a_kind_that_is_uninstalled_leaves_no_ghosts(world: World) -> None:
    world.server.put(PATH, service())
    world.watch.step()
    world.server.fail("WATCH", COLLECTION, 404)
    assert world.watch.step() == NOT_INSTALLED_SECONDS
    assert world.cache.live(REF) is None


@pytest.mark.parametrize(
    "event",
    [
        {"type": "MODIFIED", "object": {"kind": "Service"}},
        {"type": "ADDED"},
        {"object": {}},
    ],
)
def test_an_event_that_makes_no_sense_never_ends_the_watch(
    world: World, event: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    world.watch.step()
    world.server.put(PATH, service())
    world.server.stream(COLLECTION, event)
    assert world.watch.step() > 0
    assert "listing again" in caplog.text
    world.watch.step()
    assert world.changed == [SCIENCE]


def test_a_callback_that_raises_never_ends_the_watch(world: World) -> None:
    world.server.put(PATH, service())
    raised = iter([RuntimeError("a bug")])

    def enqueue(key: ObjectKey) -> None:
        for error in raised:
            raise error
        world.changed.append(key)

    world.watch._handler = Handler(
        lambda items, _: {ObjectKey("reddit", "science") for _ in items},
        world.cache.on_event,
        enqueue,
    )
    assert world.watch.step() > 0
    assert world.watch.step() == 0
    assert world.changed == [SCIENCE]


def test_one_config_map_is_followed(world: World) -> None:
    named = {"namespace": "kube-system", "name": "authentication"}
    there = {"metadata": named, "data": {"ca": "old"}}
    seen: list[Any] = []
    handler = config_map_handler(lambda found: seen.append(found["data"]["ca"]))
    selector = ("fieldSelector", "metadata.name=authentication")
    path = "/api/v1/namespaces/kube-system/configmaps"
    watch = ListWatch(world.server, path, "ConfigMap", selector, handler)
    world.server.put(f"{path}/authentication", there)
    world.server.put(f"{path}/other", {**there, "metadata": {**named, "name": "other"}})
    watch.step()
    world.server.put(f"{path}/authentication", {**there, "data": {"ca": "new"}})
    watch.step()
    world.server.remove(f"{path}/authentication")
    watch.step()
    assert seen == ["old", "new"]


def test_a_watch_that_breaks_midway_keeps_what_it_had(world: World) -> None:
    world.watch.step()
    body = world.server.put(PATH, service())
    world.server.stream(
        COLLECTION, {"type": "ADDED", "object": body}, ClusterError(0, "connection reset")
    )
    assert world.watch.step() > 0
    assert world.changed == [SCIENCE]
    world.watch.step()
    assert world.server.sent[-1].query["resourceVersion"] == body["metadata"]["resourceVersion"]
