"""The solved form of policies: what pods read and the status shows, and what has no solution."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from textmod_operator.api.policies import Action, Explanation
from textmod_operator.policies.histogram import Expected
from textmod_operator.policies.record import Record

_DAY = 86_400

FindingReason = Literal["UnknownLabel", "PrecisionUnreachable", "ModelUnknown", "RateUnknown"]


@dataclass(frozen=True)
class Finding:
    """Why a rule is not as asked, as a condition says it."""

    reason: FindingReason
    message: str


@dataclass(frozen=True)
class SolvedRule:
    """One rule with its threshold."""

    action: Action
    hold: bool
    at_least: float | None
    """None: it never holds."""
    budget_per_day: int | None
    source: Literal["Artifact", "Asked", "Feedback"]
    asked: str
    """What the spec says, such as `precision 0.95`."""
    expected: Expected | None = None
    """None where the model or the threshold is not known."""
    share: float | None = None
    """Of all texts, those that this rule holds for, from 0 to 1, and no earlier one."""

    def decided(self, rate: float | None) -> float | None:
        """Of all texts, those that this rule decides, from 0 to 1: its budget is spent on no more;
        None where that is not known.

        Args:
            rate: texts a second; None: not known.
        """
        if self.share is None or self.budget_per_day is None:
            return self.share
        if rate is None:
            return None
        budget = self.budget_per_day / _DAY
        return min(self.share, budget / rate) if rate else self.share


@dataclass(frozen=True)
class SolvedPolicy:
    """One policy with its rules' thresholds."""

    name: str
    label: str | None
    """As the spec has it; None: the model's first."""
    effective_label: str | None
    """The label that decides; None while it is not known, or is none of the model's."""
    mode: Literal["Enforce", "Observe"]
    otherwise: Action
    rules: tuple[SolvedRule, ...]

    def actions_per_second(self, rate: float | None) -> dict[Action, float] | None:
        """Texts a second for each action of this policy alone; None where a share or the rate is
        not known.

        What a budget leaves over is counted as `otherwise`.
        """
        left = self.left_over(rate)
        if rate is None or left is None:
            return None
        actions: dict[Action, float] = {}
        for rule in self.rules:
            taken = (rule.decided(rate) or 0.0) * rate
            if rule.at_least is not None:
                actions[rule.action] = actions.get(rule.action, 0.0) + taken
        actions[self.otherwise] = actions.get(self.otherwise, 0.0) + left * rate
        return actions

    def left_over(self, rate: float | None) -> float | None:
        """Of all texts, those that `otherwise` decides, from 0 to 1; None where not known."""
        parts = [rule.decided(rate) for rule in self.rules if rule.at_least is not None]
        if None in parts:
            return None
        return max(0.0, 1.0 - sum(part or 0.0 for part in parts))


@dataclass(frozen=True)
class Solution:
    """What became of the policies of one spec."""

    policies: tuple[SolvedPolicy, ...]
    model: str | None
    """Digest of the model that something was worked out for."""
    explanation: Explanation
    record: Record
    findings: tuple[Finding, ...] = ()
    complete: bool = True
    """False: a rule waits for the model's scores, and these policies are not to be handed out."""

    def document(self) -> dict[str, Any]:
        """The solved form as the model server reads it."""
        rest = {
            "model": self.model,
            "policies": [_policy(policy) for policy in self.policies],
            "explanation": self.explanation.model_dump(by_alias=True, mode="json"),
        }
        return {"version": version_of(rest), **rest}

    @property
    def version(self) -> str:
        """The digest of all that the solved form says."""
        return str(self.document()["version"])

    @staticmethod
    def version_in(written: str | None) -> str | None:
        """The version of a solved form as text; None where it is none."""
        try:
            version = json.loads(written or "null")["version"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return version if isinstance(version, str) else None

    def written(self) -> str:
        """The solved form as text, the same for equal solutions."""
        return json.dumps(self.document(), sort_keys=True, indent=1) + "\n"


def version_of(rest: dict[str, Any]) -> str:
    """The digest of all that a solved form says besides its version."""
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _policy(policy: SolvedPolicy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "label": policy.label,
        "mode": policy.mode,
        "otherwise": policy.otherwise,
        "rules": [
            {
                "action": rule.action,
                "hold": rule.hold,
                "atLeast": rule.at_least,
                "budgetPerDay": rule.budget_per_day,
            }
            for rule in policy.rules
        ],
    }
