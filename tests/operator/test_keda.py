"""KEDA as the provider: what its 2.21 does and refuses, which the integration test sees it do."""

from __future__ import annotations

import pytest
from fake_cluster import FakeCluster
from world import DEPLOYMENT, SERVING, World, serving

from textmod_operator.errors import ClusterError
from textmod_operator.state import Capabilities, Manifest

KEDA = {**DEPLOYMENT, "autoscaling": {"metricsProvider": "Keda"}}
READY = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "fine"}


def with_keda(*conditions: Manifest) -> World:
    """A world with KEDA in it, whose ScaledObjects have these conditions."""
    world = serving()
    world.cluster.status = {**SERVING, "ScaledObject": {"conditions": list(conditions)}}
    world.cluster.keda_webhook = True
    world.capabilities = Capabilities(keda_url="http://operator.moderation.svc:8080")
    return world


def kinds(cluster: FakeCluster) -> set[str]:
    return {ref.kind for ref in cluster.live}


def test_our_autoscaler_makes_way_for_kedas() -> None:
    """KEDA's webhook refuses a ScaledObject beside another autoscaler of the same target."""
    world = with_keda(READY)
    world.run(DEPLOYMENT)
    assert "HorizontalPodAutoscaler" in kinds(world.cluster)
    world.run(KEDA, generation=4)
    assert "ScaledObject" in kinds(world.cluster)
    assert "HorizontalPodAutoscaler" not in kinds(world.cluster)
    assert world.told["AutoscalingReady"] == ("True", "OnLiveLag")


def test_a_webhook_that_is_late_to_see_it_go_is_asked_again() -> None:
    world = with_keda(READY)
    world.run(DEPLOYMENT)
    denied = 'admission webhook "vscaledobject.kb.io" denied the request: already managed'
    world.cluster.faults["apply", "ScaledObject"] = ClusterError(403, denied)
    outcome = world.run(KEDA, generation=4)
    assert world.told["AutoscalingReady"] == ("False", "PodRefused")
    assert outcome is not None
    assert outcome.retry
    world.cluster.faults.clear()
    world.run(KEDA, generation=4)
    assert world.told["AutoscalingReady"] == ("True", "OnLiveLag")


def test_ours_stays_where_keda_does_not_take_over() -> None:
    """Another refusal is no reason to have no autoscaler at all."""
    world = with_keda(READY)
    world.run(DEPLOYMENT)
    world.cluster.faults["apply", "ScaledObject"] = ClusterError(500, "etcd is away")
    world.run(KEDA, generation=4)
    assert "HorizontalPodAutoscaler" in kinds(world.cluster)


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ({"type": "Paused", "status": "True", "message": "paused"}, "HpaLimited"),
        (
            {"type": "HPAActive", "status": "False", "message": "the HPA was unable"},
            "MetricsUnavailable",
        ),
        ({"type": "HPAActive", "status": "Unknown"}, None),
        ({"type": "Paused", "status": "False"}, None),
    ],
)
def test_a_scaled_object_that_is_valid_may_still_not_scale(
    condition: Manifest, reason: str | None
) -> None:
    """`Ready` of KEDA says that the ScaledObject is a valid one, and of a paused one too."""
    world = with_keda(READY, condition)
    world.run(KEDA)
    expected = ("True", "OnLiveLag") if reason is None else ("False", reason)
    assert world.told["AutoscalingReady"] == expected
