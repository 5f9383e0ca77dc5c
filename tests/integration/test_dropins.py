"""The drop-in protocols of a TextModeration's pods, with keys from Secrets; Osprey's output."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from live import Kubectl, WaitFor, condition, consume, produce

from textmod_dev.local_cluster import LocalCluster
from textmod_model.formats.encoders.osprey import action_id

pytestmark = pytest.mark.integration

REQUEST = {"comment": {"text": "you are a fool"}, "requestedAttributes": {"TOXICITY": {}}}
SPEC = {
    "topics": {"input": {"partitions": 1}},
    "message": {"outputFormat": "Osprey"},
    "autoscaling": {"metricsProvider": "None"},
    "serving": {
        "platform": "Deployment",
        "perspective": {
            "attributes": {"TOXICITY": "removed"},
            "keySecretRef": {"name": "callers"},
        },
        "openai": {"keySecretRef": {"name": "callers", "key": "openai"}},
    },
}


def secret(**values: str) -> str:
    metadata = {"name": "callers"}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}
    return json.dumps(body)


def addresses(kubectl: Kubectl) -> list[str]:
    """Of the pods that are ready and not about to end."""
    listed = json.loads(
        kubectl("get", "pods", "-l", "textmoderation.dev/name=science", "-o", "json")
    )
    return [
        pod["status"]["podIP"]
        for pod in listed["items"]
        if "deletionTimestamp" not in pod["metadata"]
        and ("Ready", "True")
        in [(one["type"], one["status"]) for one in pod["status"].get("conditions", [])]
    ]


def codes(kubectl: Kubectl, key: str) -> set[int]:
    """What the pods answer to a call with this key."""
    return {
        httpx.post(
            f"http://{address}:9000/v1alpha1/comments:analyze",
            params={"key": key} if key else {},
            json=REQUEST,
        ).status_code
        for address in addresses(kubectl)
    }


def test_keys_come_from_secrets_and_verdicts_go_to_osprey(
    operator: LocalCluster,
    kubectl: Kubectl,
    manifest: Callable[[dict[str, Any]], str],
    topic_prefix: str,
    wait_for: WaitFor,
) -> None:
    kubectl("apply", "-f", "-", stdin=manifest(SPEC))
    wait_for(
        lambda: condition(kubectl, "Accepted").get("reason") == "SecretNotFound",
        30,
        "the missing Secret is told",
    )
    kubectl("apply", "-f", "-", stdin=secret(key=" ", openai="sk-1"))
    wait_for(
        lambda: condition(kubectl, "Accepted").get("reason") == "SecretInvalid",
        60,
        "the empty key is told",
    )
    kubectl("apply", "-f", "-", stdin=secret(key="first", openai="sk-1"))
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=120s")
    assert codes(kubectl, "first") == {200}
    assert codes(kubectl, "wrong") == {400}
    assert codes(kubectl, "") == {403}
    [address] = addresses(kubectl)
    moderated = httpx.post(
        f"http://{address}:9000/v1/moderations",
        json={"input": "you are a fool"},
        headers={"Authorization": "Bearer sk-1"},
    )
    assert moderated.status_code == 200

    described = kubectl("get", "pods,deployments,tm", "-o", "yaml")
    assert "first" not in described
    assert "first" not in kubectl("logs", "deployment/science", "--tail=-1")

    produce(operator, f"{topic_prefix}-input", [b'{"body": "you are a fool"}'])
    [value] = consume(operator, f"{topic_prefix}-output", 1)
    action = json.loads(value)["data"]
    where = f"{topic_prefix}-input/0/0"
    assert (action["action_name"], action["data"]["ce_id"]) == ("text_verdict", where)
    assert action["action_id"] == action_id(where)

    kubectl("apply", "-f", "-", stdin=secret(key="second", openai="sk-1"))
    # Secrets are not watched but read again at every pass, at least every five minutes.
    kubectl(
        *("patch", "tm/science", "--type=merge", "-p"),
        '{"spec": {"autoscaling": {"cpu": {"averageUtilization": 75}}}}',
    )
    wait_for(lambda: codes(kubectl, "second") == {200}, 120, "pods with the new key")
    assert codes(kubectl, "first") == {400}
