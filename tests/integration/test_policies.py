"""Policies on a real control plane, with real workers on a real broker."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from live import Kubectl, WaitFor, condition, consume, produce
from objects import merged

from textmod_dev.local_cluster import LocalCluster

pytestmark = pytest.mark.integration

DEPLOYMENT = {"serving": {"platform": "Deployment"}, "message": {"outputFormat": "Verdict"}}
COMMENTS = [b'{"body": "you are a fool"}', b'{"body": "thanks for the source"}']


def policy(*rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"policies": [{"name": "off-topic", "rules": list(rules), **fields}]}


def status(kubectl: Kubectl) -> dict[str, Any]:
    return json.loads(kubectl("get", "tm", "science", "-o", "json")).get("status", {})


def pods(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    listed = json.loads(
        kubectl("get", "pods", "-l", "textmoderation.dev/name=science", "-o", "json")
    )
    return {item["metadata"]["name"]: item for item in listed["items"]}


@contextmanager
def frozen(pod: str) -> Iterator[None]:
    """The processes of a pod stand still meanwhile."""
    sign = f"TEXTMOD_POD_NAME={pod}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if sign in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    assert found
    for pid in found:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in found:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def in_force(
    kubectl: Kubectl, manifest: Callable[..., str], wait_for: WaitFor
) -> Callable[..., str]:
    """Applies a spec and waits until its policies have this reason; their version."""

    def apply(spec: dict[str, Any], reason: str = "InForce", seconds: float = 90) -> str:
        kubectl("apply", "-f", "-", stdin=manifest(spec))
        generation = json.loads(kubectl("get", "tm", "science", "-o", "json"))["metadata"][
            "generation"
        ]

        def told() -> bool:
            found = condition(kubectl, "PoliciesReady")
            return (found.get("reason"), found.get("observedGeneration")) == (reason, generation)

        wait_for(told, seconds, f"PoliciesReady: {reason}")
        return str(status(kubectl).get("policyVersion"))

    return apply


@pytest.mark.parametrize("platform", ["Deployment", "Seldon"])
def test_a_change_of_policies_reaches_the_same_pods(
    platform: str,
    kubectl: Kubectl,
    operator: LocalCluster,
    topic_prefix: str,
    in_force: Callable[..., str],
    wait_for: WaitFor,
) -> None:
    spec = merged(DEPLOYMENT, {"serving": {"platform": platform}})
    remove = {"action": "Remove", "atLeast": 0.0}
    first = in_force({**spec, **policy(remove)})
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=60s")
    before = pods(kubectl)
    assert len(before) == 1
    produce(operator, f"{topic_prefix}-input", COMMENTS)
    verdicts = [json.loads(value) for value in consume(operator, f"{topic_prefix}-output", 2)]
    assert {verdict["policyVersion"] for verdict in verdicts} == {first}
    assert {verdict["action"] for verdict in verdicts} == {"Remove"}

    review = {"action": "Review", "hold": True, "atLeast": 0.0}
    second = in_force({**spec, **policy(review)}, seconds=20)
    assert second != first
    produce(operator, f"{topic_prefix}-input", COMMENTS)
    verdicts = [json.loads(value) for value in consume(operator, f"{topic_prefix}-output", 4)]
    by_version = {verdict["policyVersion"]: verdict["action"] for verdict in verdicts}
    assert by_version == {first: "Remove", second: "Review"}

    after = pods(kubectl)
    assert {name: pod["spec"] for name, pod in after.items()} == {
        name: pod["spec"] for name, pod in before.items()
    }
    (pod,) = after.values()
    assert pod["metadata"]["annotations"]["textmoderation.dev/policies"] == second
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0

    # Taken away, verdicts are as they are without, from new pods, and nothing is left.
    removal = json.dumps([{"op": "remove", "path": "/spec/policies"}])
    kubectl("patch", "tm", "science", "--type=json", "-p", removal)
    gone = ("get", "configmap", "science-policies", "--ignore-not-found", "-o", "name")
    wait_for(lambda: not kubectl(*gone), 90, "the ConfigMap is pruned")
    wait_for(lambda: not pods(kubectl).keys() & before.keys(), 60, "the old pod is gone")
    produce(operator, f"{topic_prefix}-input", COMMENTS)
    verdicts = [json.loads(value) for value in consume(operator, f"{topic_prefix}-output", 6)]
    plain = [verdict for verdict in verdicts if "policyVersion" not in verdict]
    assert len(plain) == 2
    assert set(plain[0]) == {"id", "label", "score", "flagged", "threshold", "model"}
    assert not condition(kubectl, "PoliciesReady")


def test_thresholds_are_worked_out_of_the_models_own_scores(
    kubectl: Kubectl,
    operator: LocalCluster,
    topic_prefix: str,
    in_force: Callable[..., str],
) -> None:
    """The pod waits for its policies, and they for what the pod says of its model."""
    remove = {"action": "Remove", "precision": 0.8}
    budget = {"action": "Review", "budgetPerDay": 100}
    in_force(merged(DEPLOYMENT, policy(remove, budget)), "RateUnknown")
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=60s")
    (told,) = status(kubectl)["policies"]
    first, second = told["rules"]
    assert first["expectedPrecision"] >= 0.8
    assert (first["source"], told["label"]) == ("Artifact", "removed")
    assert "threshold" not in second
    produce(operator, f"{topic_prefix}-input", COMMENTS * 50)
    in_force(merged(DEPLOYMENT, policy(remove, budget)), "InForce")
    (told,) = status(kubectl)["policies"]
    assert 0 < told["rules"][1]["threshold"] < told["rules"][0]["threshold"]
    assert set(told["actionsPerHour"]) == {"Allow", "Remove", "Review"}


def test_what_a_rule_lacks_is_said_and_the_stream_is_ready(
    kubectl: Kubectl, in_force: Callable[..., str]
) -> None:
    perfect = policy({"action": "Remove", "precision": 1})
    in_force(merged(DEPLOYMENT, perfect), "PrecisionUnreachable")
    assert "the best is" in condition(kubectl, "PoliciesReady")["message"]
    in_force(
        merged(DEPLOYMENT, policy({"action": "Remove", "atLeast": 0.5}, label="toxic")),
        "UnknownLabel",
    )
    assert "name one of removed" in condition(kubectl, "PoliciesReady")["message"]
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=60s")


def test_without_a_pod_the_model_is_not_known(
    kubectl: Kubectl, in_force: Callable[..., str]
) -> None:
    spec = merged(DEPLOYMENT, {"model": {"image": "textmoderation/not-there:0"}})
    in_force(merged(spec, policy({"action": "Remove", "precision": 0.8})), "ModelUnknown")
    assert "no replica" in condition(kubectl, "PoliciesReady")["message"]
    assert not kubectl("get", "configmap", "science-policies", "--ignore-not-found", "-o", "name")


def test_a_replica_that_does_not_answer_is_on_its_way(
    kubectl: Kubectl, in_force: Callable[..., str]
) -> None:
    """A frozen process stays Ready until its probes have failed three times."""
    remove = {"action": "Remove", "atLeast": 0.5}
    in_force({**DEPLOYMENT, **policy(remove)})
    (name,) = pods(kubectl)
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=60s")
    with frozen(name):
        in_force({**DEPLOYMENT, **policy({**remove, "atLeast": 0.6})}, "Propagating", 20)
        assert "in 0 of 1 replicas" in condition(kubectl, "PoliciesReady")["message"]
    in_force({**DEPLOYMENT, **policy({**remove, "atLeast": 0.6})})
