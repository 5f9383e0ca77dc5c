"""Passes over SeldonDeployments whose Deployment makes no pods, or that no controller handles."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_cluster import FakeCluster
from world import SERVING, World

from textmod_operator.controller.reconcile import UNSERVED_SECONDS
from textmod_operator.state import Manifest, Ref

QUOTA = 'pods "science-1" is forbidden: exceeded quota: few, requested: cpu=9'


def seldon_without_pods(**status: Any) -> World:
    """Seldon's controller has made its Deployment, whose ReplicaSet may make no pod."""
    world = World(FakeCluster(status={**SERVING, "SeldonDeployment": status}))
    failure = {"type": "ReplicaFailure", "status": "True", "message": QUOTA}
    ref = Ref("apps/v1", "Deployment", "reddit", "science-default-0-classifier")
    pod_spec = {"containers": [{"env": [{"name": "TEXTMOD_REVISION", "value": ""}]}]}
    world.cluster.live[ref] = {
        "kind": "Deployment",
        "owner": "seldon",
        "spec": {"template": {"spec": pod_spec}},
        "status": {"conditions": [failure]},
    }
    return world


def test_a_deployment_that_never_had_a_pod_stands_not_in_seldons_status() -> None:
    world = seldon_without_pods(state="Creating", description="")
    world.run({})
    assert world.told["WorkloadReady"] == ("False", "QuotaExceeded")
    assert world.told["Stalled"] == ("True", "QuotaExceeded")


def test_a_seldon_deployment_on_its_way_is_looked_at_again() -> None:
    """Nothing reports what happens to the Deployment behind it."""
    world = World(FakeCluster(status={**SERVING, "SeldonDeployment": {"state": "Creating"}}))
    outcome = world.run({})
    assert outcome is not None
    assert outcome.again == UNSERVED_SECONDS
    stuck = seldon_without_pods(state="Creating").run({})
    assert stuck is not None
    assert stuck.again is None


@pytest.mark.parametrize(("status", "told"), [({}, True), ({"state": "Creating"}, False)])
def test_a_seldon_deployment_that_nobody_handles(status: Manifest, told: bool) -> None:
    world = World(FakeCluster(status={**SERVING, "SeldonDeployment": status}))
    world.run({})
    assert world.told["WorkloadReady"] == ("False", "Creating")
    assert world.cluster.body is not None
    message = json.dumps(world.cluster.body["status"]["conditions"])
    assert ("Seldon's controller has not reported on SeldonDeployment science" in message) == told
