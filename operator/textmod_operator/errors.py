"""The operator's errors: an exception *is* a condition.

    Problem                     a fact about one TextModeration that its status must tell
    ├── NotAccepted             Accepted=False: nothing is touched until that changes
    ├── TopicsNotReady          TopicsReady=False
    ├── WorkloadNotReady        WorkloadReady=False
    ├── AutoscalingNotReady     AutoscalingReady=False
    └── ReviewNotReady          ReviewReady=False
    ClusterError                a request that the API server refused for a reason we do not know

A `Problem` carries the condition's reason, the sentence a person reads, and whether trying again
without a change of the object is worth it. Whatever else is raised is a bug or an outage: it is
logged with its traceback and retried with back-off.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Self

ConditionType = Literal[
    "Accepted",
    "TopicsReady",
    "WorkloadReady",
    "AutoscalingReady",
    "PoliciesReady",
    "ReviewReady",
    "QualityKnown",
]
"""The conditions that stand for a part of the work; the summary conditions follow from them, but
for PoliciesReady, ReviewReady and QualityKnown: a stream whose policies or console wait for
something serves all the same."""

REASONS: Final[dict[ConditionType, tuple[str, ...]]] = {
    "Accepted": (
        "InvalidSpec",
        "SecretNotFound",
        "SecretKeyMissing",
        "SecretInvalid",
        "InternalError",
    ),
    "TopicsReady": (
        "KafkaUnreachable",
        "AuthenticationFailed",
        "AuthorizationFailed",
        "TopicMissing",
        "PartitionsCannotShrink",
        "ReplicationFactorTooHigh",
        "MinInsyncReplicasTooHigh",
        "ConfigDrift",
        "OwnedByAnother",
        "PodsRunning",
        "MessagesExpired",
        "Creating",
        "NotReady",
        "StrimziUnavailable",
        "ClusterUnproven",
        "ApplyFailed",
        "QuotaExceeded",
        "PodRefused",
    ),
    "WorkloadReady": (
        "SeldonNotInstalled",
        "Creating",
        "RollingOut",
        "OffsetsNotCarried",
        "ImageUnavailable",
        "ModelDigestMismatch",
        "CrashLooping",
        "Conflict",
        "ApplyFailed",
        "Unschedulable",
        "QuotaExceeded",
        "PodRefused",
        "ContainerNotStarting",
        "StreamBlocked",
        "NotConsuming",
    ),
    "AutoscalingReady": (
        "MetricsUnavailable",
        "LagUnknown",
        "AtMaximum",
        "HotPartition",
        "HpaLimited",
    ),
    "PoliciesReady": (
        "PoliciesInvalid",
        "UnknownLabel",
        "PrecisionUnreachable",
        "ModelUnknown",
        "RateUnknown",
        "Propagating",
    ),
    "ReviewReady": (
        "Creating",
        "RollingOut",
        "ConsoleUnavailable",
        "DatabaseNotFound",
        "SecretNotFound",
        "SecretKeyMissing",
        "SecretInvalid",
        "NotAuthorized",
        "ImageUnavailable",
        "CrashLooping",
        "ContainerNotStarting",
        "Unschedulable",
        "PodRefused",
        "QuotaExceeded",
        "Conflict",
        "ApplyFailed",
    ),
    "QualityKnown": ("NoReviewers", "TooFewLabels", "ConsoleUnavailable"),
}
"""Every reason of a condition that is not True, by the condition that it is documented under. Each
has a page in docs/runbooks."""


class Problem(Exception):  # noqa: N818 - it names a state of the object, and becomes a condition
    """A reason why a part of a TextModeration is not as asked.

    Args:
        reason: the condition's CamelCase reason, one of the table in ARCHITECTURE.md.
        message: one sentence: what is wrong, where, and what to do.
        retry: whether another pass without any change can succeed.
    """

    condition: ClassVar[ConditionType]

    def __init__(self, reason: str, message: str, *, retry: bool = True) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.retry = retry

    def without_trace(self) -> Self:
        """Return an equal problem that keeps no frame, and so no client, alive."""
        return type(self)(self.reason, self.message, retry=self.retry)


class NotAccepted(Problem):
    """InvalidSpec, SecretNotFound, SecretKeyMissing, SecretInvalid."""

    condition = "Accepted"


class TopicsNotReady(Problem):
    """KafkaUnreachable, AuthenticationFailed, AuthorizationFailed, TopicMissing,
    PartitionsCannotShrink, ReplicationFactorTooHigh, MinInsyncReplicasTooHigh, ConfigDrift,
    OwnedByAnother, PodsRunning, MessagesExpired, Creating; of KafkaTopics Creating, NotReady,
    StrimziUnavailable, ClusterUnproven, ApplyFailed, QuotaExceeded, PodRefused."""

    condition = "TopicsReady"


class WorkloadNotReady(Problem):
    """SeldonNotInstalled, Creating, RollingOut, OffsetsNotCarried, ImageUnavailable,
    ModelDigestMismatch, CrashLooping, Conflict, ApplyFailed, Unschedulable, QuotaExceeded,
    PodRefused, ContainerNotStarting, StreamBlocked, NotConsuming."""

    condition = "WorkloadReady"


class AutoscalingNotReady(Problem):
    """MetricsUnavailable, LagUnknown, AtMaximum, HotPartition, HpaLimited."""

    condition = "AutoscalingReady"


class ReviewNotReady(Problem):
    """DatabaseNotFound, SecretNotFound, SecretKeyMissing, SecretInvalid, NotAuthorized,
    QuotaExceeded, PodRefused, Conflict, ApplyFailed; what else ReviewReady says is observed, not
    raised."""

    condition = "ReviewReady"


class ClusterError(Exception):
    """The API server answered with an error that the operator has no name for.

    Args:
        status: the HTTP status, 0 when there was no answer.
        message: the server's own words.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server answered {status}: {message}")
        self.status = status
        self.message = message
