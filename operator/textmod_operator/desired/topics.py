"""The Kafka topics, by role."""

from __future__ import annotations

from typing import Final

from textmod_operator.api.topics import DataTopic
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.state import Role, Topic

_OWN_TIME: Final = {"message.timestamp.type": "LogAppendTime"}
"""Retention of results counts from when they are written, not from the time of an old input."""

_LIFETIMES: Final = {"review": str(30 * 86_400_000), "feedback": "-1"}
"""retention.ms that these topics are created with: texts to review are kept for 30 days, people's
decisions for ever."""

_SHORTEST_SESSION: Final = 10
"""Two heartbeats of a member, which the brokers ask for every 5 s."""
_BROKERS_SESSION: Final = 45
"""Kafka's own default."""


def session_seconds(tm: TextModeration) -> int | None:
    """How long a pod that has died may keep its partitions: half of the promise, so that the other
    half is left to catch up. None where the operator does not set it: topics that others manage, a
    group that Seldon's executor forms, a promise that the brokers' own time keeps."""
    promise = tm.spec.autoscaling.lag.max_seconds_behind
    ours = tm.spec.topics.management == "Managed" and tm.spec.serving.streaming == "Native"
    if promise is None or not ours or promise >= 2 * _BROKERS_SESSION:
        return None
    return max(_SHORTEST_SESSION, promise // 2)


def topics(tm: TextModeration) -> dict[Role, Topic]:
    """Input, output and dead letter, and with review its two, with the defaults that need the
    object's name or each other.

    The output has the input's number of partitions unless it says otherwise: the same key then
    stays in the same partition from end to end, and its order with it.
    """
    spec = tm.spec.topics
    inputs = tm.input_partitions
    asked = [
        _topic(tm, "input", tm.input_topic, spec.input, inputs),
        _topic(tm, "output", tm.output_topic, spec.output, inputs),
        _topic(tm, "deadLetter", tm.dead_letter_topic, spec.dead_letter, 1),
    ]
    if review := tm.spec.review:
        asked += [
            _topic(tm, "review", tm.review_topic, review.topics.review, inputs),
            _topic(tm, "feedback", tm.feedback_topic, review.topics.feedback, 1),
        ]
    return {topic.role: topic for topic in asked}


def _topic(tm: TextModeration, role: Role, name: str, asked: DataTopic, partitions: int) -> Topic:
    return Topic(
        role=role,
        name=name,
        partitions=asked.partitions or partitions,
        exact=asked.partitions is not None,
        replication_factor=asked.replication_factor,
        config=dict(asked.config),
        management=tm.spec.topics.management,
        creation_config={} if role == "input" else _OWN_TIME | _lifetime(role),
    )


def _lifetime(role: Role) -> dict[str, str]:
    return {"retention.ms": _LIFETIMES[role]} if role in _LIFETIMES else {}
