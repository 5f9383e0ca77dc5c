"""The status of a TextModeration, from what was wanted, what was seen and what went wrong. Pure.

The rules of conditions, which all stand here and nowhere else:

1. Every condition is always there, with reason, message and observedGeneration.
2. `lastTransitionTime` moves only when `status` changes.
3. A part that was not looked at, because an earlier one failed, is Unknown; never True from memory.
4. Ready is the summary: True when the four parts are, else False with the first part's reason.
5. Reconciling and Stalled follow kstatus: abnormal is True. Stalled means that waiting won't help.
6. What can't be read is left out of the figures, never written as 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.errors import AutoscalingNotReady, ConditionType, Problem
from textmod_operator.state import (
    AutoscalerSeen,
    Desired,
    LagReading,
    LagUnknown,
    Manifest,
    Observed,
    PodSeen,
    ScalingSeen,
    WorkloadSeen,
)

PARTS: Final[tuple[ConditionType, ...]] = (
    "Accepted",
    "TopicsReady",
    "WorkloadReady",
    "AutoscalingReady",
)
ORDER: Final = ("Ready", *PARTS, "Reconciling", "Stalled")
PASSING: Final = frozenset({"Creating", "RollingOut", "LagUnknown"})
"""Reasons of work under way: Reconciling, and no event of their own."""

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Verdict:
    """One condition before it is dated."""

    status: Truth
    reason: str
    message: str


@dataclass(frozen=True)
class Notice:
    """An Event worth posting. `severity` is Normal or Warning."""

    severity: str
    reason: str
    message: str


def rejected_status(body: Manifest, problem: Problem, now: datetime) -> Manifest:
    """The status of an object that is not accepted: nothing was looked at, nothing was touched."""
    unseen = Verdict("Unknown", "NotAccepted", "not looked at while the object is not accepted")
    parts: dict[str, Verdict] = {
        part: Verdict("False", problem.reason, problem.message) if part == "Accepted" else unseen
        for part in PARTS
    }
    # What is known of topics, group and workload stays true: nothing was touched.
    known = {
        name: value for name, value in (body.get("status") or {}).items() if name not in FIGURES
    }
    return {
        **known,
        "observedGeneration": body["metadata"].get("generation", 0),
        "conditions": _dated(parts, [problem], body, now),
    }


def held_status(body: Manifest, problem: Problem, now: datetime) -> Manifest:
    """The status of an object on its way out that is held, because its topics can't be deleted."""
    old = {item["type"]: item for item in (body.get("status") or {}).get("conditions") or ()}
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    generation = body["metadata"].get("generation", 0)
    message = (
        f"{problem.message}. The object is held until its topics are deleted: to let it go without "
        "that, set topics.deletionPolicy to Retain"
    )
    verdict = Verdict("False", problem.reason, message)
    told = {
        name: _condition(name, verdict, generation, old.get(name, {}), stamp)
        for name in ("Ready", "TopicsReady")
    }
    return {**(body.get("status") or {}), "conditions": list((old | told).values())}


def status(
    tm: TextModeration,
    body: Manifest,
    *,
    want: Desired,
    seen: Observed,
    problems: Sequence[Problem],
    now: datetime,
) -> Manifest:
    """The whole status, in the API's JSON form.

    Args:
        tm: the object as parsed.
        body: the object as read; its status holds the conditions' dates and what was created.
        want: what was asked for.
        seen: what is there.
        problems: what was raised on the way, at most one for each part.
        now: with a time zone.
    """
    failed = {problem.condition: problem for problem in problems}
    judged = {
        "Accepted": Verdict("True", "Valid", "the spec is valid and its Secrets are there"),
        "TopicsReady": Verdict("True", "AsAsked", _topics_message(seen)),
        "WorkloadReady": _workload(tm, want, seen.workload),
        "AutoscalingReady": _autoscaling(tm, seen.autoscaler, seen.scaling),
    }
    parts: dict[str, Verdict] = {
        part: Verdict("False", failed[part].reason, failed[part].message)
        if part in failed
        else judged[part]
        for part in PARTS
    }
    result: Manifest = {
        "observedGeneration": tm.metadata.generation,
        "conditions": _dated(parts, problems, body, now),
        "selector": naming.selector(tm),
        "consumerGroup": naming.consumer_group(tm),
        "endpoint": naming.endpoint(tm),
        "topics": _topics(body, seen),
        **_replicas(want, seen.workload),
        **figures(seen.scaling),
    }
    return {key: value for key, value in result.items() if value is not None}


def figures(scaling: ScalingSeen | None) -> Manifest:
    """Lag, rates and scaling: the fast figures, rounded so that noise is no change.

    A lag that can't be read has no figure (None takes the old one out of the status).
    """
    if scaling is None:
        return {"lag": None, "rates": None, "scaling": None}
    told = {"desiredReplicas": scaling.desired, "reason": scaling.reason}
    if isinstance(scaling.reading, LagUnknown):
        return {"lag": None, "rates": None, "scaling": told}
    behind = scaling.seconds_behind
    lag = {
        "messages": _rounded(scaling.reading.messages),
        "secondsBehind": None if behind is None else _rounded(math.ceil(behind)),
        "perPartitionMax": _rounded(scaling.reading.per_partition_max),
    }
    rates = {
        "inPerSecond": _significant(scaling.in_per_second),
        "outPerSecond": _significant(scaling.out_per_second),
        "perReplicaPerSecond": _significant(scaling.per_replica_per_second),
    }
    return {
        "lag": {key: value for key, value in lag.items() if value is not None},
        "rates": {key: value for key, value in rates.items() if value is not None} or None,
        "scaling": told,
    }


def published(body: Manifest, now: float) -> ScalingSeen | None:
    """What the status says of scaling, for a process that reads no lag of its own.

    Args:
        body: the object as the API server has it now.
        now: Unix time; the reading is of now as long as the leader that wrote it renews its Lease.
    """
    told = body.get("status") or {}
    if "scaling" not in told:
        return None
    scaling = told["scaling"]
    conditions = {item["type"]: item for item in told.get("conditions") or ()}
    autoscaling = conditions.get("AutoscalingReady", {})
    if "lag" not in told or autoscaling.get("reason") == "LagUnknown":
        return unknown(scaling["reason"], now)
    return ScalingSeen(LagReading(now, ()), scaling["desiredReplicas"], scaling["reason"])


def unknown(why: str, now: float) -> ScalingSeen:
    """Nothing is known, and why; `desired` is looked at by nobody then."""
    return ScalingSeen(LagUnknown(now, why), 0, why)


FIGURES: Final = ("lag", "rates", "scaling")
"""The parts of the status that change by themselves, and are written at a limited rate."""


def notices(before: Manifest, after: Manifest) -> list[Notice]:
    """The Events of a change of status: each transition of a condition once."""
    old = {item["type"]: item for item in before.get("conditions") or ()}
    told = []
    for new in after["conditions"]:
        was = old.get(new["type"], {})
        if (was.get("status"), was.get("reason")) == (new["status"], new["reason"]):
            continue
        if new["type"] == "Ready" and new["status"] == "True":
            told.append(Notice("Normal", "Ready", new["message"]))
        elif (
            new["type"] in PARTS
            and new["status"] == "False"
            and new["reason"] not in PASSING | {"MetricsUnavailable"}
        ):
            told.append(Notice("Warning", new["reason"], new["message"]))
    return told


# --- the parts ------------------------------------------------------------------------------------


def _workload(tm: TextModeration, want: Desired, seen: WorkloadSeen | None) -> Verdict:
    if seen is None:
        return Verdict("Unknown", "NotLookedAt", "not looked at before the topics are ready")
    if tm.replicas == 0 and seen.replicas == 0:
        return Verdict("True", "ScaledToZero", "no replica runs, and none is needed: all is read")
    image = tm.spec.model.image
    ready = [pod for pod in seen.pods if pod.ready]
    serving = [pod for pod in ready if pod.revision == want.revision]
    if serving and serving == ready and seen.settled:
        return Verdict("True", "Serving", f"{len(serving)} of {tm.replicas} replicas serve {image}")
    return _trouble([pod for pod in seen.pods if not pod.ready]) or _under_way(tm, seen)


def _under_way(tm: TextModeration, seen: WorkloadSeen) -> Verdict:
    if seen.failure:
        return Verdict("False", "Creating", f"{seen.ref.kind} {seen.ref.name}: {seen.failure}")
    if any(pod.ready for pod in seen.pods):
        return Verdict("False", "RollingOut", f"replicas are moving to {tm.spec.model.image}")
    return Verdict("False", "Creating", f"no replica serves yet; {tm.replicas} asked for")


_PULLING: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
MANY_RESTARTS: Final = 2
"""Between two back-offs a crashing container runs for a moment; it has not recovered by that."""
_DIGEST_MISMATCH: Final = "ModelDigestMismatch"


def _trouble(pods: Iterable[PodSeen]) -> Verdict | None:
    """What keeps a pod from serving, when it is more than time."""
    for pod in pods:
        said = (pod.last_message or "").strip()
        if _DIGEST_MISMATCH in said:
            return Verdict("False", "ModelDigestMismatch", f"pod {pod.name}: {said}")
        if pod.waiting_reason in _PULLING:
            message = f"pod {pod.name} can't get image {pod.image}: {said or pod.waiting_reason}"
            return Verdict("False", "ImageUnavailable", message)
        if pod.waiting_reason == "CrashLoopBackOff" or pod.restarts >= MANY_RESTARTS:
            message = f"pod {pod.name} keeps ending; its last words: {said or 'none'}"
            return Verdict("False", "CrashLooping", message)
    return None


def _autoscaling(
    tm: TextModeration, autoscaler: AutoscalerSeen | None, scaling: ScalingSeen | None
) -> Verdict:
    try:
        _check_lag(tm, scaling)
        _check_autoscaler(tm, autoscaler)
    except AutoscalingNotReady as problem:
        return Verdict("False", problem.reason, problem.message)
    if tm.spec.autoscaling.metrics_provider == "None":
        return Verdict("True", "NotOnLag", "autoscaling.metricsProvider is None, as asked")
    scaler = (
        "ScaledObject"
        if tm.spec.autoscaling.metrics_provider == "Keda"
        else ("HorizontalPodAutoscaler")
    )
    return Verdict("True", "OnLiveLag", f"the {scaler} follows the live lag")


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
    ready, _, message = seen.conditions.get("Ready", ("Unknown", "", "KEDA has not acted yet"))
    if ready != "True":
        raise AutoscalingNotReady(
            "MetricsUnavailable", f"{seen.ref.kind} {seen.ref.name}: {message}"
        )


def _topics_message(seen: Observed) -> str:
    warnings = [warning for topic in seen.topics for warning in topic.warnings]
    return "; ".join(["the topics are as asked", *(f"warning: {one}" for one in warnings)])


def _topics(body: Manifest, seen: Observed) -> list[Manifest] | None:
    """The topics seen, or the last ones known."""
    known = (body.get("status") or {}).get("topics") or []
    if not seen.topics:
        return known or None
    return [
        {
            "name": topic.name,
            "role": topic.role,
            "partitions": topic.partitions,
            "replicationFactor": topic.replication_factor,
            "created": topic.created,
            **({"topicId": topic.topic_id} if topic.topic_id else {}),
        }
        for topic in seen.topics
    ]


def _replicas(want: Desired, seen: WorkloadSeen | None) -> Manifest:
    if seen is None:
        return {}
    images = sorted({pod.image for pod in seen.pods if pod.ready})
    workload = {
        "kind": want.workload.kind,
        "name": want.workload.name,
        "image": ", ".join(images) or None,
        "state": _state(seen),
    }
    return {
        "replicas": seen.replicas,
        "readyReplicas": seen.ready_replicas,
        "workload": workload,
    }


def _state(seen: WorkloadSeen) -> str:
    if seen.failure:
        return "Failed"
    if seen.replicas == 0:
        return "ScaledToZero" if seen.settled else "Creating"
    if seen.settled and seen.ready_replicas:
        return "Available"
    return "RollingOut" if seen.ready_replicas else "Creating"


# --- dates and summaries --------------------------------------------------------------------------


def _dated(
    parts: Mapping[str, Verdict], problems: Sequence[Problem], body: Manifest, now: datetime
) -> list[Manifest]:
    verdicts = {**parts, **_summaries(parts, problems)}
    old = {item["type"]: item for item in (body.get("status") or {}).get("conditions") or ()}
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    generation = body["metadata"].get("generation", 0)
    return [
        _condition(name, verdicts[name], generation, old.get(name, {}), stamp) for name in ORDER
    ]


def _condition(
    name: str, verdict: Verdict, generation: int, old: Manifest, stamp: str
) -> dict[str, Any]:
    unchanged = old.get("status") == verdict.status
    return {
        "type": name,
        "status": verdict.status,
        "reason": verdict.reason,
        "message": verdict.message,
        "observedGeneration": generation,
        "lastTransitionTime": old["lastTransitionTime"] if unchanged else stamp,
    }


def _summaries(parts: Mapping[str, Verdict], problems: Sequence[Problem]) -> dict[str, Verdict]:
    failing = next((parts[name] for name in PARTS if parts[name].status != "True"), None)
    stuck = next((problem for problem in problems if not problem.retry), None)
    ready = (
        Verdict("True", "Ready", "texts are scored, at the asked image, scaled on live lag")
        if failing is None
        else Verdict("False", failing.reason, failing.message)
    )
    moving = failing is not None and stuck is None and failing.reason in PASSING
    reconciling = (
        Verdict("True", failing.reason, failing.message)
        if moving and failing is not None
        else Verdict("False", "Settled", "nothing is under way")
    )
    stalled = (
        Verdict("True", stuck.reason, stuck.message)
        if stuck is not None
        else Verdict("False", "NotStalled", "nothing waits for a change of the object")
    )
    return {"Ready": ready, "Reconciling": reconciling, "Stalled": stalled}


def _rounded(count: int) -> int:
    """Two significant digits: 41,237 messages are 41,000."""
    if count < 100:
        return count
    unit = 10 ** (len(str(count)) - 2)
    return int(round(count / unit) * unit)


def _significant(rate: float | None) -> float | None:
    if rate is None:
        return None
    return float(f"{rate:.2g}")
