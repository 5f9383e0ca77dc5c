from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.client import V1Lease, V1LeaseSpec

from textmod_operator import naming
from textmod_operator.kube.cache import OwnedObjects, projection
from textmod_operator.kube.lease import _PatientLock
from textmod_operator.state import ObjectKey, Ref

SCIENCE = ObjectKey("reddit", "science")


def deployment(**changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "science",
            "namespace": "reddit",
            "resourceVersion": "1",
            "managedFields": ["long"],
            "ownerReferences": [{"kind": "TextModeration", "uid": "uid-1"}],
        },
        "spec": {"replicas": 1},
        "status": {"availableReplicas": 1},
        **changes,
    }


def test_only_what_matters_in_a_watch_event_is_news() -> None:
    cluster = OwnedObjects()
    assert cluster.saw(deployment())
    assert not cluster.saw(deployment())
    noise = deployment(status={"availableReplicas": 1, "conditions": [{"lastUpdateTime": "now"}]})
    assert not cluster.saw(noise)
    assert cluster.saw(deployment(spec={"replicas": 2}))
    assert cluster.saw(deployment(spec={"replicas": 2}, status={"availableReplicas": 0}))


def test_owned_objects_are_known_by_their_owner() -> None:
    cluster = OwnedObjects()
    cluster.saw(deployment())
    ref = Ref("apps/v1", "Deployment", "reddit", "science")
    assert cluster.owned("uid-1", "reddit") == [ref]
    assert cluster.owned("uid-2", "reddit") == []
    cluster.gone(ref)
    assert cluster.owned("uid-1", "reddit") == []


def labelled(**changes: Any) -> dict[str, Any]:
    body = deployment(**changes)
    return {**body, "metadata": {**body["metadata"], "labels": {naming.NAME_LABEL: "science"}}}


def test_what_is_missing_in_a_list_was_deleted_while_nobody_watched() -> None:
    cluster = OwnedObjects()
    assert cluster.listed("Deployment", "", [labelled()]) == {SCIENCE}
    assert cluster.listed("Deployment", "", [labelled()]) == set(), "no news"
    assert cluster.listed("Service", "", []) == set(), "of another kind"
    assert cluster.listed("Deployment", "/namespaces/other", []) == set(), "elsewhere"
    assert cluster.owned("uid-1", "reddit") != []
    assert cluster.listed("Deployment", "/namespaces/reddit", []) == {SCIENCE}
    assert cluster.owned("uid-1", "reddit") == []


def test_a_watch_that_lags_behind_an_apply_is_no_news() -> None:
    cluster = OwnedObjects()
    newer = labelled(spec={"replicas": 2})
    newer["metadata"]["resourceVersion"] = "10"
    assert cluster.saw(newer)
    assert not cluster.saw(labelled(spec={"replicas": 1}))
    deleted = {"type": "DELETED", "object": newer}
    assert cluster.on_event(deleted) == SCIENCE


def test_a_projection_keeps_only_what_was_set() -> None:
    shape = {"a": {"b": 1}, "list": [{"name": "x"}], "gone": 1}
    live = {"a": {"b": 2, "c": 3}, "list": [{"name": "x", "extra": True}], "more": 1}
    assert projection(live, shape) == {"a": {"b": 2}, "list": [{"name": "x"}], "gone": None}


def test_a_list_of_another_length_is_kept_whole() -> None:
    assert projection([1, 2], [1]) == [1, 2]


class Leases:
    """The API of one Lease."""

    def __init__(self) -> None:
        self.spec = V1LeaseSpec(holder_identity="a", lease_duration_seconds=10)

    def renew(self, second: int) -> None:
        at = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
        self.spec.acquire_time, self.spec.renew_time = at, at

    def read_namespaced_lease(self, *_: str) -> V1Lease:
        return V1Lease(spec=self.spec)

    def replace_namespaced_lease(self, _: str, __: str, body: V1Lease) -> None:
        self.spec = body.spec


def test_a_leader_is_there_once_it_was_seen_to_renew() -> None:
    leases = Leases()
    lock = _PatientLock("lease", "textmod", "b")  # type: ignore[no-untyped-call]
    lock.api_instance = leases
    assert lock.seconds_since_renewal() == math.inf
    leases.renew(1)
    for _ in range(2):  # it may have been renewed a second or a week ago
        lock.get("lease", "textmod")
        assert lock.seconds_since_renewal() == math.inf
    leases.renew(3)
    lock.get("lease", "textmod")
    assert lock.seconds_since_renewal() < 1


@pytest.mark.parametrize(("we_are", "left"), [("a", None), ("b", "a")])
def test_only_the_holder_takes_its_name_off_the_lease(we_are: str, left: str | None) -> None:
    leases = Leases()
    lock = _PatientLock("lease", "textmod", we_are)  # type: ignore[no-untyped-call]
    lock.api_instance = leases
    lock.resign()
    assert leases.spec.holder_identity == left
    assert lock.update("lease", "textmod", None) is False, "nor does it put it on again"
