"""ReviewReady and status.console: can people review, and where?"""

from __future__ import annotations

from typing import Final

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions.pod_trouble import failed, trouble
from textmod_operator.conditions.states import ConditionState
from textmod_operator.state import Manifest, Observed, PodSeen, WorkloadSeen

CONDITION: Final = "ReviewReady"


def review_state(tm: TextModeration, seen: Observed) -> ConditionState | None:
    """ReviewReady; None for an object without review."""
    review = tm.spec.review
    if review is None:
        return None
    if not seen.topics:
        return ConditionState("Unknown", "NotLookedAt", "not looked at before the topics are ready")
    if not review.console.enabled:
        message = f"texts to review are written to topic {tm.review_topic}; no console is requested"
        return ConditionState("True", "WithoutConsole", message)
    if seen.console is None:
        message = "an earlier step failed, so the console was not looked at"
        return ConditionState("Unknown", "NotLookedAt", message)
    return _console_state(seen.console, review.console.replicas)


def _console_state(seen: WorkloadSeen, asked: int) -> ConditionState:
    ready = seen.ready_replicas
    if ready and seen.settled and ready >= asked:
        message = f"{ready} of {asked} replicas of the console serve"
        return ConditionState("True", "Serving", message)
    if (found := trouble(pod for pod in seen.pods if not pod.ready)) is not None:
        return found
    if seen.failure:
        said = f"{seen.ref.kind} {seen.ref.name}: {seen.failure}"
        return failed(said, "review.console.resources")
    if not (seen.settled and any(_runs(pod) for pod in seen.pods if not pod.ready)):
        reason = "RollingOut" if ready else "Creating"
        message = f"{ready} of {asked} replicas of the console serve; the others are starting"
        return ConditionState("False", reason, message)
    return ConditionState(
        "False",
        "ConsoleUnavailable",
        f"{ready} of {asked} replicas of the console serve: the others do not reach Kafka, their "
        "database or the API server; see the logs of the console's pods",
    )


def _runs(pod: PodSeen) -> bool:
    """Whether its container was started: until then a pod cannot have failed to reach anything."""
    return pod.address is not None and pod.waiting_reason is None


def console_status(seen: WorkloadSeen | None, url: str | None, known: Manifest) -> Manifest:
    """`console` of the status.

    Args:
        url: None: the object has no console.
        known: the status as it is.
    """
    if url is None:
        return {}
    if seen is None:
        before = known.get("console")
        return {"console": before} if before else {}
    return {"console": {"url": url, "ready": seen.ready_replicas > 0}}
