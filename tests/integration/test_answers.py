"""Every object that the API server admits has conditions of its generation, whatever the API server
says to what is made for it; and a refused change changes nothing that runs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from live import Kubectl, WaitFor, condition, produce
from objects import merged

from textmod_dev.generated_specs import SpecGenerator
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.spec_trial import try_specs

pytestmark = pytest.mark.integration

DEPLOYMENT = {"serving": {"platform": "Deployment"}}
ANSWERED_SECONDS = 10
FIELD_REF = {"fieldRef": {"fieldPath": "metadata.name"}}

REFUSED_BY_THE_API_SERVER = {
    "a misspelt affinity": {"affinity": {"nodeAffinty": {"preferred": []}}},
    "a number as a string": {"tolerations": [{"operator": "Exists", "tolerationSeconds": "30"}]},
    "a misspelt reference": {
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"nme": "x", "key": "y"}}}]
    },
    "a value and a reference": {"env": [{"name": "A", "value": "1", "valueFrom": FIELD_REF}]},
    "an annotation's key": {"podAnnotations": {"not a key": "x"}},
    "a node label": {"nodeSelector": {"disk": "not a value!"}},
    "a request above the limit": {
        "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}
    },
    "a resource of no domain": {"resources": {"requests": {"cheese": "1"}}},
}


def answered(kubectl: Kubectl, wait_for: WaitFor) -> dict[str, Any]:
    """The object, once its status is of its generation."""

    def body() -> dict[str, Any]:
        return json.loads(kubectl("get", "tm", "science", "-o", "json"))

    def is_answered() -> bool:
        now = body()
        status = now.get("status", {})
        return status.get("observedGeneration") == now["metadata"]["generation"]

    wait_for(is_answered, ANSWERED_SECONDS, "the status is of the object's generation")
    return body()


def test_what_the_api_server_cannot_judge_is_a_condition_too(
    kubectl: Kubectl, manifest: Callable[..., str], wait_for: WaitFor
) -> None:
    cpu = {"autoscaling": {"cpu": {"averageUtilization": 80}}}
    few = {"model": {"resources": {"limits": {"memory": "1Gi"}}}}
    kubectl("apply", "-f", "-", stdin=manifest(merged(cpu, few)))
    answered(kubectl, wait_for)
    assert "needs model.resources.requests.cpu" in condition(kubectl, "Accepted")["message"]


@pytest.mark.parametrize(
    "spec",
    [
        {"model": {"resources": {"requests": {"cpu": 0.05, "memory": "64Mi"}}}},
        {
            "autoscaling": {
                "behavior": {
                    "scaleUp": None,
                    "scaleDown": {"stabilizationWindowSeconds": 300, "selectPolicy": None},
                }
            }
        },
    ],
    ids=["a fraction", "a null"],
)
@pytest.mark.parametrize("platform", ["Deployment", "Seldon"])
def test_what_a_pod_takes_and_what_is_null_is_taken(
    platform: str,
    spec: dict[str, Any],
    kubectl: Kubectl,
    manifest: Callable[..., str],
) -> None:
    spec = merged({"serving": {"platform": platform}}, spec)
    kubectl("apply", "--server-side", "-f", "-", stdin=manifest(spec))
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=60s")


def asked_of(kubectl: Kubectl, kinds: str) -> list[dict[str, Any]]:
    """Objects without what their controllers write into them all the time."""
    objects: list[dict[str, Any]] = json.loads(kubectl("get", kinds, "-o", "json"))["items"]
    for one in objects:
        one.pop("status", None)
        one["metadata"].pop("resourceVersion")
    return objects


@pytest.mark.parametrize("model", REFUSED_BY_THE_API_SERVER.values(), ids=REFUSED_BY_THE_API_SERVER)
def test_what_the_api_server_refuses_is_a_condition(
    model: dict[str, Any], kubectl: Kubectl, manifest: Callable[..., str], wait_for: WaitFor
) -> None:
    kubectl("apply", "-f", "-", stdin=manifest(merged(DEPLOYMENT, {"model": model})))
    answered(kubectl, wait_for)
    accepted = condition(kubectl, "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "InvalidSpec")
    assert "the API server refuses Deployment science" in accepted["message"]
    assert condition(kubectl, "Stalled")["reason"] == "InvalidSpec"
    assert kubectl("get", "deploy,hpa,pdb,svc", "-o", "name").strip() == ""


def test_a_refused_change_changes_nothing_that_runs(
    ready: Callable[..., None],
    kubectl: Kubectl,
    manifest: Callable[..., str],
    wait_for: WaitFor,
    topic_prefix: str,
) -> None:
    ready(DEPLOYMENT)
    before = asked_of(kubectl, "deploy,hpa,pdb,svc")
    bad = {
        "model": {"affinity": {"nodeAffinty": {}}, "threshold": 0.3},
        "topics": {"output": {"name": f"{topic_prefix}-elsewhere"}},
    }
    kubectl("apply", "-f", "-", stdin=manifest(merged(DEPLOYMENT, bad)))
    body = answered(kubectl, wait_for)
    assert condition(kubectl, "Accepted")["reason"] == "InvalidSpec"
    assert asked_of(kubectl, "deploy,hpa,pdb,svc") == before
    assert body["status"]["readyReplicas"] == 1
    kubectl("apply", "-f", "-", stdin=manifest(DEPLOYMENT))
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=30s")


@pytest.fixture
def webhook_that_is_down(operator: LocalCluster, namespace: str) -> Iterator[None]:
    """As Seldon's is while its controller restarts: every Deployment of the namespace fails."""
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    operator.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "down"},
            "webhooks": [
                {
                    "name": "down.example.com",
                    "clientConfig": {"url": "https://127.0.0.1:1/validate"},
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "failurePolicy": "Fail",
                    "timeoutSeconds": 2,
                    "namespaceSelector": here,
                    "rules": [
                        {
                            "apiGroups": ["apps"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["deployments"],
                        }
                    ],
                }
            ],
        }
    )
    yield
    operator.kubectl("delete", "validatingwebhookconfiguration", "down", "--ignore-not-found")


def test_a_webhook_that_is_down_is_a_condition_and_passes(
    webhook_that_is_down: None,
    operator: LocalCluster,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    wait_for: WaitFor,
) -> None:
    def refused() -> bool:
        kubectl("apply", "-f", "-", stdin=manifest(DEPLOYMENT))
        return condition(kubectl, "WorkloadReady").get("reason") == "ApplyFailed"

    wait_for(refused, ANSWERED_SECONDS, "ApplyFailed")
    assert "down.example.com" in condition(kubectl, "WorkloadReady")["message"]
    assert condition(kubectl, "Stalled")["status"] == "False"
    operator.kubectl("delete", "validatingwebhookconfiguration", "down")
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=60s")


QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"requests.cpu": "10m"}}}
LIMITS = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "spec": {"limits": [{"type": "Container", "max": {"memory": "1Mi"}}]},
}


@pytest.mark.parametrize("platform", ["Deployment", "Seldon"])
@pytest.mark.parametrize(
    ("model", "policy", "reason", "says"),
    [
        ({"resources": {"requests": {"cpu": "9999"}}}, None, "Unschedulable", "Insufficient cpu"),
        ({}, QUOTA, "QuotaExceeded", "exceeded quota"),
        ({}, LIMITS, "PodRefused", "maximum memory usage per Container"),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]},
            None,
            "ContainerNotStarting",
            "x",
        ),
    ],
    ids=["cpu", "quota", "limit range", "secret"],
)
def test_the_pods_own_reason_is_the_conditions(
    platform: str,
    model: dict[str, Any],
    policy: dict[str, Any] | None,
    reason: str,
    says: str,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    wait_for: WaitFor,
) -> None:
    if policy is not None:
        named = {**policy, "metadata": {"name": "few"}}
        kubectl("apply", "-f", "-", stdin=json.dumps(named))
    spec = {"serving": {"platform": platform}, "model": model}
    kubectl("apply", "-f", "-", stdin=manifest(spec))
    wait_for(
        lambda: condition(kubectl, "WorkloadReady").get("reason") == reason,
        ANSWERED_SECONDS * 2,
        reason,
    )
    assert says in condition(kubectl, "WorkloadReady")["message"]
    assert condition(kubectl, "Stalled")["reason"] == reason


def test_two_objects_read_one_input_and_the_younger_of_two_writers_waits(
    ready: Callable[..., None],
    kubectl: Kubectl,
    manifest: Callable[..., str],
    wait_for: WaitFor,
    topic_prefix: str,
) -> None:
    ready(DEPLOYMENT)
    own = {
        "topics": {
            "output": {"name": f"{topic_prefix}-second"},
            "deadLetter": {"name": f"{topic_prefix}-second-dead"},
        }
    }
    kubectl("apply", "-f", "-", stdin=manifest(merged(DEPLOYMENT, own), name="second"))
    kubectl("wait", "--for=condition=Ready", "tm/second", "--timeout=60s")
    before = kubectl("get", "deploy", "second", "-o", "yaml")
    clash = merged(own, {"topics": {"output": {"name": f"{topic_prefix}-output"}}})
    kubectl("apply", "-f", "-", stdin=manifest(merged(DEPLOYMENT, clash), name="second"))
    wait_for(
        lambda: condition(kubectl, "Ready", "second").get("reason") == "OwnedByAnother",
        ANSWERED_SECONDS,
        "OwnedByAnother",
    )
    assert kubectl("get", "deploy", "second", "-o", "yaml") == before
    kubectl("delete", "tm", "science")
    wait_for(
        lambda: condition(kubectl, "TopicsReady", "second").get("status") == "True",
        ANSWERED_SECONDS,
        "the younger one is taken up",
    )


# --- a stream that does not move --------------------------------------------------------------

IDLE = """
import http.server, os
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 6000), Ready).serve_forever()
"""


def test_a_replica_that_reads_nothing_is_not_ready(
    operator: LocalCluster,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    wait_for: WaitFor,
    topic_prefix: str,
) -> None:
    operator.images.set("test/idle:1", [sys.executable, "-c", IDLE])
    promise = 20
    spec = {
        "model": {"image": "test/idle:1"},
        "autoscaling": {"lag": {"maxSecondsBehind": promise}},
    }
    kubectl("apply", "-f", "-", stdin=manifest(merged(DEPLOYMENT, spec)))
    kubectl("wait", "--for=condition=WorkloadReady", "tm/science", "--timeout=60s")
    produce(operator, f"{topic_prefix}-input", [b'{"body": "hello"}'] * 5, partition=1)
    wait_for(
        lambda: condition(kubectl, "WorkloadReady").get("reason") == "NotConsuming",
        promise,
        "NotConsuming within the promise",
    )
    assert "partitions 1 of topic" in condition(kubectl, "WorkloadReady")["message"]
    assert condition(kubectl, "Stalled")["reason"] == "NotConsuming"


def test_a_dead_letter_topic_that_cannot_be_written_is_named(
    ready: Callable[..., None],
    operator: LocalCluster,
    kubectl: Kubectl,
    admin: AdminClient,
    wait_for: WaitFor,
    topic_prefix: str,
) -> None:
    ready(DEPLOYMENT)
    dead = f"{topic_prefix}-dead-letter"
    compact = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, dead, incremental_configs=[compact])
    admin.incremental_alter_configs([resource])[resource].result(10)
    produce(operator, f"{topic_prefix}-input", [b"not JSON"])
    wait_for(
        lambda: condition(kubectl, "WorkloadReady").get("reason") == "StreamBlocked",
        ANSWERED_SECONDS + 5,
        "StreamBlocked",
    )
    assert dead in condition(kubectl, "WorkloadReady")["message"]


def test_messages_that_retention_took_unread_are_counted(
    operator: LocalCluster,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    admin: AdminClient,
    ready: Callable[..., None],
    wait_for: WaitFor,
    topic_prefix: str,
) -> None:
    ready(DEPLOYMENT)
    topic = f"{topic_prefix}-input"
    produce(operator, topic, [b'{"body": "hello"}'] * 5, partition=0)
    lag = ("get", "tm", "science", "-o", "jsonpath={.status.lag.messages}")
    wait_for(lambda: kubectl(*lag) == "0", 30, "all is read")
    operator.images.set("test/idle:1", [sys.executable, "-c", IDLE])
    kubectl(
        "apply", "-f", "-", stdin=manifest(merged(DEPLOYMENT, {"model": {"image": "test/idle:1"}}))
    )
    image = ("get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}")
    wait_for(lambda: kubectl(*image) == "test/idle:1", 90, "the worker has ended")
    produce(operator, topic, [b'{"body": "hello"}'] * 7, partition=0)
    (found,) = admin.delete_records([TopicPartition(topic, 0, 9)]).values()
    found.result(10)
    wait_for(
        lambda: condition(kubectl, "TopicsReady").get("reason") == "MessagesExpired",
        30,
        "MessagesExpired",
    )
    assert "deleted 4 messages" in condition(kubectl, "TopicsReady")["message"]
    wait_for(lambda: "MessagesExpired" in kubectl("get", "events"), 10, "an Event says it too")


# --- whatever the schema admits ---------------------------------------------------------------


def test_every_generated_spec_that_is_admitted_is_answered(
    operator: LocalCluster, namespace: str
) -> None:
    """A part of what bench/isolation/specs.py tries, with the node taking no pods."""
    log = operator.operator_process.log
    before = log.read_text().count("Traceback (most recent")
    operator.kubectl("cordon", "local")
    try:
        generator = SpecGenerator(1, operator.bootstrap_servers)
        trial = asyncio.run(try_specs(operator.kubeconfig, generator, 60, namespace, namespace))
    finally:
        operator.kubectl("uncordon", "local")
    assert trial.specs >= 60
    assert trial.unanswered == []
    assert trial.internal_errors == []
    assert max(trial.seconds) <= 30, "the bench asks for 10, on a machine of its own"
    assert log.read_text().count("Traceback (most recent") == before
