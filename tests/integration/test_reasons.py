"""Reasons of the status that take a fault of their own to reach. The others are reached where that
fault is tested: test_operator, test_switches, test_outages and test_operator_kafka_security."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from confluent_kafka.admin import AdminClient, NewTopic
from live import Kubectl, WaitFor, condition, produce
from objects import merged

from textmod_dev import manifests
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.paths import repository_root
from textmod_dev.processes import free_port

pytestmark = pytest.mark.integration

SUPPORT = Path(__file__).parents[1] / "support"
SCALED_OBJECTS = SUPPORT / "scaledobjects.yaml"
STAND_IN = SUPPORT / "https_stand_in.py"
CRD = repository_root() / "crds" / "textmoderations.yaml"
DEPLOYMENT = {"serving": {"platform": "Deployment"}}
NOT_THERE = merged(DEPLOYMENT, {"model": {"image": "textmoderation/not-there:0"}})
"""Nobody reads what is written."""


@pytest.fixture
def told(
    kubectl: Kubectl, manifest: Callable[..., str], wait_for: WaitFor
) -> Callable[..., dict[str, str]]:
    """Applies a spec and waits until a condition has the reason; the condition."""

    def apply(spec: dict[str, Any], part: str, reason: str, seconds: float = 60) -> dict[str, str]:
        kubectl("apply", "-f", "-", stdin=manifest(spec))
        wait_for(
            lambda: condition(kubectl, part).get("reason") == reason, seconds, f"{part}: {reason}"
        )
        return condition(kubectl, part)

    return apply


@pytest.fixture
def crd_without_rules(operator: LocalCluster) -> Iterator[None]:
    """The CRD as an older version may have been: without the rules over the whole object."""
    crd = yaml.safe_load(CRD.read_text())
    (version,) = crd["spec"]["versions"]
    del version["schema"]["openAPIV3Schema"]["x-kubernetes-validations"]
    operator.kubectl("replace", "-f", "-", stdin=json.dumps(crd))
    yield
    operator.kubectl("replace", "-f", str(CRD))


def test_an_object_from_before_a_rule_is_told_and_not_touched(
    crd_without_rules: None,
    kubectl: Kubectl,
    told: Callable[..., dict[str, str]],
    topic_prefix: str,
    manifest: Callable[..., str],
    wait_for: WaitFor,
) -> None:
    twice = {"topics": {"output": {"name": f"{topic_prefix}-input"}}}
    # The API server may hold on to the old schema for a moment.
    wait_for(lambda: accepted(kubectl, manifest(twice)), 20, "the object is stored")
    message = told(twice, "Accepted", "InvalidSpec")["message"]
    assert "must be three different topics" in message
    assert condition(kubectl, "Stalled")["status"] == "True"
    assert not kubectl("get", "sdep,hpa,pdb", "-o", "name")


def accepted(kubectl: Kubectl, text: str) -> bool:
    try:
        kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)
    except Exception as error:
        raise AssertionError(str(error)) from error
    return True


def test_what_takes_time_is_told_as_such(
    operator: LocalCluster, kubectl: Kubectl, told: Callable[..., dict[str, str]]
) -> None:
    """A model that takes its time to load."""
    slow = [sys.executable, "-c", "import time; time.sleep(600)"]
    operator.images.set("test/slow:1", slow)
    told(merged(DEPLOYMENT, {"model": {"image": "test/slow:1"}}), "WorkloadReady", "Creating")
    assert condition(kubectl, "Reconciling")["reason"] == "Creating"
    told(DEPLOYMENT, "Ready", "Ready", 90)
    told(merged(DEPLOYMENT, {"model": {"image": "test/slow:1"}}), "WorkloadReady", "RollingOut")
    assert condition(kubectl, "Reconciling")["reason"] == "RollingOut"
    assert kubectl("get", "tm", "science", "-o", "jsonpath={.status.readyReplicas}") == "1"


def test_a_topic_that_has_more_partitions_than_asked(
    admin: AdminClient, told: Callable[..., dict[str, str]], topic_prefix: str
) -> None:
    name = f"{topic_prefix}-input"
    admin.create_topics([NewTopic(name, 5, 1)])[name].result(10)
    message = told({}, "TopicsReady", "PartitionsCannotShrink")["message"]
    assert "set partitions to 5" in message


def test_a_container_that_ends_again_and_again(
    operator: LocalCluster, told: Callable[..., dict[str, str]]
) -> None:
    crash = [sys.executable, "-c", "raise SystemExit('the disk is full of cheese')"]
    operator.images.set("test/crashing:1", crash)
    spec = merged(DEPLOYMENT, {"model": {"image": "test/crashing:1"}})
    message = told(spec, "WorkloadReady", "CrashLooping")["message"]
    assert "the disk is full of cheese" in message


@pytest.mark.parametrize(
    ("reason", "partitions"), [("AtMaximum", (0, 1, 2)), ("HotPartition", (0,))]
)
def test_more_than_the_replicas_can_read(
    reason: str,
    partitions: tuple[int, ...],
    operator: LocalCluster,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    topic_prefix: str,
    wait_for: WaitFor,
) -> None:
    # What the law has learned of this model's speed: 2 messages per second and replica.
    body = json.loads(manifest(merged(NOT_THERE, {"autoscaling": {"maxReplicas": 1}})))
    body["metadata"]["annotations"] = {"textmoderation.dev/learned": '{"rate": 2}'}
    kubectl("apply", "-f", "-", stdin=json.dumps(body))
    wait_for(lambda: condition(kubectl, "TopicsReady").get("status") == "True", 30, "topics")

    def told() -> bool:
        for number in partitions:
            values = [b'{"body": "hello"}'] * 10
            produce(operator, f"{topic_prefix}-input", values, partition=number)
        return condition(kubectl, "AutoscalingReady").get("reason") == reason

    wait_for(told, 60, reason)


def test_an_autoscaler_that_may_not_scale(
    operator: LocalCluster, ready: Callable[..., None], kubectl: Kubectl, wait_for: WaitFor
) -> None:
    ready(DEPLOYMENT)
    role = "system:controller:horizontal-pod-autoscaler"
    before = operator.kubectl("get", "clusterrole", role, "-o", "json")
    body = json.loads(before)
    body["rules"] = [rule for rule in body["rules"] if rule.get("resources") != ["*/scale"]]
    operator.kubectl("replace", "-f", "-", stdin=json.dumps(body))
    try:
        wait_for(
            lambda: condition(kubectl, "AutoscalingReady").get("reason") == "HpaLimited",
            60,
            "HpaLimited",
        )
    finally:
        restored = json.loads(before)
        del restored["metadata"]["resourceVersion"]
        operator.kubectl("replace", "-f", "-", stdin=json.dumps(restored))
    wait_for(lambda: condition(kubectl, "Ready").get("status") == "True", 60, "Ready again")


# --- KEDA -----------------------------------------------------------------------------------------


@pytest.fixture
def foreign_metrics(operator: LocalCluster, tmp_path: Path) -> Iterator[None]:
    """external.metrics.k8s.io belongs to somebody else, who offers what KEDA's adapter offers."""
    name = "v1beta1.external.metrics.k8s.io"
    plane = operator.control_plane
    before = json.loads(operator.kubectl("get", "apiservice", name, "-o", "json"))
    pair = plane.server_authority.issue(
        "keda", "keda", hosts=["127.0.0.1", "localhost", "keda.kube-system.svc"]
    )
    port = free_port()
    process = operator.keeper.start(
        "foreign-metrics",
        [sys.executable, STAND_IN, "foreign-metrics", str(port), pair.certificate, pair.key],
    )
    operator.apply(
        *manifests.aggregated_api(
            "external.metrics.k8s.io", "v1beta1", "keda", port, plane.server_authority.certificate
        )
    )
    yield
    operator.kubectl("delete", "apiservice", name)
    for field in ("resourceVersion", "uid", "managedFields", "creationTimestamp"):
        before["metadata"].pop(field, None)
    before.pop("status", None)
    operator.apply(before)
    operator.keeper.stop(process)


def test_metrics_that_are_served_by_somebody_else_are_told_and_keda_is_the_way_out(
    foreign_metrics: None,
    operator: LocalCluster,
    told: Callable[..., dict[str, str]],
    kubectl: Kubectl,
    namespace: str,
    wait_for: WaitFor,
) -> None:
    kubectl("delete", "crd", "scaledobjects.keda.sh", "--ignore-not-found")
    told(DEPLOYMENT, "AutoscalingReady", "MetricsUnavailable")
    way_out = "set autoscaling.metricsProvider to Keda"
    wait_for(lambda: way_out in condition(kubectl, "AutoscalingReady")["message"], 60, "told whose")

    keda = merged(
        DEPLOYMENT,
        {"autoscaling": {"metricsProvider": "Keda", "cpu": {"averageUtilization": 80}}},
    )
    told(keda, "AutoscalingReady", "MetricsUnavailable")
    wait_for(
        lambda: "install KEDA" in condition(kubectl, "AutoscalingReady")["message"], 20, "told"
    )
    operator.kubectl("apply", "-f", str(SCALED_OBJECTS))
    wait_for(lambda: kubectl("get", "so", "-o", "name"), 60, "the ScaledObject is made")
    wait_for(lambda: not kubectl("get", "hpa", "-o", "name"), 30, "the HPA of ours is pruned")
    assert "KEDA has not acted yet" in condition(kubectl, "AutoscalingReady")["message"]

    # KEDA's part: it asks the trigger's URL, and says that it is ready.
    lag, cpu = json.loads(kubectl("get", "so", "science", "-o", "jsonpath={.spec.triggers}"))
    assert cpu["type"] == "cpu"
    answer: httpx.Response = httpx.get(lag["metadata"]["url"])
    assert answer.json()[lag["metadata"]["valueLocation"]] == 1
    ready = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "fine"}
    patch = json.dumps({"status": {"conditions": [ready]}})
    kubectl("patch", "so", "science", "--subresource=status", "--type=merge", "-p", patch)
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=60s")
    kubectl("delete", "so", "science")
    wait_for(lambda: kubectl("get", "so", "-o", "name"), 15, "drift is repaired")
