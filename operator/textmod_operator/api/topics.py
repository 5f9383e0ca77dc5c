"""`spec.topics`: the three topics of a stream."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from textmod_operator.api.rules import Rule, Strict, part

TopicName = Annotated[
    str,
    Field(min_length=1, max_length=249, pattern=r"^[a-zA-Z0-9._-]*[a-zA-Z0-9_-][a-zA-Z0-9._-]*$"),
]
"""A legal Kafka topic name: at most 249 of a-z A-Z 0-9 . _ - and not `.` or `..`."""


class DataTopic(Strict):
    """The input or the output topic."""

    name: TopicName | None = Field(
        default=None,
        description="Name of the topic. Default: the name of this object, with -input or -output.",
    )
    partitions: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Number of partitions; may grow and never shrinks. It bounds the replicas that "
        "can share the work. Default: 12 for the input, the input's number for the output.",
    )
    replication_factor: int | None = Field(
        default=None,
        ge=1,
        le=32767,
        description="Copies of each partition. Given to the topics that the operator creates; a "
        "topic with another number is reported as ConfigDrift and left unchanged. Default: the "
        "brokers' own default.replication.factor, and any number is fine.",
    )
    config: dict[str, str] = Field(
        default_factory=dict,
        description="Topic settings (such as retention.ms) that are kept at these values, as "
        "strings; settings not named here are left alone. Default: none.",
        json_schema_extra={"maxProperties": 64},
    )


class DeadLetterTopic(DataTopic):
    """The topic of messages that can't be scored."""

    rules = (
        Rule(
            "!has(self.config) || !('cleanup.policy' in self.config) || "
            "!self.config['cleanup.policy'].contains('compact')",
            "topics.deadLetter.config must not set cleanup.policy to compact: a compacted topic "
            "takes no message without a key, and would lose all but one of each key",
            lambda topic: "compact" not in topic.config.get("cleanup.policy", ""),
        ),
    )

    name: TopicName | None = Field(
        default=None,
        description="Name of the topic. Default: the name of this object, with -dead-letter.",
    )
    partitions: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Number of partitions; may grow and never shrinks. Default: 1.",
    )


class StrimziTopics(Strict):
    """Where Strimzi's Topic Operator looks for the KafkaTopics of this object."""

    cluster: str = Field(
        max_length=63,
        pattern=r"^([a-z0-9][-a-z0-9.]*)?[a-z0-9]$",
        description="Name of Strimzi's Kafka object: the label strimzi.io/cluster of the "
        "KafkaTopics. It has to be the Kafka cluster of kafka.bootstrapServers, by its listeners "
        "and its cluster id. No default.",
    )
    namespace: str | None = Field(
        default=None,
        max_length=63,
        pattern=r"^([a-z0-9][-a-z0-9]*)?[a-z0-9]$",
        description="Namespace of the Kafka object and of the KafkaTopics, which its Topic "
        "Operator watches. Default: the namespace of this object.",
    )


class Topics(Strict):
    """The three topics of the stream."""

    rules = (
        Rule(
            "has(self.strimzi) == (self.management == 'Strimzi')",
            "topics.management Strimzi and topics.strimzi go together: topics.strimzi.cluster "
            "names the Kafka object that the KafkaTopics belong to",
            lambda topics: (topics.strimzi is not None) == (topics.management == "Strimzi"),
        ),
        Rule(
            "oldSelf.management != 'Strimzi' || (self.management == 'Strimzi' && "
            "self.strimzi == oldSelf.strimzi)",
            "topics.management Strimzi and topics.strimzi can't be changed: the topics would have "
            "two owners. Delete the object with topics.deletionPolicy Retain, delete its "
            "KafkaTopics without their topics (annotation strimzi.io/managed=false), and create "
            "it again",
        ),
    )

    input: DataTopic = part(DataTopic(), "Texts to score are read from here.")
    output: DataTopic = part(DataTopic(), "Verdicts are written here.")
    dead_letter: DeadLetterTopic = part(
        DeadLetterTopic(),
        "Messages that can't be scored are written here, unchanged, with the reason "
        "in their headers.",
    )
    management: Literal["Managed", "Existing", "Strimzi"] = Field(
        default="Managed",
        description="Managed: the operator creates the topics, grows them and keeps the named "
        "config. Existing: it only checks that they are as asked. Strimzi: it makes KafkaTopic "
        "objects, from which Strimzi's Topic Operator makes the topics. Default: Managed.",
    )
    strimzi: StrimziTopics | None = Field(
        default=None,
        description="For management Strimzi: which KafkaTopics are made. Default: none.",
    )
    deletion_policy: Literal["Retain", "Delete"] = Field(
        default="Retain",
        description="What happens to topics that the operator created when this object is "
        "deleted. Delete keeps the object until they are gone; set it back to Retain to release "
        "the object. Default: Retain.",
    )
