"""The HorizontalPodAutoscaler on our own scale subresource."""

from __future__ import annotations

from typing import Any

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import API_VERSION, KIND, TextModeration
from textmod_operator.state import Capabilities, Manifest


def autoscaler(tm: TextModeration, capabilities: Capabilities) -> Manifest | None:
    """The HPA (autoscaling/v2), or None when nothing is to be scaled on.

    The lag metric *is* the number of replicas that the scaling law wants, with a target of 1 each:
    the HPA then asks for exactly that number, as soon as its tolerance is 0.
    """
    metrics = [*_lag_metric(tm), *_cpu_metric(tm)]
    if not metrics:
        return None
    spec: Manifest = {
        "scaleTargetRef": {"apiVersion": API_VERSION, "kind": KIND, "name": tm.metadata.name},
        # The HPA knows no zero: from 1 to 0 and back is the operator's own step.
        "minReplicas": max(1, tm.spec.autoscaling.min_replicas),
        "maxReplicas": tm.max_replicas,
        "metrics": metrics,
    }
    if behavior := _behavior(tm, capabilities):
        spec["behavior"] = behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": naming.child(tm),
            "namespace": tm.metadata.namespace,
            "labels": naming.labels(tm),
        },
        "spec": spec,
    }


def _lag_metric(tm: TextModeration) -> list[Manifest]:
    if tm.spec.autoscaling.metrics_provider != "Builtin":
        return []
    return [
        {
            "type": "External",
            "external": {
                "metric": {
                    "name": naming.METRIC,
                    "selector": {"matchLabels": {naming.NAME_LABEL: tm.metadata.name}},
                },
                "target": {"type": "AverageValue", "averageValue": "1"},
            },
        }
    ]


def _cpu_metric(tm: TextModeration) -> list[Manifest]:
    cpu = tm.spec.autoscaling.cpu
    if cpu is None:
        return []
    return [
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "cpu",
                "container": naming.CONTAINER,
                "target": {"type": "Utilization", "averageUtilization": cpu.average_utilization},
            },
        }
    ]


def _behavior(tm: TextModeration, capabilities: Capabilities) -> Manifest:
    """The user's behavior, over a default by which the HPA adds nothing to the law's decision.

    A law that waits and looks back already makes a second stabilization only delay. Without lag
    (CPU alone) the HPA's own defaults are the right ones.
    """
    asked: dict[str, Any] = tm.spec.autoscaling.behavior
    if tm.spec.autoscaling.metrics_provider != "Builtin":
        return asked
    at_once = {"type": "Pods", "value": tm.max_replicas, "periodSeconds": 15}
    ours: Manifest = {"selectPolicy": "Max", "stabilizationWindowSeconds": 0, "policies": [at_once]}
    if capabilities.hpa_tolerance:
        ours["tolerance"] = "0"
    return {
        direction: {**ours, **asked.get(direction, {})} for direction in ("scaleUp", "scaleDown")
    }
