"""The Keda provider on a real KEDA: its operator, metrics server and admission webhooks.

Only `make keda` runs it, which builds KEDA first: too long for every run of the tests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from live import Kubectl, WaitFor, condition, produce
from objects import merged

from textmod_dev.build import keda_folder
from textmod_dev.keda import keda as running
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.model_image import IMAGE

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        "TEXTMOD_KEDA" not in os.environ or not keda_folder().is_dir(),
        reason="a real KEDA is asked for by `make keda`, which builds it (ten minutes, once)",
    ),
]

UNREAD = {
    "serving": {"platform": "Deployment"},
    "model": {"image": "textmoderation/not-there:0"},
    "autoscaling": {"maxReplicas": 3, "lag": {"messagesPerReplica": 100}},
}
"""Nobody reads what is written."""
KEDA = merged(
    UNREAD, {"autoscaling": {"metricsProvider": "Keda", "cpu": {"averageUtilization": 80}}}
)
PAUSED = "autoscaling.keda.sh/paused"


@pytest.fixture(scope="module")
def keda(operator: LocalCluster) -> Iterator[None]:
    with running(operator, keda_folder()):
        yield


@pytest.fixture
def applied(
    keda: None, kubectl: Kubectl, manifest: Callable[..., str], wait_for: WaitFor
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Applies a TextModeration, which is deleted at the end: KEDA's finalizer needs KEDA."""

    def apply(spec: dict[str, Any]) -> None:
        kubectl("apply", "-f", "-", stdin=manifest(spec))

    yield apply
    kubectl("delete", "tm", "--all")
    wait_for(lambda: not kubectl("get", "so,hpa", "-o", "name"), 60, "KEDA let its objects go")


def wait_until_it_scales(kubectl: Kubectl, wait_for: WaitFor) -> None:
    """Until the operator says that the autoscaler follows the lag."""

    def follows() -> bool:
        told = condition(kubectl, "AutoscalingReady")
        assert told.get("reason") == "OnLiveLag", told.get("message")
        return True

    wait_for(follows, 90, "the autoscaler follows the lag")


def replicas(kubectl: Kubectl) -> int:
    return int(kubectl("get", "tm", "science", "-o", "jsonpath={.spec.replicas}") or 1)


def test_keda_takes_over_scales_by_the_lag_and_leaves_nothing(
    operator: LocalCluster,
    applied: Callable[[dict[str, Any]], None],
    kubectl: Kubectl,
    wait_for: WaitFor,
    topic_prefix: str,
) -> None:
    applied(UNREAD)
    wait_for(lambda: kubectl("get", "hpa", "-o", "name"), 60, "our own autoscaler")

    applied(KEDA)  # which KEDA's webhook refuses beside our autoscaler
    wait_for(lambda: kubectl("get", "so", "-o", "name"), 60, "the ScaledObject")
    wait_for(
        lambda: kubectl("get", "hpa", "-o", "name").split() == [f"{HPA}/keda-hpa-science"],
        60,
        "KEDA's autoscaler alone",
    )
    wait_until_it_scales(kubectl, wait_for)
    as_the_operator_makes_its_own(json.loads(kubectl("get", "hpa", "-o", "json"))["items"][0])

    produce(operator, f"{topic_prefix}-input", [b"{}"] * 250)
    wait_for(lambda: replicas(kubectl) == 3, 60, "three replicas for 250 unread messages")
    # Read by a real model, which has nothing to say to an empty message.
    applied(merged(KEDA, {"model": {"image": IMAGE}}))
    wait_for(lambda: replicas(kubectl) == 1, 300, "one replica again")


HPA = "horizontalpodautoscaler.autoscaling"


def as_the_operator_makes_its_own(hpa: dict[str, Any]) -> None:
    """KEDA's HPA asks what ours would: the size that the law wants, and the container's CPU."""
    spec = hpa["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 3)
    assert spec["scaleTargetRef"]["kind"] == "TextModeration"
    for direction in ("scaleUp", "scaleDown"):
        assert spec["behavior"][direction]["stabilizationWindowSeconds"] == 0
    found = {metric["type"]: metric for metric in spec["metrics"]}
    external, cpu = found["External"]["external"], found["ContainerResource"]["containerResource"]
    assert external["target"] == {"type": "AverageValue", "averageValue": "1"}
    assert cpu["container"] == "classifier"
    assert cpu["target"] == {"type": "Utilization", "averageUtilization": 80}


def test_a_pause_in_keda_is_told_and_ends(
    applied: Callable[[dict[str, Any]], None], kubectl: Kubectl, wait_for: WaitFor
) -> None:
    applied(KEDA)
    wait_for(lambda: kubectl("get", "hpa", "-o", "name"), 60, "KEDA's autoscaler")
    wait_until_it_scales(kubectl, wait_for)
    kubectl("annotate", "so", "science", f"{PAUSED}=true")
    wait_for(
        lambda: condition(kubectl, "AutoscalingReady")["reason"] == "HpaLimited", 60, "the pause"
    )
    assert not kubectl("get", "hpa", "-o", "name")
    kubectl("annotate", "so", "science", f"{PAUSED}-")
    wait_until_it_scales(kubectl, wait_for)


def test_the_kafka_trigger_answers_as_the_simulator_has_it(
    operator: LocalCluster,
    applied: Callable[[dict[str, Any]], None],
    kubectl: Kubectl,
    wait_for: WaitFor,
    topic_prefix: str,
) -> None:
    """The lag, and with more than one threshold beyond all partitions (three here) theirs alone.

    Between the two KEDA's integer division lets the lag pass, where `autoscaling.policies` has the
    cap at once (what that means for sizes is in decisions/2026-11-24-keda-provider.md).
    """
    applied(merged(UNREAD, {"autoscaling": {"metricsProvider": "None"}}))
    topic = f"{topic_prefix}-input"
    wait_for(lambda: condition(kubectl, "TopicsReady").get("status") == "True", 60, "the topics")
    kubectl("apply", "-f", "-", stdin=json.dumps(kafka_trigger(operator.bootstrap_servers, topic)))
    name = "jsonpath={.items[0].spec.metrics[0].external.metric.name}"
    wait_for(lambda: kubectl("get", "hpa", "-o", name), 60, "KEDA's autoscaler")
    metric, space = kubectl("get", "hpa", "-o", name), topic_prefix
    path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{space}/{metric}"
    selector = "labelSelector=scaledobject.keda.sh%2Fname%3Dtheirs"

    def answered() -> str:
        values = json.loads(kubectl("get", "--raw", f"{path}?{selector}"))["items"]
        return ",".join(item["value"] for item in values)

    for more, expected in ((0, "0"), (250, "250"), (50, "300"), (99, "399"), (1, "300")):
        produce(operator, topic, [b"{}"] * more)
        wait_for(lambda expected=expected: answered() == expected, 20, f"KEDA answers {expected}")
    kubectl("delete", "so", "theirs")


def kafka_trigger(brokers: str, topic: str) -> dict[str, Any]:
    """A ScaledObject of a user's own, on KEDA's Kafka trigger."""
    trigger = {
        "bootstrapServers": brokers,
        "consumerGroup": f"{topic}-nobody",
        "topic": topic,
        "lagThreshold": "100",
        "offsetResetPolicy": "earliest",
    }
    target = {"apiVersion": "textmoderation.dev/v1alpha1", "kind": "TextModeration"}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "theirs"},
        "spec": {
            "scaleTargetRef": {**target, "name": "science"},
            "minReplicaCount": 1,
            "maxReplicaCount": 3,
            "triggers": [{"type": "kafka", "metadata": trigger}],
        },
    }
