"""What the API server's answer to an apply means for the object. Pure.

Every answer becomes a condition: the answer to a spec that is wrong is InvalidSpec, whatever its
HTTP status. (A server-side apply of a value that has the wrong type, or of a field that the
server's schema does not have, is answered with 500.)
"""

from __future__ import annotations

from typing import Final

from textmod_operator.errors import (
    AutoscalingNotReady,
    ClusterError,
    NotAccepted,
    Problem,
    TopicsNotReady,
    WorkloadNotReady,
)

_OF_THE_SPEC: Final = (
    "failed to create typed patch object",
    "failed to create manager for existing fields",
    "failed to convert new object",
    "field not declared in schema",
    "unable to decode",
    "cannot unmarshal",
    "quantities must match",
    "duplicate entries for key",
    "unable to parse quantity",
    "errors:",
    "json:",
)
"""Words of the API server about a value that it can't read."""
_PARTS: Final[dict[str, type[Problem]]] = {
    "HorizontalPodAutoscaler": AutoscalingNotReady,
    "ScaledObject": AutoscalingNotReady,
    "Kafka": TopicsNotReady,
    "KafkaTopic": TopicsNotReady,
}
"""The part that an object of a kind belongs to, if it is not the workload."""


def problem_of(kind: str, name: str, error: ClusterError) -> Problem:
    """The condition that the API server's refusal of an object is.

    Raises:
        ClusterError: `error` itself, when the API server could not be reached: no status can be
            written then either.
    """
    if error.status == 0:
        raise error
    said = f"the API server refuses {kind} {name}: {error.message}"
    if _is_of_the_spec(error):
        return NotAccepted("InvalidSpec", said, retry=False)
    part = _PARTS.get(kind, WorkloadNotReady)
    if error.status == 403 and "exceeded quota" in error.message:
        return part("QuotaExceeded", f"{said}; raise the quota, or delete what uses it up")
    if is_denied(error):
        return part("PodRefused", f"{said}; change the object, or the policy that refuses it")
    if "ValidatingAdmissionPolicy" in error.message:
        return part("PodRefused", f"{said}; change the object, or the policy that refuses it")
    return part(
        "ApplyFailed",
        f"{said} (HTTP {error.status}); it is retried, and what runs is left as it is",
    )


def is_denied(error: ClusterError) -> bool:
    """Whether an admission webhook judged the object and refused it."""
    return "admission webhook" in error.message and "denied the request" in error.message


def _is_of_the_spec(error: ClusterError) -> bool:
    if "failed calling webhook" in error.message or "admission webhook" in error.message:
        return False
    if "ValidatingAdmissionPolicy" in error.message:
        return False
    if error.status in (400, 413, 422):
        return True
    return error.status == 500 and any(words in error.message for words in _OF_THE_SPEC)
