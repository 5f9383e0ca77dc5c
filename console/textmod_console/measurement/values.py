"""The figures of a window, as pages and the operator read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share between 0 and 1 with its 95 % interval; all None while it is unknown."""

    value: float | None
    low: float | None
    high: float | None
    labels: int
    """The labels that it rests on."""
    effective: float
    """Kish's effective sample size: what so many labels of equal weight would say."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What is known of the model in a window of verdicts."""

    since: datetime
    until: datetime
    precision: Estimate
    recall: Estimate
    reviewed_per_day: float
    agreement: float | None
    """The share of items with two people's labels where these agree; None: no such item."""
    reason: str | None = None
    """Why a figure is unknown, in one sentence."""
    policies: Mapping[str, "Quality"] = field(default_factory=dict)
    actions: Mapping[str, Estimate] = field(default_factory=dict)
    """Of a policy: the precision of each of its actions."""
    estimator: Literal["Difference", "Hajek"] = "Hajek"
    """Whether the scores of all texts are used, or those of the labelled texts' weights alone."""
    model: str | None = None
    """Digest of the model whose verdicts these are; None: there are none."""
    policy_versions: int = 0
    """Versions of the policies that the reviewed texts were decided by."""
    earlier: Mapping[str, "Quality"] = field(default_factory=dict)
    """The same of other models of the window, by their digests, the latest first."""
