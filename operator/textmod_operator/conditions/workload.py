"""WorkloadReady: does at least one replica serve the requested image, and if not, why?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions.states import ConditionState
from textmod_operator.state import Desired, PodSeen, WorkloadSeen

_PULLING: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_NOT_STARTING: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
MANY_RESTARTS: Final = 2
"""Between two back-offs a crashing container runs for a moment; it has not recovered by that."""
_DIGEST_MISMATCH: Final = "ModelDigestMismatch"


def workload_state(tm: TextModeration, want: Desired, seen: WorkloadSeen | None) -> ConditionState:
    """WorkloadReady as the workload and its pods have it."""
    if seen is None:
        return ConditionState("Unknown", "NotLookedAt", "not looked at before the topics are ready")
    if tm.replicas == 0 and seen.replicas == 0:
        return ConditionState(
            "True", "ScaledToZero", "no replica runs and none is needed: everything is read"
        )
    image = tm.spec.model.image
    ready = [pod for pod in seen.pods if pod.ready]
    serving = [pod for pod in ready if pod.revision == want.revision]
    if serving and serving == ready and seen.settled:
        message = f"{len(serving)} of {tm.replicas} replicas serve {image}"
        return ConditionState("True", "Serving", message)
    return _trouble([pod for pod in seen.pods if not pod.ready]) or _in_progress(tm, seen)


def _in_progress(tm: TextModeration, seen: WorkloadSeen) -> ConditionState:
    if seen.failure:
        return _failed(f"{seen.ref.kind} {seen.ref.name}: {seen.failure}")
    if any(pod.ready for pod in seen.pods):
        message = f"replicas are moving to {tm.spec.model.image}"
        return ConditionState("False", "RollingOut", message)
    return ConditionState("False", "Creating", f"no replica serves yet; {tm.replicas} requested")


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
