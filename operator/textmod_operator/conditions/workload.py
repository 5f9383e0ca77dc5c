"""WorkloadReady: does at least one replica serve the requested image, and if not, why?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions.states import ConditionState
from textmod_operator.state import Desired, PodSeen, ScalingSeen, WorkloadSeen

_PULLING: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_NOT_STARTING: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
_BLOCKED: Final = ("can't be written", "nothing is consumed", "The schema registry")
"""Words with which the worker's readiness says that it reads nothing on purpose."""
_MOST_PARTITIONS: Final = 20
MANY_RESTARTS: Final = 2
"""Between two back-offs a crashing container runs for a moment; it has not recovered by that."""
_DIGEST_MISMATCH: Final = "ModelDigestMismatch"


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
    return _trouble([pod for pod in seen.pods if not pod.ready]) or _in_progress(tm, seen)


def _in_progress(tm: TextModeration, seen: WorkloadSeen) -> ConditionState:
    if seen.failure:
        return _failed(f"{seen.ref.kind} {seen.ref.name}: {seen.failure}")
    if any(pod.ready for pod in seen.pods):
        message = f"replicas are moving to {tm.spec.model.image}"
        return ConditionState("False", "RollingOut", message)
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


def _failed(said: str) -> ConditionState:
    """What the controller of the workload says when it cannot create pods."""
    if "exceeded quota" in said or "status unknown for quota" in said:
        message = f"{said}; raise the quota, or lower model.resources"
        return ConditionState("False", "QuotaExceeded", message)
    if any(word in said for word in ("forbidden", "denied", "violates", "Invalid value")):
        message = f"{said}; change the object, or the policy that refuses its pods"
        return ConditionState("False", "PodRefused", message)
    return ConditionState("False", "Creating", said)


def _trouble(pods: Iterable[PodSeen]) -> ConditionState | None:
    """What keeps a pod from serving, when it is more than time."""
    found = next((trouble for pod in pods if (trouble := _trouble_of(pod)) is not None), None)
    return None if found is None else ConditionState("False", *found)


def _trouble_of(pod: PodSeen) -> tuple[str, str] | None:
    """(reason, message) of one pod that does not serve."""
    said = (pod.last_message or "").strip()
    waiting = pod.waiting_reason
    crashing = waiting == "CrashLoopBackOff" or pod.restarts >= MANY_RESTARTS
    table = (
        (_DIGEST_MISMATCH in said, _DIGEST_MISMATCH, said),
        (
            waiting in _PULLING,
            "ImageUnavailable",
            f"can't get image {pod.image}: {said or waiting}",
        ),
        (crashing, "CrashLooping", f"is crash-looping; last message: {said or 'none'}"),
        (
            waiting in _NOT_STARTING,
            "ContainerNotStarting",
            f"does not start its container: {waiting}: {said or 'no message'}",
        ),
        (
            pod.unscheduled is not None,
            "Unschedulable",
            f"can't be scheduled: {pod.unscheduled}",
        ),
        (pod.refused is not None, "PodRefused", f"was refused by its node: {pod.refused}"),
    )
    return next(
        ((reason, f"pod {pod.name} {message}") for is_so, reason, message in table if is_so), None
    )
