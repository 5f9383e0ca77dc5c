from __future__ import annotations

from typing import Any

import pytest

from textmod_operator.errors import ClusterError
from textmod_operator.pods import PodTable, pod_seen
from textmod_operator.state import ObjectKey

SCIENCE = ObjectKey("reddit", "science")


def test_a_pod_tells_its_containers_last_words() -> None:
    pod = {
        "metadata": {"name": "science-1"},
        "spec": {
            "containers": [
                {
                    "name": "classifier",
                    "image": "a:1",
                    "env": [{"name": "TEXTMOD_REVISION", "value": "12ab"}, {"name": "EMPTY"}],
                },
                {"name": "sidecar"},
            ]
        },
        "status": {
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [
                {
                    "name": "classifier",
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"message": "no such artifact"}},
                }
            ],
        },
    }
    seen = pod_seen(pod)
    assert (seen.image, seen.revision, seen.ready) == ("a:1", "12ab", False)
    assert (seen.waiting_reason, seen.last_message) == ("CrashLoopBackOff", "no such artifact")


def model_pod(name: str = "science-1", **metadata: Any) -> dict[str, Any]:
    labels = {"textmoderation.dev/name": "science"}
    return {
        "metadata": {"name": name, "namespace": "reddit", "labels": labels, **metadata},
        "spec": {"containers": [{"name": "classifier", "image": "a:1"}]},
    }


def test_pods_that_were_not_listed_yet_are_unknown() -> None:
    table = PodTable()
    table.expect({""})
    with pytest.raises(ClusterError, match="not been listed"):
        table.of(SCIENCE)
    assert table.listed("", []) == set()
    assert table.of(SCIENCE) == ()


def test_a_namespace_that_is_never_listed_holds_up_no_other() -> None:
    """One of `watchNamespaces` is gone, and the operator may list nothing there."""
    table = PodTable()
    table.expect({"/namespaces/reddit", "/namespaces/forum"})
    table.listed("/namespaces/reddit", [])
    assert table.of(SCIENCE) == ()
    with pytest.raises(ClusterError, match="not been listed"):
        table.of(ObjectKey("forum", "science"))


def test_only_a_change_of_a_pod_is_told() -> None:
    table = PodTable()
    assert table.saw("all", {"type": "ADDED", "object": model_pod()}) == SCIENCE
    assert table.saw("all", {"type": "MODIFIED", "object": model_pod(resourceVersion="2")}) is None
    going = model_pod(deletionTimestamp="now")
    assert table.saw("all", {"type": "MODIFIED", "object": going}) == SCIENCE
    assert table.of(SCIENCE) == ()
    assert len(table.of(SCIENCE, terminating=True)) == 1  # it may still write
    assert table.saw("all", {"type": "DELETED", "object": going}) == SCIENCE
    assert table.of(SCIENCE, terminating=True) == ()
    assert table.saw("all", {"type": "DELETED", "object": going}) is None
    assert table.of(SCIENCE) == ()


def test_a_new_list_tells_of_what_was_missed_while_the_watch_was_cut() -> None:
    table = PodTable()
    table.listed("all", [model_pod("science-1")])
    assert table.listed("all", [model_pod("science-1")]) == set()
    assert table.listed("all", [model_pod("science-2")]) == {SCIENCE}
    assert [pod.name for pod in table.of(SCIENCE)] == ["science-2"]


def test_a_pod_whose_label_is_changed_leaves_the_one_object_for_the_other() -> None:
    """As people do who take a pod out of service to look at it."""
    away = model_pod()
    away["metadata"]["labels"] = {"textmoderation.dev/name": "quarantine"}
    elsewhere = ObjectKey("reddit", "quarantine")
    table = PodTable()
    table.saw("all", {"type": "ADDED", "object": model_pod()})
    assert table.saw("all", {"type": "MODIFIED", "object": away}) == SCIENCE
    assert table.of(SCIENCE, terminating=True) == ()
    assert [pod.name for pod in table.of(elsewhere)] == ["science-1"]
    assert table.listed("all", [model_pod()]) == {SCIENCE, elsewhere}
    table.saw("all", {"type": "MODIFIED", "object": away})
    assert table.saw("all", {"type": "DELETED", "object": away}) == elsewhere
    assert table.of(elsewhere, terminating=True) == ()
