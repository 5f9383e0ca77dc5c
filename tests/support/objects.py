"""TextModerations and sightings for the operator's unit tests."""

from __future__ import annotations

from typing import Any

from textmod_operator.api.v1alpha1 import API_VERSION, KIND, TextModeration
from textmod_operator.state import (
    AutoscalerSeen,
    KafkaConnection,
    LagReading,
    PartitionLag,
    PodSeen,
    Ref,
    ScalingSeen,
    TopicSeen,
    WorkloadSeen,
)

IMAGE = "textmoderation/nlp-model:0.1.0"
REVISION = "as-asked"
"""Of the pods that are what is asked for."""
PLAINTEXT = KafkaConnection("kafka:9092")


def merged(base: Any, change: Any) -> Any:
    """`base` with `change` laid over it, objects field by field."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    result = dict(base)
    for key, value in change.items():
        result[key] = merged(base.get(key), value)
    return result


def body(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """A TextModeration as the API server returns it, with `spec` laid over the smallest one."""
    smallest = {"kafka": {"bootstrapServers": "kafka:9092"}, "model": {"image": IMAGE}}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": "science",
            "namespace": "reddit",
            "uid": "uid-1",
            "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **metadata,
        },
        "spec": merged(smallest, spec or {}),
    }


def moderation(spec: dict[str, Any] | None = None, **metadata: Any) -> TextModeration:
    """The same, parsed."""
    return TextModeration.parse(body(spec, **metadata))


def topics_seen() -> tuple[TopicSeen, ...]:
    return (
        TopicSeen("input", "science-input", 12, 3, created=True),
        TopicSeen("output", "science-output", 12, 3, created=False),
        TopicSeen("deadLetter", "science-dead-letter", 1, 3, created=False),
    )


def workload_seen(**changes: Any) -> WorkloadSeen:
    ref = Ref("machinelearning.seldon.io/v1", "SeldonDeployment", "reddit", "science")
    fields: dict[str, Any] = {
        "ref": ref,
        "replicas": 1,
        "ready_replicas": 1,
        "settled": True,
        "pods": (PodSeen("science-1", IMAGE, ready=True, revision=REVISION),),
    }
    return WorkloadSeen(**{**fields, **changes})


def autoscaler_seen(**conditions: tuple[str, str, str]) -> AutoscalerSeen:
    ref = Ref("autoscaling/v2", "HorizontalPodAutoscaler", "reddit", "science")
    active = {"ScalingActive": ("True", "ValidMetricFound", "fine")}
    return AutoscalerSeen(ref, {**active, **conditions})


def scaling_seen(**changes: Any) -> ScalingSeen:
    reading = LagReading(1000.0, (PartitionLag(0, 0, 41_237, 0), PartitionLag(1, 0, 10, 10)))
    fields: dict[str, Any] = {
        "reading": reading,
        "desired": 2,
        "reason": "2 of 12: 41k behind",
        "seconds_behind": 12.3,
        "in_per_second": 104.2,
    }
    return ScalingSeen(**{**fields, **changes})
