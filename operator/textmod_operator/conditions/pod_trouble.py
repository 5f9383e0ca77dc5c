"""Why pods do not serve, in the words of their node, scheduler or controller. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from textmod_operator.conditions.states import ConditionState
from textmod_operator.state import PodSeen

_PULLING: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_NOT_STARTING: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
MANY_RESTARTS: Final = 2
"""Between two back-offs a crashing container runs for a moment; it has not recovered by that."""
_DIGEST_MISMATCH: Final = "ModelDigestMismatch"


def failed(said: str, resources: str) -> ConditionState:
    """The state of a workload whose controller reports that it cannot create pods."""
    if "exceeded quota" in said or "status unknown for quota" in said:
        message = f"{said}; raise the quota, or lower {resources}"
        return ConditionState("False", "QuotaExceeded", message)
    if any(word in said for word in ("forbidden", "denied", "violates", "Invalid value")):
        message = f"{said}; change the object, or the policy that refuses its pods"
        return ConditionState("False", "PodRefused", message)
    return ConditionState("False", "Creating", said)


def trouble(pods: Iterable[PodSeen]) -> ConditionState | None:
    """Why the first of these pods does not serve; None: they may only be starting."""
    first = next((found for pod in pods if (found := _trouble_of(pod)) is not None), None)
    return None if first is None else ConditionState("False", *first)


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
