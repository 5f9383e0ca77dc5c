"""One condition before it is dated, and the sets of reasons that the summaries go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from textmod_operator.errors import ConditionType

PARTS: Final[tuple[ConditionType, ...]] = (
    "Accepted",
    "TopicsReady",
    "WorkloadReady",
    "AutoscalingReady",
)
ORDER: Final = (
    "Ready",
    *PARTS,
    "PoliciesReady",
    "ReviewReady",
    "QualityKnown",
    "Reconciling",
    "Stalled",
)
PASSING: Final = frozenset({"Creating", "RollingOut", "LagUnknown", "Propagating", "RateUnknown"})
"""Reasons of work under way: Reconciling, and no event of their own."""
NEEDS_A_PERSON: Final = frozenset(
    {
        "InvalidSpec",
        "SecretNotFound",
        "SecretKeyMissing",
        "SecretInvalid",
        "AuthenticationFailed",
        "AuthorizationFailed",
        "TopicMissing",
        "PartitionsCannotShrink",
        "ReplicationFactorTooHigh",
        "MinInsyncReplicasTooHigh",
        "ConfigDrift",
        "OwnedByAnother",
        "NotReady",
        "StrimziUnavailable",
        "ClusterUnproven",
        "SeldonNotInstalled",
        "Conflict",
        "OffsetsNotCarried",
        "ImageUnavailable",
        "ModelDigestMismatch",
        "CrashLooping",
        "ContainerNotStarting",
        "Unschedulable",
        "QuotaExceeded",
        "PodRefused",
        "StreamBlocked",
        "NotConsuming",
    }
)
"""Reasons that waiting does not resolve: Stalled."""

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class ConditionState:
    """One condition before it is dated."""

    status: Truth
    reason: str
    message: str
