"""The HorizontalPodAutoscaler on our own scale subresource."""

from __future__ import annotations

from typing import Any

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import API_VERSION, KIND, TextModeration
from textmod_operator.state import Capabilities, Manifest


def autoscaler(tm: TextModeration, capabilities: Capabilities) -> Manifest | None:
    """The HPA (autoscaling/v2), or None when nothing is to be scaled on, or KEDA makes its own.

    The lag metric *is* the number of replicas that the scaling law wants, with a target of 1 each:
    the HPA then asks for exactly that number, as soon as its tolerance is 0.
    """
    if tm.spec.autoscaling.metrics_provider == "Keda":
        return None
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
    if rules := behavior(tm, tolerance=capabilities.hpa_tolerance):
        spec["behavior"] = rules
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


def acts_at_once(tm: TextModeration) -> bool:
    """Whether the operator may raise the size itself, between two syncs of the HPA.

    The HPA would do the same some seconds later: it takes the largest of its metrics, of which one
    is the size that the law wants, and our default behavior lets it go there in one step. A user
    who has said how to scale up has the HPA do it, at the user's pace.
    """
    autoscaling = tm.spec.autoscaling
    return autoscaling.metrics_provider == "Builtin" and autoscaling.behavior.scale_up is None


def default_behavior(max_replicas: int, *, tolerance: bool = False) -> Manifest:
    """The behavior by which the HPA adds nothing to the law's decision.

    A law that waits and looks back already makes a second stabilization only delay, and the HPA's
    own 4 pods or 100 % in 15 s would take four syncs from 1 to 16 replicas. `tolerance`: the API
    server knows the field; the HPA then asks for exactly what the law wants.
    """
    at_once = {"type": "Pods", "value": max_replicas, "periodSeconds": 15}
    rules: Manifest = {
        "selectPolicy": "Max",
        "stabilizationWindowSeconds": 0,
        "policies": [at_once],
    }
    if tolerance:
        rules["tolerance"] = "0"
    return {"scaleUp": rules, "scaleDown": rules}


def behavior(tm: TextModeration, *, tolerance: bool = False) -> Manifest:
    """The user's behavior over our default. Without lag (CPU alone) the HPA's own is right."""
    asked: dict[str, Any] = tm.spec.autoscaling.behavior.asked()
    if tm.spec.autoscaling.metrics_provider == "None":
        return asked
    ours = default_behavior(tm.max_replicas, tolerance=tolerance)
    return {direction: {**rules, **asked.get(direction, {})} for direction, rules in ours.items()}
