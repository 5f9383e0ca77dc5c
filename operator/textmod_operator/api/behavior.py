"""behavior of the HorizontalPodAutoscaler (autoscaling/v2), field by field."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from textmod_operator.api.quantity import Quantity, quantity_text
from textmod_operator.api.rules import Strict

NULLABLE: dict[str, Any] = {"nullable": True}
"""Clients of autoscaling/v2 write null for what they leave out."""


class ScalingPolicy(Strict):
    """One limit on how fast the size may change."""

    type: Literal["Pods", "Percent"] = Field(
        description="Pods: value is a number of pods. Percent: a percentage of the pods."
    )
    value: int = Field(
        ge=1, le=2147483647, description="How many pods, or percent, may come or go in a period."
    )
    period_seconds: int = Field(
        ge=1, le=1800, description="Length of the period, in seconds, from 1 to 1800."
    )


class ScalingRules(Strict):
    """How the size may change in one direction."""

    stabilization_window_seconds: int | None = Field(
        default=None,
        json_schema_extra=NULLABLE,
        ge=0,
        le=3600,
        description="How far back decisions are looked at, in seconds, from 0 to 3600. Default: 0, "
        "since the operator's law looks back itself.",
    )
    # A pattern and no enum: against an enum the API server refuses null.
    select_policy: str | None = Field(
        default=None,
        pattern="^(Max|Min|Disabled)$",
        max_length=8,
        json_schema_extra=NULLABLE,
        description="Which of the policies counts: Max, Min, or Disabled, which switches this "
        "direction off. Default: Max.",
    )
    policies: list[ScalingPolicy] | None = Field(
        default=None,
        json_schema_extra=NULLABLE,
        min_length=1,
        max_length=16,
        description="The limits. Default: any number of pods at once.",
    )
    tolerance: Quantity | None = Field(
        default=None,
        json_schema_extra=NULLABLE,
        description="Relative difference between metric and target up to which nothing changes, "
        "such as 0.1; taken by Kubernetes 1.35 and later. Default: 0 for the lag.",
    )


class Behavior(Strict):
    """How the size may change."""

    scale_up: ScalingRules | None = Field(
        default=None,
        json_schema_extra=NULLABLE,
        description="How replicas are added. With it the HorizontalPodAutoscaler alone scales up, "
        "at this pace. Default: at once, to what the operator's law decides.",
    )
    scale_down: ScalingRules | None = Field(
        default=None,
        json_schema_extra=NULLABLE,
        description="How replicas are removed. Default: at once, to what the operator's law "
        "decides.",
    )

    def asked(self) -> dict[str, Any]:
        """What was set, as the HorizontalPodAutoscaler has it."""
        asked = self.model_dump(by_alias=True, exclude_none=True)
        for rules in asked.values():
            if "tolerance" in rules:
                rules["tolerance"] = quantity_text(rules["tolerance"])
        return asked
