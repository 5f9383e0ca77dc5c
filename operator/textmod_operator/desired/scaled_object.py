"""KEDA's ScaledObject on our own scale subresource, for clusters where KEDA serves the external
metrics."""

from __future__ import annotations

from typing import Final

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import API_VERSION, KIND, TextModeration
from textmod_operator.desired.autoscaler import behavior
from textmod_operator.state import Manifest

SCALED_OBJECT_API_VERSION: Final = "keda.sh/v1alpha1"
SCALED_OBJECT: Final = "ScaledObject"
POLLING_SECONDS: Final = 5
"""How often KEDA looks at its HPA and refreshes the conditions that ours is judged by; its default
is 30 s. The size is asked for in every sync of the HPA, whatever this says."""


def scaled_object(tm: TextModeration, keda_url: str) -> Manifest:
    """The ScaledObject whose trigger is the number of replicas that the scaling law wants.

    KEDA turns it into an HPA of the same shape as ours. It gets no tolerance of 0: KEDA's schema
    refuses the field up to 2.17 (2.21 takes it), so that a step of a tenth and less (from 10
    replicas on) waits for the next unless `autoscaling.behavior` names one.

    Args:
        keda_url: of this operator's Service, without a path.
    """
    scaling = tm.spec.autoscaling
    return {
        "apiVersion": SCALED_OBJECT_API_VERSION,
        "kind": SCALED_OBJECT,
        "metadata": {
            "name": naming.child(tm),
            "namespace": tm.metadata.namespace,
            "labels": naming.labels(tm),
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": API_VERSION, "kind": KIND, "name": tm.metadata.name},
            "pollingInterval": POLLING_SECONDS,
            "minReplicaCount": scaling.min_replicas,
            "maxReplicaCount": tm.max_replicas,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior(tm)}},
            "triggers": [_lag_trigger(tm, keda_url), *_cpu_trigger(tm)],
        },
    }


def _lag_trigger(tm: TextModeration, keda_url: str) -> Manifest:
    path = naming.KEDA_PATH.format(namespace=tm.metadata.namespace, name=tm.metadata.name)
    return {
        "type": "metrics-api",
        "metricType": "AverageValue",
        "metadata": {
            "url": keda_url.rstrip("/") + path,
            "valueLocation": naming.KEDA_VALUE,
            "targetValue": "1",
        },
    }


def _cpu_trigger(tm: TextModeration) -> list[Manifest]:
    cpu = tm.spec.autoscaling.cpu
    if cpu is None:
        return []
    metadata = {"value": str(cpu.average_utilization), "containerName": naming.CONTAINER}
    return [{"type": "cpu", "metricType": "Utilization", "metadata": metadata}]
