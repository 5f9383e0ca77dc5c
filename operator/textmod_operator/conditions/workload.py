"""WorkloadReady: does at least one replica serve the requested image, and if not, why?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions.pod_trouble import failed, trouble
from textmod_operator.conditions.states import ConditionState
from textmod_operator.state import Desired, PodSeen, ScalingSeen, WorkloadSeen

_BLOCKED: Final = ("can't be written", "nothing is consumed", "The schema registry")
"""Words with which the worker's readiness says that it reads nothing on purpose."""
_MOST_PARTITIONS: Final = 20


def workload_state(
    tm: TextModeration, want: Desired, seen: WorkloadSeen | None, scaling: ScalingSeen | None
) -> ConditionState:
    """WorkloadReady as the workload, its pods and the stream's progress have it."""
    if seen is None:
        return ConditionState("Unknown", "NotLookedAt", "not looked at before the topics are ready")
    if tm.replicas == 0 and seen.replicas == 0:
        return ConditionState(
            "True", "ScaledToZero", "no replica runs and none is needed: everything is read"
        )
    if (blocked := _blocked(seen.pods)) is not None:
        return blocked
    image = tm.spec.model.image
    ready = [pod for pod in seen.pods if pod.ready]
    serving = [pod for pod in ready if pod.revision == want.revision]
    if serving and serving == ready and seen.settled:
        if scaling is not None and scaling.standing:
            return _not_consuming(tm, scaling, seen.pods)
        message = f"{len(serving)} of {tm.replicas} replicas serve {image}"
        return ConditionState("True", "Serving", message)
    return trouble([pod for pod in seen.pods if not pod.ready]) or _in_progress(tm, seen)


def _in_progress(tm: TextModeration, seen: WorkloadSeen) -> ConditionState:
    if seen.failure:
        return failed(f"{seen.ref.kind} {seen.ref.name}: {seen.failure}", "model.resources")
    if any(pod.ready for pod in seen.pods):
        message = f"replicas are moving to {tm.spec.model.image}"
        return ConditionState("False", "RollingOut", message)
    if seen.unreported:
        said = (
            f"; Seldon's controller has not reported on {seen.ref.kind} {seen.ref.name}: check "
            "that it runs and handles this namespace"
        )
    else:
        said = next((f"; pod {pod.name} says: {pod.says}" for pod in seen.pods if pod.says), "")
    message = f"no replica serves yet; {tm.replicas} requested{said}"
    return ConditionState("False", "Creating", message)


def _blocked(pods: Iterable[PodSeen]) -> ConditionState | None:
    """A pod that reads nothing because it can't write, or can't decode, in its own words."""
    for pod in pods:
        if pod.says is not None and any(words in pod.says for words in _BLOCKED):
            return ConditionState("False", "StreamBlocked", f"pod {pod.name}: {pod.says}")
    return None


def _not_consuming(
    tm: TextModeration, scaling: ScalingSeen, pods: Iterable[PodSeen]
) -> ConditionState:
    numbers = ", ".join(map(str, scaling.standing[:_MOST_PARTITIONS]))
    more = len(scaling.standing) - _MOST_PARTITIONS
    which = numbers + (f" and {more} more" if more > 0 else "")
    said = next((f"; pod {pod.name} says: {pod.says}" for pod in pods if pod.says), "")
    message = (
        f"messages wait in partitions {which} of topic {tm.input_topic} and the consumer group has "
        f"committed nothing there for {_rounded(scaling.standing_seconds)} s{said}; see the pods' "
        "logs"
    )
    return ConditionState("False", "NotConsuming", message)


def _rounded(seconds: float) -> int:
    """In steps, so that a condition does not change with every reading."""
    step = 10 if seconds < 60 else 60
    return int(seconds // step) * step
