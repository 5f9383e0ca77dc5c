"""AutoscalingReady: does the autoscaler act on live lag, and if not, why?"""

from __future__ import annotations

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions.states import ConditionState
from textmod_operator.errors import AutoscalingNotReady
from textmod_operator.state import AutoscalerSeen, LagUnknown, ScalingSeen, WorkloadSeen


def autoscaling_state(
    tm: TextModeration,
    workload: WorkloadSeen | None,
    autoscaler: AutoscalerSeen | None,
    scaling: ScalingSeen | None,
) -> ConditionState:
    """AutoscalingReady as the autoscaler and the scaling law have it."""
    if workload is None:
        return ConditionState(
            "Unknown", "NotLookedAt", "not looked at before there is a workload to scale"
        )
    try:
        _check_lag(tm, scaling)
        _check_autoscaler(tm, autoscaler)
    except AutoscalingNotReady as problem:
        return ConditionState("False", problem.reason, problem.message)
    if tm.spec.autoscaling.metrics_provider == "None":
        return ConditionState("True", "NotOnLag", "autoscaling.metricsProvider is None")
    keda = tm.spec.autoscaling.metrics_provider == "Keda"
    scaler = "ScaledObject" if keda else "HorizontalPodAutoscaler"
    return ConditionState("True", "OnLiveLag", f"the {scaler} follows the live lag")


def _check_lag(tm: TextModeration, scaling: ScalingSeen | None) -> None:
    if tm.spec.autoscaling.metrics_provider == "None":
        return
    if scaling is None:
        raise AutoscalingNotReady("LagUnknown", "the lag has not been read yet")
    if isinstance(scaling.reading, LagUnknown):
        raise AutoscalingNotReady("LagUnknown", scaling.reading.why)
    if scaling.condition is not None:
        raise AutoscalingNotReady(scaling.condition, scaling.reason)


def _check_autoscaler(tm: TextModeration, seen: AutoscalerSeen | None) -> None:
    if seen is None:
        return  # nothing to scale on was asked for, or the workload stands before it
    if seen.ref.kind != "HorizontalPodAutoscaler":
        _check_scaled_object(seen)
        return
    active, reason, message = seen.conditions.get(
        "ScalingActive", ("Unknown", "", "the HorizontalPodAutoscaler has not acted yet")
    )
    if active != "True" and not (reason == "ScalingDisabled" and tm.replicas == 0):
        raise AutoscalingNotReady("MetricsUnavailable", message)
    able, _, message = seen.conditions.get("AbleToScale", ("True", "", ""))
    if able == "False":
        raise AutoscalingNotReady("HpaLimited", message)


def _check_scaled_object(seen: AutoscalerSeen) -> None:
    """Ready of a ScaledObject says that it is a valid one; a paused one is. From KEDA 2.20 on it no
    longer speaks of the HPA, which HPAActive does."""
    who = f"{seen.ref.kind} {seen.ref.name}"
    ready, _, message = seen.conditions.get("Ready", ("Unknown", "", "KEDA has not acted yet"))
    if ready != "True":
        raise AutoscalingNotReady("MetricsUnavailable", f"{who}: {message}")
    paused, _, _ = seen.conditions.get("Paused", ("False", "", ""))
    if paused == "True":
        raise AutoscalingNotReady(
            "HpaLimited",
            f"{who} is paused: remove its annotations that begin with autoscaling.keda.sh/paused",
        )
    active, _, message = seen.conditions.get("HPAActive", ("Unknown", "", ""))
    if active == "False":
        raise AutoscalingNotReady("MetricsUnavailable", f"{who}: {message}")
