"""The status of a TextModeration: what the operator reports. Described here for the CRD's schema.

All of it is optional: what is not known is left out, never written as 0.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from textmod_operator.api.rules import Strict

Count = Annotated[int, Field(ge=0)]

LONGEST_MESSAGE: Final = 32768
"""Characters of a condition's message, the limit of Kubernetes' own conditions. The API server
refuses a whole status with a longer one."""


class ConditionStatus(Strict):
    type: str = Field(max_length=316, description="Name of the condition, in CamelCase.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: str = Field(
        min_length=1, max_length=1024, description="One word, in CamelCase, for why it is so."
    )
    message: str = Field(max_length=LONGEST_MESSAGE, description="A sentence for a person.")
    observed_generation: Count | None = Field(
        default=None, description="metadata.generation that the condition speaks of."
    )
    last_transition_time: str = Field(
        description="When status last changed, RFC 3339.", json_schema_extra={"format": "date-time"}
    )


class TopicStatus(Strict):
    name: str = Field(description="Name of the topic.")
    role: Literal["input", "output", "deadLetter", "review", "feedback"] = Field(
        description="input, output, deadLetter, review or feedback."
    )
    partitions: Count = Field(description="Number of partitions on the brokers.")
    replication_factor: Count = Field(description="Copies of each partition on the brokers.")
    created: bool = Field(
        description="Whether this object created the topic, or was about to; only such topics are "
        "deleted with topics.deletionPolicy Delete."
    )
    topic_id: str | None = Field(
        default=None,
        description="Kafka's id of the topic. A topic of this name with another id was created by "
        "somebody else. Left out while it is not known, and by brokers before Kafka 2.8.",
    )


class InputTopicStatus(Strict):
    name: str = Field(description="Name of the topic.")
    topic_id: str = Field(
        description="Kafka's id of the topic of this name that the object first saw. Messages of "
        "one that was created since have its id in theirs."
    )


MOST_FORMER_TOPICS: Final = 64


class FormerTopicStatus(Strict):
    name: str = Field(description="Name of the topic.")
    topic_id: str | None = Field(default=None, description="Kafka's id of the topic, if known.")


class WorkloadStatus(Strict):
    kind: str = Field(description="SeldonDeployment or Deployment.")
    name: str = Field(description="Its name.")
    image: str | None = Field(default=None, description="Image of the replicas that serve.")
    state: str | None = Field(
        default=None, description="Available, Creating, RollingOut, Failed or ScaledToZero."
    )


class LagStatus(Strict):
    messages: Count = Field(description="Unread messages of the input, rounded.")
    seconds_behind: Count | None = Field(
        default=None, description="Age of the oldest unread message, in seconds."
    )
    per_partition_max: Count = Field(
        description="Unread messages of the partition that has most, rounded."
    )


class RatesStatus(Strict):
    in_per_second: float | None = Field(
        default=None, ge=0, description="Messages per second that arrive."
    )
    out_per_second: float | None = Field(
        default=None, ge=0, description="Messages per second that are scored."
    )
    per_replica_per_second: float | None = Field(
        default=None,
        ge=0,
        description="Messages per second that one replica scores when it is busy, as learned.",
    )


class ScalingStatus(Strict):
    desired_replicas: Count = Field(description="Replicas that the lag asks for.")
    reason: str = Field(description="Why, in a sentence.")
    observed_at: str | None = Field(
        default=None,
        description="When the lag behind this decision was read, RFC 3339; rewritten only together "
        "with another change.",
        json_schema_extra={"format": "date-time"},
    )
    observed_by: str | None = Field(
        default=None, description="The operator's process that decided, as in its Lease."
    )


class PolicyRuleStatus(Strict):
    action: str = Field(description="Allow, Review or Remove.")
    hold: bool = Field(description="Whether the text is kept back until somebody has looked.")
    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The rule holds from this score on. Left out: it never holds, because no score "
        "reaches its precision, or its inputs are not known yet.",
    )
    source: Literal["Artifact", "Feedback", "Asked"] = Field(
        description="Where the threshold comes from. Artifact: the scores of the model's training. "
        "Feedback: people's decisions. Asked: the rule's own atLeast."
    )
    expected_precision: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share, from 0 to 1, of the texts at or above the threshold that have the "
        "label, as the artifact's held-out scores have it, corrected by people's decisions where "
        "these are enough. Left out while it is not known, and where fewer than 50 held-out texts "
        "are at or above the threshold.",
    )
    expected_recall: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share, from 0 to 1, of the texts with the label that are at or above the "
        "threshold; from the same scores. Left out while it is not known, and where fewer than 50 "
        "held-out texts have the label.",
    )


class PolicyStatus(Strict):
    name: str = Field(description="Name of the policy.")
    label: str | None = Field(
        default=None, description="The label that decides; left out while it is not known."
    )
    mode: Literal["Enforce", "Observe"] = Field(description="Enforce or Observe.")
    policy_rules: list[PolicyRuleStatus] = Field(
        alias="rules",
        description="The policy's rules, in its order.",
        json_schema_extra={"maxItems": 8},
    )
    actions_per_hour: dict[str, float] | None = Field(
        default=None,
        description="Texts an hour for each action of this policy alone, rounded: expected, not "
        "measured, from the artifact's held-out scores and rates.inPerSecond. Left out while "
        "either is not known. (textmod_actions_total counts what was done.)",
        json_schema_extra={"maxProperties": 3},
    )


class EstimateStatus(Strict):
    """A measured share. value, low and high are left out while it is Unknown."""

    value: float | None = Field(
        default=None, ge=0, le=1, description="The share, from 0 to 1. Left out: Unknown."
    )
    low: float | None = Field(
        default=None, ge=0, le=1, description="Lower end of its 95 % interval, from 0 to 1."
    )
    high: float | None = Field(
        default=None, ge=0, le=1, description="Upper end of its 95 % interval, from 0 to 1."
    )
    labels: Count | None = Field(
        default=None, description="Number of labels that it was measured by."
    )
    effective: float | None = Field(
        default=None,
        ge=0,
        description="How many labels of a plain random sample these are worth (Kish).",
    )


class WindowStatus(Strict):
    from_: str = Field(
        alias="from",
        description="Time of the first verdicts in it, RFC 3339.",
        json_schema_extra={"format": "date-time"},
    )
    to: str = Field(
        description="Time of the last verdicts in it, RFC 3339.",
        json_schema_extra={"format": "date-time"},
    )


class ActionQualityStatus(Strict):
    action: str = Field(description="Review or Remove.")
    precision: EstimateStatus | None = Field(
        default=None,
        description="Share of the texts that get this action from the policy which people find to "
        "have its label.",
    )


class PolicyQualityStatus(Strict):
    name: str = Field(description="Name of the policy.")
    precision: EstimateStatus | None = Field(
        default=None,
        description="Share of the texts that the policy acts on which people find to have its "
        "label.",
    )
    recall: EstimateStatus | None = Field(
        default=None,
        description="Share of the texts which people find to have its label that the policy acts "
        "on.",
    )
    actions: list[ActionQualityStatus] | None = Field(
        default=None,
        description="The precision of each of its actions.",
        json_schema_extra={"maxItems": 3},
    )


class ModelQualityStatus(Strict):
    model: str = Field(description="Digest of the model.")
    precision: EstimateStatus | None = Field(
        default=None, description="Share of the texts that it flagged rightly."
    )
    recall: EstimateStatus | None = Field(
        default=None, description="Share of the texts to flag that it flagged."
    )


class QualityStatus(Strict):
    window: WindowStatus | None = Field(
        default=None, description="The verdicts that were measured, by their time."
    )
    precision: EstimateStatus | None = Field(
        default=None,
        description="Share of the flagged texts that people find to be rightly flagged.",
    )
    recall: EstimateStatus | None = Field(
        default=None,
        description="Share of the texts that people find to need flagging which were flagged.",
    )
    reviewed_per_day: float | None = Field(
        default=None, ge=0, description="Texts that people decided about, per day."
    )
    agreement: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share, from 0 to 1, of the texts with several decisions in which they agree.",
    )
    model: str | None = Field(
        default=None,
        description="Digest of the model whose verdicts are measured: that of the window's newest.",
    )
    estimator: Literal["Difference", "Hajek"] | None = Field(
        default=None,
        description="Difference: the scores of all texts narrow the intervals. Hajek: the labels "
        "alone, because less than 95 % of the window's texts are counted.",
    )
    policy_versions: Count | None = Field(
        default=None,
        description="Number of versions of the policies that decided about the reviewed texts.",
    )
    earlier_models: list[ModelQualityStatus] | None = Field(
        default=None,
        description="The same of other models of the window, the latest first; at most 4.",
        json_schema_extra={"maxItems": 4},
    )
    policies: list[PolicyQualityStatus] | None = Field(
        default=None,
        description="The same for each policy.",
        json_schema_extra={"maxItems": 16},
    )
    reason: str | None = Field(default=None, description="Why something is Unknown, in a sentence.")


class ConsoleStatus(Strict):
    url: str | None = Field(
        default=None, description="Where the console is reached; its Service where it has no host."
    )
    ready: bool = Field(description="Whether a pod of the console serves.")


class Status(Strict):
    """What the operator last saw."""

    observed_generation: Count | None = Field(
        default=None, description="metadata.generation that this status speaks of."
    )
    conditions: list[ConditionStatus] | None = Field(
        default=None,
        description="Accepted, TopicsReady, WorkloadReady, AutoscalingReady, their summary Ready, "
        "and Reconciling and Stalled as kstatus reads them; with policies, PoliciesReady, and with "
        "review, ReviewReady and QualityKnown, which do not affect Ready.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    replicas: Count | None = Field(default=None, description="Replicas that exist.")
    ready_replicas: Count | None = Field(default=None, description="Replicas that serve.")
    selector: str | None = Field(
        default=None, description="Labels of the model pods, for the scale subresource."
    )
    consumer_group: str | None = Field(
        default=None, description="Kafka consumer group that reads the input."
    )
    consumer_group_session_seconds: int | None = Field(
        default=None,
        description=(
            "Session timeout that the operator has set on the consumer group, in seconds; without "
            "it the brokers' own applies."
        ),
    )
    topics: list[TopicStatus] | None = Field(
        default=None,
        description="The topics, as they are; partitions 0: about to be created.",
        json_schema_extra={"maxItems": 16},
    )
    input_topic: InputTopicStatus | None = Field(
        default=None, description="Which topic of the input's name the stream began with."
    )
    former_topics: list[FormerTopicStatus] | None = Field(
        default=None,
        description="Topics that this object created and that its spec no longer names. They hold "
        "data and stay; with topics.deletionPolicy Delete they are deleted with the object. The "
        "latest 64.",
        json_schema_extra={"maxItems": MOST_FORMER_TOPICS},
    )
    workload: WorkloadStatus | None = Field(
        default=None, description="The SeldonDeployment or Deployment."
    )
    lag: LagStatus | None = Field(default=None, description="How far the stream is behind.")
    rates: RatesStatus | None = Field(default=None, description="Messages per second.")
    scaling: ScalingStatus | None = Field(
        default=None, description="What the scaling law decided last."
    )
    policies: list[PolicyStatus] | None = Field(
        default=None,
        description="State of each policy.",
        json_schema_extra={"maxItems": 16},
    )
    policy_version: str | None = Field(
        default=None,
        description="Digest of the policies as handed to the pods. Verdicts carry the version that "
        "they were decided by.",
    )
    quality: QualityStatus | None = Field(
        default=None,
        description="Precision and recall as measured by people's decisions; with review only.",
    )
    console: ConsoleStatus | None = Field(
        default=None, description="The review console; with review only."
    )
    endpoint: str | None = Field(default=None, description="URL for synchronous predictions.")
