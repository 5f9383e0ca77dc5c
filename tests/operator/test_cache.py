"""The cache of owned objects: readings that arrive late or out of order."""

from __future__ import annotations

from typing import Any

from textmod_operator import naming
from textmod_operator.kube.cache import OwnedObjects, projection
from textmod_operator.state import ObjectKey, Ref

SCIENCE = ObjectKey("reddit", "science")
REF = Ref("apps/v1", "Deployment", "reddit", "science")


def deployment(version: int = 1, uid: str = "uid-d", **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "science",
            "namespace": "reddit",
            "uid": uid,
            "resourceVersion": str(version),
            "managedFields": ["long"],
            "labels": {naming.NAME_LABEL: "science"},
            "ownerReferences": [{"kind": "TextModeration", "uid": "uid-1"}],
        },
        "spec": {"replicas": 1},
        "status": {"availableReplicas": 1},
        **changes,
    }


def test_only_a_relevant_change_in_a_watch_event_counts() -> None:
    cache = OwnedObjects()
    assert cache.saw(deployment())
    assert not cache.saw(deployment())
    noise = deployment(status={"availableReplicas": 1, "conditions": [{"lastUpdateTime": "now"}]})
    assert not cache.saw(noise)
    assert cache.saw(deployment(spec={"replicas": 2}))
    assert cache.saw(deployment(spec={"replicas": 2}, status={"availableReplicas": 0}))
    failed = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    status = {"availableReplicas": 0, "conditions": [failed]}
    assert cache.saw(deployment(spec={"replicas": 2}, status=status))
    status = {"availableReplicas": 0, "conditions": [{**failed, "message": "still"}]}
    assert not cache.saw(deployment(spec={"replicas": 2}, status=status))


def test_owned_objects_are_found_by_the_uid_of_their_owner() -> None:
    cache = OwnedObjects()
    cache.saw(deployment())
    assert cache.owned("uid-1", "reddit") == [REF]
    assert cache.owned("uid-2", "reddit") == []
    cache.gone(REF, 2)
    assert cache.owned("uid-1", "reddit") == []


def test_only_a_kafka_topic_names_an_object_of_another_namespace() -> None:
    """Anybody may label a ConfigMap of theirs, and would have others' objects looked at."""
    labels = {naming.NAME_LABEL: "science", naming.NAMESPACE_LABEL: "victim"}
    for kind, owner in (("ConfigMap", "reddit"), ("KafkaTopic", "victim")):
        body = deployment(kind=kind)
        body["metadata"]["labels"] = labels
        event = {"type": "ADDED", "object": body}
        assert OwnedObjects().on_event(event) == ObjectKey(owner, "science")


def test_a_kafka_topic_does_not_go_with_its_owner() -> None:
    cache = OwnedObjects()
    labels = {naming.NAME_LABEL: "science", naming.OWNER_LABEL: "uid-1"}
    metadata = {**deployment()["metadata"], "labels": labels}
    cache.saw(deployment(kind="KafkaTopic", metadata=metadata))
    cache.saw(deployment())
    assert cache.owned("uid-1", "reddit") == [REF]


def test_an_object_missing_in_a_list_was_deleted_while_nobody_watched() -> None:
    cache = OwnedObjects()
    assert cache.listed("Deployment", "", [deployment(5)], 9) == {SCIENCE}
    assert cache.listed("Deployment", "", [deployment(5)], 10) == set(), "no change"
    assert cache.listed("Service", "", [], 11) == set(), "of another kind"
    assert cache.listed("Deployment", "/namespaces/other", [], 12) == set(), "elsewhere"
    assert cache.owned("uid-1", "reddit") != []
    assert cache.listed("Deployment", "/namespaces/reddit", [], 13) == {SCIENCE}
    assert cache.owned("uid-1", "reddit") == []


def test_a_watch_event_older_than_the_answer_to_an_apply_is_dropped() -> None:
    cache = OwnedObjects()
    assert cache.saw(deployment(10, spec={"replicas": 2}))
    assert not cache.saw(deployment(9, spec={"replicas": 1}))
    assert cache.on_event({"type": "DELETED", "object": deployment(11)}) == SCIENCE


def test_an_answer_older_than_a_watch_event_does_not_turn_the_cache_back() -> None:
    cache = OwnedObjects()
    cache.saw(deployment(12, spec={"replicas": 3}))
    cache.applied(REF, deployment(spec={"replicas": 2}), deployment(11, spec={"replicas": 2}))
    live = cache.live(REF)
    assert live is not None
    assert live["spec"] == {"replicas": 3}
    assert cache.is_drift(REF, deployment(spec={"replicas": 2}))


def test_an_answer_that_arrives_after_the_deletion_leaves_no_ghost() -> None:
    cache = OwnedObjects()
    cache.on_event({"type": "DELETED", "object": deployment(11)})
    cache.applied(REF, deployment(), deployment(10))
    assert cache.live(REF) is None
    assert cache.saw(deployment(12, uid="another")), "created again"


def test_an_answer_that_arrives_after_a_list_without_the_object_leaves_no_ghost() -> None:
    cache = OwnedObjects()
    cache.listed("Deployment", "", [], 20)
    cache.applied(REF, deployment(), deployment(15))
    assert cache.live(REF) is None
    cache.applied(REF, deployment(), deployment(21))
    assert cache.live(REF) is not None


def test_a_list_does_not_remove_what_was_created_after_it() -> None:
    cache = OwnedObjects()
    cache.applied(REF, deployment(), deployment(21))
    assert cache.listed("Deployment", "", [], 20) == set()
    assert cache.live(REF) is not None


def test_the_deletion_of_an_earlier_object_of_the_name_leaves_the_later_one() -> None:
    cache = OwnedObjects()
    cache.applied(REF, deployment(), deployment(31, uid="later"))
    assert cache.on_event({"type": "DELETED", "object": deployment(30)}) is None
    assert cache.live(REF) is not None


def test_a_kind_that_is_uninstalled_leaves_nothing() -> None:
    cache = OwnedObjects()
    cache.saw(deployment(5))
    assert cache.listed("Deployment", "", [], None) == {SCIENCE}
    assert cache.saw(deployment(9)), "installed again"


def test_a_projection_keeps_only_the_fields_that_were_set() -> None:
    shape = {"a": {"b": 1}, "list": [{"name": "x"}], "gone": 1}
    live = {"a": {"b": 2, "c": 3}, "list": [{"name": "x", "extra": True}], "more": 1}
    assert projection(live, shape) == {"a": {"b": 2}, "list": [{"name": "x"}], "gone": None}


def test_a_list_of_another_length_is_kept_whole() -> None:
    assert projection([1, 2], [1]) == [1, 2]


def test_a_kind_is_known_once_it_was_listed_or_found_missing() -> None:
    cache = OwnedObjects()
    assert not cache.is_known("Deployment", "reddit")
    cache.listed("Deployment", "", [], 7)
    cache.listed("SeldonDeployment", "/namespaces/reddit", [], None)
    assert cache.is_known("Deployment", "reddit")
    assert cache.is_known("SeldonDeployment", "reddit")
    assert not cache.is_known("SeldonDeployment", "other")
