"""What a topic must be like, judged by what the brokers have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from textmod_operator.errors import TopicsNotReady
from textmod_operator.state import Topic

_WRITTEN: Final = ("output", "deadLetter", "review", "feedback")
"""Roles of the topics that hold results: all but the input."""


def check_shape(topic: Topic, partitions: int, replication_factor: int) -> None:
    """Raise what can't or may not be changed by us and is not as asked.

    Raises:
        TopicsNotReady: PartitionsCannotShrink or ConfigDrift.
    """
    if topic.exact and partitions > topic.partitions:
        raise TopicsNotReady(
            "PartitionsCannotShrink",
            f"topic {topic.name} has {partitions} partitions and {topic.partitions} are asked: "
            f"set partitions to {partitions}, Kafka can't remove any",
            retry=False,
        )
    if topic.exact and partitions < topic.partitions:
        raise TopicsNotReady(
            "ConfigDrift",
            f"topic {topic.name} has {partitions} partitions and {topic.partitions} are asked, and "
            f"topics.management is {topic.management}: add partitions to the topic, or change the "
            "object",
        )
    if topic.replication_factor is not None and replication_factor != topic.replication_factor:
        raise TopicsNotReady(
            "ConfigDrift",
            f"topic {topic.name} has {replication_factor} replicas of each partition and "
            f"{topic.replication_factor} are asked: reassign its partitions, or change the object",
        )


def check_live(topic: Topic, replication_factor: int, live: Mapping[str, str]) -> None:
    """Raise when nobody could write to the topic.

    Args:
        topic: as asked.
        replication_factor: the smallest number of replicas of its partitions.
        live: its settings, the brokers' defaults included; empty when they may not be read.

    Raises:
        TopicsNotReady: MinInsyncReplicasTooHigh or ConfigDrift.
    """
    least = live.get("min.insync.replicas", "")
    if least.isdecimal() and int(least) > replication_factor > 0:
        raise TopicsNotReady(
            "MinInsyncReplicasTooHigh",
            f"topic {topic.name} has min.insync.replicas={least} and {replication_factor} "
            "replicas of each partition, so no producer with acks=all can write to it: lower "
            f"min.insync.replicas to at most {replication_factor}, or add replicas",
        )
    if topic.role == "deadLetter" and "compact" in live.get("cleanup.policy", ""):
        raise TopicsNotReady(
            "ConfigDrift",
            f"dead-letter topic {topic.name} has cleanup.policy={live['cleanup.policy']}, so a "
            "message without key can't be written to it and the stream would stop: set "
            "cleanup.policy to delete",
        )
    if topic.role == "feedback" and "compact" in live.get("cleanup.policy", ""):
        raise TopicsNotReady(
            "ConfigDrift",
            f"feedback topic {topic.name} has cleanup.policy={live['cleanup.policy']}, so it keeps "
            "one decision for each text and loses the decisions before it: set cleanup.policy to "
            "delete",
        )


def warnings(topic: Topic, live: Mapping[str, str]) -> tuple[str, ...]:
    """Return what will surprise the user of a topic that is as asked, as sentences."""
    retention = live.get("retention.ms", "-1")
    if topic.role == "feedback" and retention != "-1" and "retention.ms" not in topic.config:
        message = (
            f"topic {topic.name} deletes decisions that are older than retention.ms={retention}, "
            "and a console that is rebuilt does not know them: set retention.ms to -1, or the "
            "time that you want in review.topics.feedback.config"
        )
        return (message,)
    if (
        topic.role in _WRITTEN
        and live.get("message.timestamp.type") == "CreateTime"
        and "delete" in live.get("cleanup.policy", "delete")
        and retention != "-1"
    ):
        message = (
            f"topic {topic.name} keeps the producer's timestamps (message.timestamp.type="
            f"CreateTime) and deletes what is older than retention.ms={retention}, so the result "
            "of an old message is deleted early: set message.timestamp.type to LogAppendTime"
        )
        return (message,)
    return ()
