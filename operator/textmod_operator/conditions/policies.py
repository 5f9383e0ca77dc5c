"""PoliciesReady and status.policies: are the policies in force everywhere, and what do they do?"""

from __future__ import annotations

from typing import Final

from textmod_operator.api.policies import Action
from textmod_operator.conditions.states import ConditionState
from textmod_operator.policies import (
    LONG_SECONDS,
    FindingReason,
    PoliciesSeen,
    Rollout,
    SolvedPolicy,
    SolvedRule,
)
from textmod_operator.state import Manifest

CONDITION: Final = "PoliciesReady"
_BY_WEIGHT: Final[tuple[FindingReason, ...]] = (
    "UnknownLabel",
    "PrecisionUnreachable",
    "ModelUnknown",
    "RateUnknown",
)
"""The first of these that was found is the reason; the message names them all."""
_MOST_PODS: Final = 3
_HOUR: Final = 3600.0


def policies_state(seen: PoliciesSeen) -> ConditionState:
    """PoliciesReady of an object that has policies."""
    rollout = seen.rollout
    if rollout is not None and rollout.errors:
        return ConditionState("False", "PoliciesInvalid", _refused(rollout))
    sentences = [finding.message for finding in seen.solution.findings]
    if not seen.solution.complete:
        return ConditionState("Unknown", "ModelUnknown", "; ".join([_no_model(seen), *sentences]))
    if rollout is None:
        message = "an earlier step failed, so the policies were not distributed"
        return ConditionState("Unknown", "NotLookedAt", "; ".join([message, *sentences]))
    spread = _spread(seen.version, rollout)
    found = {finding.reason for finding in seen.solution.findings}
    reason = next((one for one in _BY_WEIGHT if one in found), None)
    if reason is not None:
        return ConditionState("False", reason, "; ".join([*sentences, spread]))
    if rollout.behind:
        return ConditionState("False", "Propagating", spread)
    return ConditionState("True", "InForce", spread)


def _spread(whole_version: str | None, rollout: Rollout) -> str:
    """How far the version has come, as a sentence."""
    version = _short(whole_version)
    if not rollout.ready:
        return f"no replica serves; the next one starts with version {version}"
    if not rollout.behind:
        return f"version {version} is in force in all {rollout.ready} replicas"
    there = rollout.ready - len(rollout.behind)
    text = f"version {version} is in force in {there} of {rollout.ready} replicas"
    if rollout.seconds < LONG_SECONDS:
        return text
    text += f", for more than a minute not in {_names(rollout.behind)}"
    if rollout.unreachable:
        return f"{text}: they do not answer on port 6000; see their NetworkPolicy"
    return f"{text}: see their logs"


def _refused(rollout: Rollout) -> str:
    (pod, words), *_ = rollout.errors
    return (
        f"{len(rollout.errors)} replicas cannot load the policies and keep the previous ones; pod "
        f"{pod} reports: {words}"
    )


def _no_model(seen: PoliciesSeen) -> str:
    kept = (
        f"version {_short(seen.version)} stays in force meanwhile"
        if seen.version is not None
        else "the replicas wait for the policies and are not ready"
    )
    why = (
        "no replica answered on port 6000; see their NetworkPolicy"
        if seen.rollout is not None and seen.rollout.unreachable
        else "no replica has reported its model yet"
    )
    return f"thresholds are computed from the model's scores, and {why}; {kept}"


def _names(pods: tuple[str, ...]) -> str:
    more = len(pods) - _MOST_PODS
    return ", ".join(pods[:_MOST_PODS]) + (f" and {more} more" if more > 0 else "")


def _short(version: str | None) -> str:
    return (version or "").removeprefix("sha256:")[:12]


def policies_status(seen: PoliciesSeen | None, known: Manifest) -> Manifest:
    """`policies` and `policyVersion` of the status.

    Args:
        seen: None: the object has no policies.
        known: the status as it is.
    """
    if seen is None:
        return {}
    version = {"policyVersion": seen.version}
    if not seen.solution.complete or not seen.model_known:
        # What was said of the thresholds that stay in force is as true as before.
        if (before := known.get("policies")) and known.get("policyVersion") == seen.version:
            return {**version, "policies": before}
        if not seen.solution.complete:
            return version
    return {**version, "policies": [_policy(one, seen.rate) for one in seen.solution.policies]}


def differ_in_rates_alone(before: Manifest, after: Manifest) -> bool:
    """Whether two statuses have the same policies but for how many texts they are about."""

    def rules(status: Manifest) -> list[Manifest]:
        return [one | {"actionsPerHour": None} for one in status.get("policies") or ()]

    return rules(before) == rules(after)


def _policy(policy: SolvedPolicy, rate: float | None) -> Manifest:
    result: Manifest = {
        "name": policy.name,
        "mode": policy.mode,
        "rules": [_rule(rule) for rule in policy.rules],
    }
    if policy.effective_label is not None:
        result["label"] = policy.effective_label
    per_second = policy.actions_per_second(rate)
    if per_second is not None and policy.effective_label is not None:
        result["actionsPerHour"] = _per_hour(per_second)
    return result


def _rule(rule: SolvedRule) -> Manifest:
    expected = rule.expected
    result = {
        "action": rule.action,
        "hold": rule.hold,
        "threshold": rule.at_least,
        "source": rule.source,
        "expectedPrecision": _rounded(expected.precision) if expected else None,
        "expectedRecall": _rounded(expected.recall) if expected else None,
    }
    return {key: value for key, value in result.items() if value is not None}


def _per_hour(per_second: dict[Action, float]) -> dict[str, float]:
    return {action: float(f"{rate * _HOUR:.2g}") for action, rate in sorted(per_second.items())}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 3)
