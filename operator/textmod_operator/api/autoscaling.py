"""`spec.autoscaling`: how many replicas run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from textmod_operator.api.behavior import Behavior
from textmod_operator.api.rules import Rule, Strict, part


class LagTarget(Strict):
    """Exactly one of the two."""

    rules = (
        Rule(
            "has(self.maxSecondsBehind) != has(self.messagesPerReplica)",
            "autoscaling.lag needs exactly one of maxSecondsBehind and messagesPerReplica",
            lambda lag: (lag.max_seconds_behind is None) != (lag.messages_per_replica is None),
        ),
    )

    max_seconds_behind: int | None = Field(
        default=None,
        ge=1,
        le=86400,
        description="The promise: the oldest unread message is at most this many seconds old. "
        "Default: 30, when lag is left out.",
    )
    messages_per_replica: int | None = Field(
        default=None,
        ge=1,
        le=1000000000,
        description="The simple threshold instead: one replica for every so many unread messages. "
        "Default: none.",
    )


class CpuTarget(Strict):
    average_utilization: int = Field(
        ge=1,
        le=1000,
        description="Average CPU of the model containers to scale for, in percent of "
        "model.resources.requests.cpu. Required, so without a default.",
    )


class Autoscaling(Strict):
    """How many replicas run."""

    rules = (
        Rule(
            "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "autoscaling.minReplicas must be at most autoscaling.maxReplicas",
            lambda scaling: (
                scaling.max_replicas is None or scaling.min_replicas <= scaling.max_replicas
            ),
        ),
        Rule(
            "self.minReplicas > 0 || self.metricsProvider == 'Builtin'",
            "autoscaling.minReplicas 0 needs autoscaling.metricsProvider Builtin: only the "
            "operator itself sees the first message that waits for no replica",
            lambda scaling: scaling.min_replicas > 0 or scaling.metrics_provider == "Builtin",
        ),
    )

    min_replicas: int = Field(
        default=1,
        ge=0,
        le=10000,
        description="Fewest replicas; 0 scales to zero when the input is idle. Default: 1.",
    )
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Most replicas, at most the input's partitions. Default: the input's "
        "partitions.",
    )
    lag: LagTarget = part(
        LagTarget(max_seconds_behind=30),
        "What scaling on consumer lag aims at: exactly one of a promise in seconds and a threshold "
        "in messages. Default: maxSecondsBehind 30.",
    )
    cpu: CpuTarget | None = Field(
        default=None,
        description="Also scale on the CPU of the model containers; the larger of the two numbers "
        "of replicas counts. Needs metrics-server. Default: on lag alone.",
    )
    metrics_provider: Literal["Builtin", "Keda", "None"] = Field(
        default="Builtin",
        description="Who carries the lag to the autoscaler. Builtin: the operator's own "
        "external.metrics.k8s.io. Keda: a ScaledObject, for clusters where KEDA serves that API "
        "and ours can't be. None: no scaling on lag. Default: Builtin.",
    )
    behavior: Behavior = part(
        Behavior(),
        "behavior of the HorizontalPodAutoscaler (autoscaling/v2). Default: the operator's law "
        "decides and the autoscaler follows at once.",
    )
