"""The whole status of a TextModeration, put together and dated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from textmod_operator import naming
from textmod_operator.api.status import LONGEST_MESSAGE, MOST_FORMER_TOPICS
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions.autoscaling import autoscaling_state
from textmod_operator.conditions.figures import FIGURES, figures
from textmod_operator.conditions.policies import CONDITION, policies_state, policies_status
from textmod_operator.conditions.quality import CONDITION as QUALITY
from textmod_operator.conditions.quality import QualitySeen, quality_state, quality_status, steadied
from textmod_operator.conditions.review import CONDITION as REVIEW
from textmod_operator.conditions.review import console_status, review_state
from textmod_operator.conditions.states import (
    NEEDS_A_PERSON,
    ORDER,
    PARTS,
    PASSING,
    ConditionState,
)
from textmod_operator.conditions.workload import workload_state
from textmod_operator.errors import Problem
from textmod_operator.policies import PoliciesSeen
from textmod_operator.state import Desired, Manifest, Observed, WorkloadSeen

_VALID = ConditionState("True", "Valid", "the spec is valid and its Secrets are there")


def refused_status(body: Manifest, problem: Problem, now: datetime) -> Manifest:
    """The status of an object whose spec is refused: nothing was touched, and what runs goes on.

    Parts before the refused one are as they should be, parts after it were not looked at.
    """
    unseen = (
        ConditionState("Unknown", "NotAccepted", "not looked at while the object is not accepted")
        if problem.condition == "Accepted"
        else ConditionState(
            "Unknown", "NotLookedAt", f"not looked at while {problem.condition} is False"
        )
    )
    parts: dict[str, ConditionState] = dict.fromkeys(_parts(body), unseen)
    if problem.condition != "Accepted":
        parts["Accepted"] = _VALID
    parts[problem.condition] = ConditionState("False", problem.reason, problem.message)
    # What is known of topics, group and workload stays true: nothing was touched.
    known = {
        name: value for name, value in (body.get("status") or {}).items() if name not in FIGURES
    }
    return {
        **known,
        "observedGeneration": body["metadata"].get("generation", 0),
        "conditions": _dated(parts, body, now),
    }


def failed_status(body: Manifest, reason: str, message: str, now: datetime) -> Manifest:
    """The status after a pass that could not be finished: nothing is known of any part.

    Args:
        reason: of every condition.
        message: what failed, and what happens next.
    """
    unseen = ConditionState("Unknown", reason, message)
    parts: dict[str, ConditionState] = dict.fromkeys(_parts(body), unseen)
    return {
        **(body.get("status") or {}),
        "observedGeneration": body["metadata"].get("generation", 0),
        "conditions": _dated(parts, body, now),
    }


def _parts(body: Manifest) -> tuple[str, ...]:
    """The conditions of parts that this object has."""
    spec = body.get("spec") or {}
    optional = {CONDITION: "policies", REVIEW: "review", QUALITY: "review"}
    return (
        *PARTS,
        *(part for part, field in optional.items() if spec.get(field) not in (None, [])),
    )


def held_status(body: Manifest, problem: Problem, now: datetime) -> Manifest:
    """The status of an object on its way out that is held, because its topics can't be deleted.

    What else was made for it is deleted already, so nothing is said of it any more.
    """
    old = {item["type"]: item for item in (body.get("status") or {}).get("conditions") or ()}
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    generation = body["metadata"].get("generation", 0)
    message = (
        f"{problem.message}. The object is held until its topics are deleted: to let it go without "
        "that, set topics.deletionPolicy to Retain"
    )
    state = ConditionState("False", problem.reason, message)
    gone = ConditionState("Unknown", "NotLookedAt", "not looked at while the object is deleted")
    states = {name: gone for name in old if name in PARTS and name != "Accepted"}
    states |= {"Ready": state, "TopicsReady": state}
    changed = {
        name: _condition(name, now_is, generation, old.get(name, {}), stamp)
        for name, now_is in states.items()
    }
    return {
        **(body.get("status") or {}),
        "observedGeneration": generation,
        "conditions": list((old | changed).values()),
    }


def status(
    tm: TextModeration,
    body: Manifest,
    *,
    want: Desired,
    seen: Observed,
    problems: Sequence[Problem],
    now: datetime,
    policies: PoliciesSeen | None = None,
    quality: QualitySeen | None = None,
) -> Manifest:
    """The whole status, in the API's JSON form.

    Args:
        tm: the object as parsed.
        body: the object as read; its status holds the conditions' dates and what was created.
        want: what was asked for.
        seen: what is there.
        problems: what was raised on the way, at most one for each part.
        now: with a time zone.
        policies: None: the object has none.
        quality: None: the object has no review.
    """
    failed = {problem.condition: problem for problem in problems}
    states = {
        "Accepted": _VALID,
        "TopicsReady": _topics_state(tm, body, seen),
        "WorkloadReady": workload_state(tm, want, seen.workload, seen.scaling),
        "AutoscalingReady": autoscaling_state(tm, seen.workload, seen.autoscaler, seen.scaling),
    }
    parts: dict[str, ConditionState] = {
        part: ConditionState("False", failed[part].reason, failed[part].message)
        if part in failed
        else states[part]
        for part in PARTS
    }
    if policies is not None:
        parts[CONDITION] = policies_state(policies)
    if (review := review_state(tm, seen)) is not None:
        problem = failed.get(REVIEW)
        parts[REVIEW] = (
            ConditionState("False", problem.reason, problem.message) if problem else review
        )
    if quality is not None:
        quality = steadied(tm, quality, body.get("status") or {})
        parts[QUALITY] = quality_state(tm, quality)
    result: Manifest = {
        "observedGeneration": tm.metadata.generation,
        "conditions": _dated(parts, body, now),
        "selector": naming.selector(tm),
        "consumerGroup": naming.consumer_group(tm),
        "consumerGroupSessionSeconds": seen.session_seconds,
        "endpoint": naming.endpoint(tm),
        "topics": _topics(body, seen),
        "inputTopic": (
            {"name": tm.input_topic, "topicId": want.input_topic_id}
            if want.input_topic_id
            else None
        ),
        "formerTopics": _former_topics(body, seen),
        **(_replicas(want, seen.workload) or _known(body)),
        **policies_status(policies, body.get("status") or {}),
        **console_status(seen.console, want.console_url, body.get("status") or {}),
        **quality_status(quality, body.get("status") or {}),
        **figures(seen.scaling),
    }
    return {key: value for key, value in result.items() if value is not None}


def _topics_state(tm: TextModeration, body: Manifest, seen: Observed) -> ConditionState:
    if seen.scaling is not None and seen.scaling.expired:
        message = (
            f"retention deleted {seen.scaling.expired} messages of topic {tm.input_topic} before "
            "the consumer group read them, and they are lost: raise the topic's retention.ms, or "
            "allow more replicas"
        )
        return ConditionState("False", "MessagesExpired", message)
    former = _former_topics(body, seen) or ()
    return ConditionState("True", "AsAsked", _topics_message(tm, seen, len(former)))


def _topics_message(tm: TextModeration, seen: Observed, former: int) -> str:
    warnings = [warning for topic in seen.topics for warning in topic.warnings]
    if former >= MOST_FORMER_TOPICS and tm.spec.topics.deletion_policy == "Delete":
        warnings.append(
            f"status.formerTopics is full ({former}): each further topic that leaves the spec "
            "takes the oldest off the record, which is then not deleted with the object"
        )
    return "; ".join(["the topics are as requested", *(f"warning: {one}" for one in warnings)])


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


def _former_topics(body: Manifest, seen: Observed) -> list[Manifest] | None:
    """The topics that this object created and that its spec no longer names.

    They stay on record for `topics.deletionPolicy: Delete`.
    """
    status = body.get("status") or {}
    former: list[Manifest] = list(status.get("formerTopics") or [])
    if seen.topics:
        there = {topic.name for topic in seen.topics}
        left = [one for one in status.get("topics") or [] if one.get("created")]
        by_name = {one["name"]: one for one in [*former, *left] if one["name"] not in there}
        former = [
            {"name": name, **({"topicId": one["topicId"]} if one.get("topicId") else {})}
            for name, one in by_name.items()
        ]
    return former[-MOST_FORMER_TOPICS:] or None


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


def _known(body: Manifest) -> Manifest:
    """What the last pass that saw the workload wrote: this one changed nothing about it."""
    status_ = body.get("status") or {}
    names = ("replicas", "readyReplicas", "workload")
    return {name: status_[name] for name in names if name in status_}


# --- dates and summaries --------------------------------------------------------------------------


def _dated(parts: Mapping[str, ConditionState], body: Manifest, now: datetime) -> list[Manifest]:
    states = {**parts, **_summaries(parts)}
    old = {item["type"]: item for item in (body.get("status") or {}).get("conditions") or ()}
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    generation = body["metadata"].get("generation", 0)
    return [
        _condition(name, states[name], generation, old.get(name, {}), stamp)
        for name in ORDER
        if name in states
    ]


def _condition(
    name: str, state: ConditionState, generation: int, old: Manifest, stamp: str
) -> dict[str, Any]:
    unchanged = old.get("status") == state.status
    return {
        "type": name,
        "status": state.status,
        "reason": state.reason,
        "message": _cut(state.message),
        "observedGeneration": generation,
        "lastTransitionTime": old["lastTransitionTime"] if unchanged else stamp,
    }


def _cut(message: str) -> str:
    """The message within the limit of the API: refusals of the API server and of brokers repeat the
    value that they refuse, however long it is."""
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 2] + " …"


def _summaries(parts: Mapping[str, ConditionState]) -> dict[str, ConditionState]:
    failing = next((parts[name] for name in PARTS if parts[name].status != "True"), None)
    stuck = next(
        (
            parts[name]
            for name in PARTS
            if parts[name].status == "False" and parts[name].reason in NEEDS_A_PERSON
        ),
        None,
    )
    ready = (
        ConditionState("True", "Ready", "serving the requested image, autoscaling on live lag")
        if failing is None
        else replace(failing, status="False")
    )
    reconciling = (
        replace(failing, status="True")
        if failing is not None and stuck is None and failing.reason in PASSING
        else ConditionState("False", "Settled", "nothing is in progress")
    )
    stalled = (
        replace(stuck, status="True")
        if stuck is not None
        else ConditionState("False", "NotStalled", "nothing waits for somebody to change it")
    )
    return {"Ready": ready, "Reconciling": reconciling, "Stalled": stalled}
