"""Writes to TextModerations, against an API server in memory."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from fake_api_server import FakeApiServer
from objects import body

from textmod_operator import naming
from textmod_operator.errors import ClusterError
from textmod_operator.kube.cluster import Cluster
from textmod_operator.kube.moderations import Moderations
from textmod_operator.state import Manifest, ObjectKey, Ref

KEY = ObjectKey("reddit", "science")
PATH = "/apis/textmoderation.dev/v1alpha1/namespaces/reddit/textmoderations/science"


class World:
    """An API server with one object, and a reader that has it as it was when `watch` was called."""

    def __init__(self) -> None:
        self.server = FakeApiServer()
        self.server.put(PATH, body({"replicas": 2}))
        self.known: Manifest | None = None
        self.watch()
        self.moderations = Moderations(self.server)
        self.moderations.reads_from(lambda _: self.known)

    def watch(self) -> None:
        self.known = self.server.read(PATH)

    def edit(self, change: dict[str, Any]) -> None:
        """By somebody else, unseen by the reader."""
        self.server.edit(PATH, change)

    @property
    def now(self) -> Manifest:
        found = self.server.read(PATH)
        assert found is not None
        return found

    def outcomes(self) -> list[tuple[str, int]]:
        return [(sent.method, sent.status) for sent in self.server.sent]


@pytest.fixture
def world() -> World:
    return World()


def test_a_status_is_one_request_and_so_is_the_next(world: World) -> None:
    world.moderations.patch_status(KEY, {"consumerGroup": "a"})
    world.moderations.patch_status(KEY, {"consumerGroup": "b"})  # the watch is late
    assert world.outcomes() == [("PATCH", 200)] * 2
    assert world.now["status"] == {"consumerGroup": "b"}


def test_a_status_meets_an_edit(world: World) -> None:
    world.edit({"spec": {"replicas": 3}})
    after = world.moderations.patch_status(KEY, {"consumerGroup": "a"})
    assert after == world.now
    assert world.now["spec"]["replicas"] == 3
    assert world.outcomes() == [("PATCH", 409), ("GET", 200), ("PATCH", 200)]


def test_the_status_of_an_object_recreated_meanwhile_is_not_written(world: World) -> None:
    world.server.remove(PATH)
    world.server.put(PATH, body())
    assert world.moderations.patch_status(KEY, {"consumerGroup": "a"}) is None
    assert "status" not in world.now


@pytest.mark.parametrize("seen", [False, True])
def test_what_was_decided_on_an_object_is_not_written_to_the_next_of_its_name(
    world: World, seen: bool
) -> None:
    """A pass saw the first object; the watch may have the second one by now."""
    uid = world.now["metadata"]["uid"]
    world.server.remove(PATH)
    world.server.put(PATH, body())
    if seen:
        world.watch()
    before, write = world.now, world.moderations
    assert write.patch_status(KEY, {"consumerGroup": "a"}, uid) is None
    assert write.patch_metadata(KEY, {"annotations": {"a": "b"}}, uid) is None
    assert write.set_finalizer(KEY, present=True, uid=uid) is None
    with contextlib.suppress(ClusterError):  # a size is not decided again
        write.scale(KEY, 7, uid)
    assert world.now == before
    world.watch()
    assert write.patch_status(KEY, {"consumerGroup": "a"}, before["metadata"]["uid"]) is not None


def test_an_object_that_is_gone_is_none(world: World) -> None:
    world.server.remove(PATH)
    assert world.moderations.patch_status(KEY, {"consumerGroup": "a"}) is None
    world.known = None
    assert world.moderations.patch_metadata(KEY, {"annotations": {"a": "b"}}) is None


def test_a_finalizer_that_somebody_added_meanwhile_stays(world: World) -> None:
    world.edit({"metadata": {"finalizers": ["theirs/one"]}})
    world.moderations.set_finalizer(KEY, present=True)
    assert world.now["metadata"]["finalizers"] == ["theirs/one", naming.FINALIZER]
    world.watch()
    world.edit({"metadata": {"finalizers": ["theirs/one", naming.FINALIZER, "theirs/two"]}})
    world.moderations.set_finalizer(KEY, present=False)
    assert world.now["metadata"]["finalizers"] == ["theirs/one", "theirs/two"]


def test_a_finalizer_that_somebody_removed_meanwhile_does_not_come_back(world: World) -> None:
    world.edit({"metadata": {"finalizers": ["theirs/one", naming.FINALIZER]}})
    world.watch()
    world.edit({"metadata": {"finalizers": [naming.FINALIZER]}})
    world.moderations.set_finalizer(KEY, present=False)
    assert not world.now["metadata"]["finalizers"]


def test_a_size_is_not_set_on_an_object_that_changed_since(world: World) -> None:
    world.edit({"spec": {"replicas": 5}})
    with pytest.raises(ClusterError, match="has been modified"):
        world.moderations.scale(KEY, 3)
    assert world.now["spec"]["replicas"] == 5


def test_a_status_after_a_scale_needs_no_second_look(world: World) -> None:
    world.moderations.scale(KEY, 3)
    world.moderations.patch_status(KEY, {"consumerGroup": "a"})
    assert world.outcomes() == [("PATCH", 200)] * 2
    assert world.now["spec"]["replicas"] == 3


def test_conflicts_for_ever_are_an_error(world: World) -> None:
    for number in range(9):
        world.server.before("PATCH", PATH, lambda n=number: world.edit({"spec": {"replicas": n}}))
    with pytest.raises(ClusterError, match="has been modified"):
        world.moderations.patch_status(KEY, {"consumerGroup": "a"})


def test_the_mark_of_a_new_leader_outdates_every_write_of_the_last(world: World) -> None:
    world.moderations.patch_status(KEY, {"consumerGroup": "a"})
    world.watch()
    second = Moderations(world.server)
    second.reads_from(lambda _: world.now)
    second.mark(KEY, "second")
    sent = list(world.server.sent)
    second.mark(KEY, "second")
    assert world.server.sent == sent, "once for each leader"
    assert world.now["metadata"]["annotations"] == {naming.LEADER_ANNOTATION: "second"}
    stale = {"metadata": {"resourceVersion": world.known["metadata"]["resourceVersion"]}}
    for subresource, change in (
        ("", {"metadata": {**stale["metadata"], "annotations": {"a": "b"}}}),
        ("/status", {**stale, "status": {"consumerGroup": "old"}}),
        ("/scale", {**stale, "spec": {"replicas": 9}}),
    ):
        with pytest.raises(ClusterError, match="has been modified"):
            world.server.request("PATCH", PATH + subresource, "TextModeration", body=change)


def test_an_object_that_nobody_acted_on_needs_no_mark(world: World) -> None:
    world.moderations.mark(KEY, "first")
    assert world.server.sent == []


# --- model pods -----------------------------------------------------------------------------------


def test_a_pods_annotation_is_merged_and_a_pod_that_is_gone_passed_over() -> None:
    server = FakeApiServer()
    path = "/api/v1/namespaces/reddit/pods/science-1"
    pod = {"metadata": {"name": "science-1", "namespace": "reddit", "annotations": {"a": "1"}}}
    server.put(path, {"apiVersion": "v1", "kind": "Pod", **pod})
    cluster = Cluster(server, "me")
    cluster.annotate_pod("reddit", "science-1", {"b": "2"})
    found = server.read(path)
    assert found is not None
    assert found["metadata"]["annotations"] == {"a": "1", "b": "2"}
    cluster.annotate_pod("reddit", "science-2", {"b": "2"})
    server.fail("PATCH", path, 403)
    with pytest.raises(ClusterError):
        cluster.annotate_pod("reddit", "science-1", {"b": "3"})


# --- owned objects --------------------------------------------------------------------------------


def test_an_absent_owned_object_is_asked_for_only_until_its_kind_was_listed() -> None:
    server = FakeApiServer()
    cluster = Cluster(server, "me")
    ref = Ref("v1", "ConfigMap", "reddit", "science-policies")
    assert cluster.known(ref) is None
    assert [sent.method for sent in server.sent] == ["GET"]
    cluster._cache.listed("ConfigMap", "/namespaces/other", [], 5)
    assert cluster.known(ref) is None
    assert len(server.sent) == 2, "another namespace was listed"
    cluster._cache.listed("ConfigMap", "", [], 6)
    assert cluster.known(ref) is None
    assert len(server.sent) == 2
