"""Server-side apply and deletion, against an API server in memory."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api_server import FakeApiServer
from objects import moderation

from textmod_operator import naming
from textmod_operator.errors import ClusterError, NotAccepted, Problem, WorkloadNotReady
from textmod_operator.kube.apply import REPAIR_SECONDS, REPAIRS, Applier
from textmod_operator.kube.cache import OwnedObjects
from textmod_operator.state import Ref

PATH = "/api/v1/namespaces/reddit/services/science"
REF = Ref("v1", "Service", "reddit", "science")
OWNER = moderation()


def service(port: int = 80, name: str = "science") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "reddit", "labels": {naming.NAME_LABEL: "science"}},
        "spec": {"port": port, "selector": {"a": "b"}},
    }


class World:
    """An API server, a cache that a test feeds, and a clock that it turns."""

    def __init__(self) -> None:
        self.server = FakeApiServer()
        self.cache = OwnedObjects()
        self.seconds = 0.0
        self.applier = Applier(self.server, self.cache, lambda: self.seconds)

    def watch(self) -> None:
        """Let the cache catch up."""
        body = self.server.read(PATH)
        if body is not None:
            self.cache.saw(body)

    @property
    def port(self) -> int | None:
        body = self.server.read(PATH)
        return None if body is None else body["spec"]["port"]


@pytest.fixture
def world() -> World:
    return World()


def test_a_create_is_one_request_and_what_stands_costs_none(world: World) -> None:
    world.applier.apply(service(), OWNER)
    assert [sent.method for sent in world.server.sent] == ["PATCH"]
    world.applier.apply(service(), OWNER)
    assert len(world.server.sent) == 1


TERMINATING = (
    'configmaps "textmod-operator-x" is forbidden: unable to create new content in namespace '
    "reddit because it is being terminated"
)


@pytest.mark.parametrize(
    ("status", "message", "terminating"),
    [
        (403, TERMINATING, True),
        (403, 'configmaps "x" is forbidden: exceeded quota: few', False),
        (400, 'admission webhook "x" does not support dry run', False),
    ],
)
def test_a_namespace_that_is_being_deleted_is_known_without_reading_it(
    world: World, status: int, message: str, terminating: bool
) -> None:
    assert not world.applier.is_terminating("reddit")
    world.server.fail("POST", "/namespaces/reddit/configmaps", status, message)
    assert world.applier.is_terminating("reddit") == terminating
    assert world.server.everything() == {}, "nothing is written"
    world.server.fail("POST", "/namespaces/reddit/configmaps", 0)
    with pytest.raises(ClusterError):
        world.applier.is_terminating("reddit")


class Pruning(FakeApiServer):
    """One whose schema of an object lacks a field that is sent, as an older CRD's may."""

    def request(self, method: str, path: str, kind: str, **sent: Any) -> Any:
        if method == "PATCH" and (spec := (sent.get("body") or {}).get("spec")):
            sent["body"] = {**sent["body"], "spec": {k: v for k, v in spec.items() if k != "port"}}
        return super().request(method, path, kind, **sent)


def test_a_field_that_the_schema_prunes_is_no_drift() -> None:
    world = World()
    world.server = Pruning()
    world.applier = Applier(world.server, world.cache, lambda: world.seconds)
    for _ in range(REPAIRS + 2):
        world.applier.apply(service(), OWNER)
        world.watch()
    assert len(world.server.sent) == 1


def test_a_foreign_object_is_not_adopted_even_if_no_field_conflicts(world: World) -> None:
    foreign = service()
    del foreign["metadata"]["labels"]
    before = world.server.put(PATH, foreign)
    with pytest.raises(WorkloadNotReady, match="was not made for this TextModeration"):
        world.applier.apply(service(), OWNER)
    assert world.server.read(PATH) == before


def test_a_foreign_object_created_at_the_last_moment_is_not_adopted(world: World) -> None:
    world.server.before("PATCH", PATH, lambda: world.server.put(PATH, service(81)) and None)
    with pytest.raises(WorkloadNotReady, match="was not made for this TextModeration"):
        world.applier.apply(service(), OWNER)
    assert world.port == 81


def test_a_delayed_create_does_not_touch_what_another_created_meanwhile(world: World) -> None:
    """The request of a process that was frozen, sent after the next leader acted."""
    world.applier.apply(service(80), OWNER)
    create = world.server.sent[-1]
    assert create.body is not None
    world.server.remove(PATH)
    other = Applier(world.server, OwnedObjects())
    other.apply(service(82), OWNER)
    with pytest.raises(ClusterError, match="has been modified"):
        world.server.request(
            create.method,
            create.path,
            "Service",
            body=create.body,
            query=list(create.query.items()),
            content_type="application/apply-patch+yaml",
        )
    assert world.port == 82


def test_the_first_apply_of_the_next_leader_outdates_updates_of_the_last(world: World) -> None:
    world.applier.apply(service(80), OWNER, "first")
    body = world.server.read(PATH)
    assert body is not None
    world.cache.saw(body)
    second = OwnedObjects()
    second.saw(body)
    Applier(world.server, second).apply(service(80), OWNER, "second")
    after = world.server.read(PATH)
    assert after is not None
    assert after["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]
    assert after["metadata"]["annotations"] == {naming.LEADER_ANNOTATION: "second"}


def test_drift_is_undone(world: World) -> None:
    world.applier.apply(service(), OWNER)
    world.server.edit(PATH, {"spec": {"port": 99}})
    world.watch()
    world.applier.apply(service(), OWNER)
    assert world.port == 80


def test_fields_of_others_stay(world: World) -> None:
    world.applier.apply(service(), OWNER)
    world.server.edit(PATH, {"metadata": {"annotations": {"theirs": "yes"}}})
    world.watch()
    world.applier.apply(service(81), OWNER)
    body = world.server.read(PATH)
    assert body is not None
    assert body["metadata"]["annotations"] == {"theirs": "yes"}


def test_an_update_decided_on_an_old_reading_is_decided_again(world: World) -> None:
    world.applier.apply(service(), OWNER)
    world.server.edit(PATH, {"status": {"x": 1}})  # the cache has not caught up
    world.applier.apply(service(81), OWNER)
    assert world.port == 81
    assert [sent.status for sent in world.server.sent] == [200, 409, 200, 200]


def test_an_object_recreated_by_somebody_else_meanwhile_is_left_alone(world: World) -> None:
    world.applier.apply(service(), OWNER)

    def recreate() -> None:
        world.server.remove(PATH)
        world.server.put(PATH, service(7))

    world.server.before("PATCH", PATH, recreate)
    with pytest.raises(WorkloadNotReady, match="was not made for"):
        world.applier.apply(service(81), OWNER)
    assert world.port == 7


def test_an_object_deleted_meanwhile_is_created_again(world: World) -> None:
    world.applier.apply(service(), OWNER)
    world.server.before("PATCH", PATH, lambda: world.server.remove(PATH))
    world.applier.apply(service(81), OWNER)
    assert world.port == 81


def test_an_object_that_does_not_stop_changing_is_given_up_for_now(world: World) -> None:
    world.applier.apply(service(), OWNER)
    for number in range(9):
        world.server.before(
            "PATCH", PATH, lambda n=number: world.server.edit(PATH, {"status": {"n": n}}) and None
        )
    with pytest.raises(ClusterError, match="has been modified"):
        world.applier.apply(service(81), OWNER)


@pytest.mark.parametrize(
    ("status", "error"), [(500, ClusterError), (0, ClusterError), (422, NotAccepted)]
)
def test_a_refusal_is_raised(world: World, status: int, error: type[Exception]) -> None:
    world.server.fail("PATCH", PATH, status, "no such quantity", times=2)
    with pytest.raises(error, match="no such quantity"):
        world.applier.apply(service(), OWNER)


def test_an_answer_that_got_lost_is_no_conflict_with_ourselves(world: World) -> None:
    world.server.fail("PATCH", PATH, 0, "timed out", takes_effect=True)
    with pytest.raises(ClusterError, match="timed out"):
        world.applier.apply(service(), OWNER)
    world.applier.apply(service(), OWNER)
    assert world.port == 80


def test_edits_in_a_loop_are_answered_with_a_brake(world: World) -> None:
    world.applier.apply(service(), OWNER)

    def fight() -> bool:
        world.server.edit(PATH, {"spec": {"port": 99}})
        world.watch()
        try:
            world.applier.apply(service(), OWNER)
        except Problem as problem:
            assert problem.reason == "Conflict"
            return False
        return True

    assert [fight() for _ in range(REPAIRS + 20)] == [True] * REPAIRS + [False] * 20
    world.seconds += REPAIR_SECONDS + 0.1
    assert [fight() for _ in range(3)] == [True, False, False]
    world.seconds += REPAIR_SECONDS * REPAIRS
    assert fight()


def test_a_changed_spec_is_not_braked(world: World) -> None:
    for port in range(100, 100 + 4 * REPAIRS):
        world.applier.apply(service(port), OWNER)
    assert world.port == 100 + 4 * REPAIRS - 1


def test_deleting_names_the_very_object(world: World) -> None:
    body = world.applier.apply(service(), OWNER)
    world.applier.delete(REF)
    sent = world.server.sent[-1]
    assert sent.body is not None
    assert sent.body["preconditions"] == {
        "uid": body["metadata"]["uid"],
        "resourceVersion": body["metadata"]["resourceVersion"],
    }
    assert world.server.read(PATH) is None
    assert world.cache.live(REF) is None


def test_an_object_recreated_by_somebody_else_is_not_deleted(world: World) -> None:
    world.applier.apply(service(), OWNER)

    def recreate() -> None:
        world.server.remove(PATH)
        world.server.put(PATH, service(7))

    world.server.before("DELETE", PATH, recreate)
    world.applier.delete(REF)
    assert world.port == 7


def test_an_object_recreated_for_the_same_owner_is_not_deleted(world: World) -> None:
    """By the next leader, after this one decided."""
    world.applier.apply(service(), OWNER)

    def recreate() -> None:
        world.server.remove(PATH)
        Applier(world.server, OwnedObjects()).apply(service(7), OWNER)

    world.server.before("DELETE", PATH, recreate)
    world.applier.delete(REF)
    assert world.port == 7


def test_an_object_that_changed_meanwhile_is_deleted_after_another_look(world: World) -> None:
    world.applier.apply(service(), OWNER)
    world.server.edit(PATH, {"status": {"n": 1}})
    world.applier.delete(REF)
    assert world.server.read(PATH) is None


def test_deleting_what_is_gone_is_no_error(world: World) -> None:
    world.applier.apply(service(), OWNER)
    world.server.remove(PATH)
    world.applier.delete(REF)
    world.applier.delete(Ref("v1", "Service", "reddit", "never-was"))
