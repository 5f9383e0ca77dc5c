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
