"""The API server in memory (`tests/support/fake_api_server.py`) answers as Kubernetes does.

One table of requests, run on both. It holds what the preconditions of the operator rest on: an
apply with a resourceVersion that no object has creates, and never adopts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fake_api_server import FakeApiServer

from textmod_dev.local_cluster import LocalCluster
from textmod_operator.errors import ClusterError
from textmod_operator.kube.apply import NONE_YET, Applier
from textmod_operator.kube.cache import OwnedObjects
from textmod_operator.kube.client import APPLY_PATCH, MERGE_PATCH, Api, connect

pytestmark = pytest.mark.integration

OTHER_UID = "11111111-1111-1111-1111-111111111111"


@pytest.fixture(params=["Kubernetes", "in memory"])
def api(request: pytest.FixtureRequest) -> Api:
    if request.param == "in memory":
        return FakeApiServer()
    cluster = request.getfixturevalue("cluster")
    return connect(str(cluster.kubeconfig))


class Things:
    """ConfigMaps of one name, as a test asks for them."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self._path = f"{self._collection}/{name}"
        self._name = name

    def apply(
        self, value: str, *, manager: str = "us", force: bool = False, **metadata: str
    ) -> dict[str, Any]:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self._name, "labels": {"test": "yes"}, **metadata},
            "data": {"key": value},
        }
        query = [("fieldManager", manager), *([("force", "true")] if force else [])]
        return self._done("PATCH", body, query, APPLY_PATCH)

    def merge(self, change: dict[str, Any]) -> dict[str, Any]:
        return self._done("PATCH", change, [("fieldManager", "us")], MERGE_PATCH)

    def delete(self, **preconditions: str) -> None:
        self._done("DELETE", {"preconditions": preconditions}, [], "application/json")

    def get(self) -> dict[str, Any] | None:
        return self._api.request("GET", self._path, "ConfigMap", absent_is_none=True)

    def events(self, since: str) -> Iterator[dict[str, Any]]:
        query = [("labelSelector", "test=yes"), ("resourceVersion", since)]
        return self._api.watch(self._collection, query, seconds=1, silence=10)

    def _done(self, method: str, body: Any, query: Any, content_type: str) -> dict[str, Any]:
        answer = self._api.request(
            method, self._path, "ConfigMap", body=body, query=query, content_type=content_type
        )
        return answer or {}


@pytest.fixture
def things(api: Api, request: pytest.FixtureRequest) -> Iterator[Things]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:60].strip("-")
    found = Things(api, "default", name)
    yield found
    if found.get() is not None:
        found.delete()


def refused(status: int) -> Any:
    return pytest.raises(ClusterError, match=f"answered {status}")


def version(body: dict[str, Any]) -> str:
    return str(body["metadata"]["resourceVersion"])


def test_an_apply_that_may_only_create(things: Things) -> None:
    made = things.apply("a", resourceVersion=NONE_YET)
    assert made["metadata"]["uid"]
    for force in (False, True):
        with refused(409):
            things.apply("b", resourceVersion=NONE_YET, force=force)
        with refused(409):
            things.apply("b", resourceVersion=NONE_YET, force=force, manager="another")
    kept = things.get()
    assert kept is not None
    assert kept["data"] == {"key": "a"}


def test_an_apply_to_one_reading_of_one_object(things: Things) -> None:
    made = things.apply("a")
    uid = made["metadata"]["uid"]
    newer = things.apply("b", uid=uid, resourceVersion=version(made))
    assert int(version(newer)) > int(version(made))
    with refused(409):
        things.apply("c", uid=uid, resourceVersion=version(made), force=True)
    with refused(422):
        things.apply("c", uid=OTHER_UID)
    things.delete()
    with refused(409):
        things.apply("c", uid=uid, resourceVersion=version(newer), force=True)
    assert things.get() is None


def test_an_apply_keeps_every_character(things: Things) -> None:
    text = "\U0001f600 \u00e9 \x7f \x85 \u2028 \u2029 \ufeff \uffff \0 \t \n \\ud83d \" ' # : -"
    assert things.apply(text)["data"] == {"key": text}


def test_an_apply_that_changes_nothing_leaves_the_version(things: Things) -> None:
    assert version(things.apply("a")) == version(things.apply("a"))


def test_a_field_of_another_manager_needs_force(things: Things) -> None:
    things.apply("a", manager="another")
    with refused(409):
        things.apply("b")
    assert things.apply("b", force=True)["data"] == {"key": "b"}


def test_a_merge_to_one_reading(things: Things) -> None:
    made = things.apply("a")
    things.merge({"metadata": {"resourceVersion": version(made)}, "data": {"more": "x"}})
    with refused(409):
        things.merge({"metadata": {"resourceVersion": version(made)}, "data": {"more": "y"}})
    with refused(422):
        things.merge({"metadata": {"uid": OTHER_UID}})
    kept = things.get()
    assert kept is not None
    assert kept["data"] == {"key": "a", "more": "x"}


@pytest.mark.parametrize("precondition", [{"uid": OTHER_UID}, {"resourceVersion": "1"}])
def test_a_delete_with_preconditions(things: Things, precondition: dict[str, str]) -> None:
    made = things.apply("a")
    with refused(409):
        things.delete(**precondition)
    assert things.get() is not None
    things.delete(uid=made["metadata"]["uid"], resourceVersion=version(made))
    assert things.get() is None


def test_a_finalizer_holds_an_object(things: Things) -> None:
    things.apply("a")
    things.merge({"metadata": {"finalizers": ["example.org/hold"]}})
    things.delete()
    held = things.get()
    assert held is not None
    assert held["metadata"]["deletionTimestamp"]
    things.merge({"metadata": {"finalizers": []}})
    assert things.get() is None


def test_a_watch_tells_what_came_after_a_version(things: Things) -> None:
    made = things.apply("a")
    things.apply("b")
    things.delete()
    events = [
        (event["type"], event["object"]["data"]["key"])
        for event in things.events(version(made))
        if event["type"] != "BOOKMARK"
        and event["object"]["metadata"]["name"] == made["metadata"]["name"]
    ]
    assert events == [("MODIFIED", "b"), ("DELETED", "b")]


def test_a_namespace_that_is_being_deleted_is_known_without_reading_it(
    cluster: LocalCluster,
) -> None:
    api, namespace = connect(str(cluster.kubeconfig)), "on-its-way-out"
    applier, path = Applier(api, OwnedObjects()), f"/api/v1/namespaces/{namespace}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    api.request("POST", "/api/v1/namespaces", "Namespace", body=body)
    held = Things(api, namespace, "held")
    held.apply("a", finalizers=["textmoderation.dev/test"])  # type: ignore[arg-type]
    try:
        assert not applier.is_terminating(namespace)
        api.request("DELETE", path, "Namespace")
        assert applier.is_terminating(namespace)
    finally:
        held.merge({"metadata": {"finalizers": None}})
    assert not applier.is_terminating("default")
