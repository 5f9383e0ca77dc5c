"""QualityKnown and status.quality: precision and recall as measured by people's decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from textmod_operator.api.rules import invalid
from textmod_operator.api.status import EstimateStatus, QualityStatus
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions.states import ConditionState
from textmod_operator.state import Manifest

CONDITION: Final = "QualityKnown"
_MOST_CHARACTERS: Final = 500
_INTERVAL: Final = timedelta(minutes=10)
"""Between two writes of figures that hardly changed."""
_HARDLY: Final = 0.01
"""A share has changed once it differs by so much from the one that was written."""
_COUNTS: Final = frozenset({"window", "labels", "effective", "reviewedPerDay", "reason"})
"""Figures that change all the time."""


@dataclass(frozen=True)
class QualitySeen:
    """What one pass knows of the quality of one object."""

    measured: QualityStatus | None
    """None: the console has not answered yet."""
    silent: str | None = None
    """Why the console has not reported for long."""
    has_console: bool = True


def measured_of(document: Any) -> QualityStatus:  # noqa: ANN401 - any JSON value
    """Return a console's figures of one window: what its /quality says.

    Raises:
        ValueError: it is not such an answer.
    """
    try:  # fields of a newer console are passed over
        return QualityStatus.model_validate(document, extra="ignore")
    except ValidationError as error:
        raise invalid(error) from error


def quality_state(tm: TextModeration, seen: QualitySeen) -> ConditionState:
    """QualityKnown of an object that has review."""
    if not seen.has_console:
        message = "review.console is disabled, so decisions are not counted"
        return ConditionState("Unknown", "NoConsole", message)
    if seen.silent is not None:
        return ConditionState("Unknown", "ConsoleUnavailable", seen.silent)
    if seen.measured is None:
        message = "the console has not reported yet"
        return ConditionState("Unknown", "Waiting", message)
    found = seen.measured
    if _is_known(found.precision) and _is_known(found.recall):
        broken = "; ".join(sentence for sentence in _broken(tm, found))
        message = f"{_sentence('precision', found.precision)}, {_sentence('recall', found.recall)}"
        return ConditionState("True", "Measured", "; ".join(filter(None, [message, broken])))
    if not found.reviewed_per_day:
        message = "no decision was made in the last 7 days, so precision and recall are unknown"
        return ConditionState("False", "NoReviewers", message)
    message = (found.reason or "too few texts were decided")[:_MOST_CHARACTERS]
    return ConditionState("False", "TooFewLabels", message)


def quality_status(seen: QualitySeen | None, known: Manifest) -> Manifest:
    """`quality` of the status.

    Args:
        seen: None: the object has no review.
        known: the status as it is; its figures stay until there are others.
    """
    if seen is None:
        return {}
    if seen.measured is None:
        before = known.get("quality")
        return {"quality": before} if before else {}
    return {"quality": _document(seen.measured)}


def steadied(tm: TextModeration, seen: QualitySeen, known: Manifest) -> QualitySeen:
    """Return what was seen of the policies that there are, with the figures of the status as long
    as the new ones hardly differ: each decision would be a write else.

    Args:
        known: the status as it is.
    """
    measured = seen.measured
    if measured is None:
        return seen
    if measured.policies is not None:  # the window may know some that are gone
        names = {policy.name for policy in tm.spec.policies}
        there = [one for one in measured.policies if one.name in names]
        measured = measured.model_copy(update={"policies": there})
    before = known.get("quality")
    if before and _says_nothing_new(before, _document(measured)):
        measured = measured_of(before)
    return replace(seen, measured=measured)


def _document(measured: QualityStatus) -> Manifest:
    return measured.model_dump(by_alias=True, exclude_none=True, mode="json")


def _says_nothing_new(before: Manifest, after: Manifest) -> bool:
    """Whether only figures changed that change all the time, and not for long."""
    if bool(before.get("reviewedPerDay")) != bool(after.get("reviewedPerDay")):
        return False  # the first decisions, or the last
    if not _is_close(before, after):
        return False
    try:
        moved = _moment(after) - _moment(before)
    except (KeyError, TypeError, ValueError):
        return False
    return timedelta(0) <= moved < _INTERVAL


def _is_close(before: Any, after: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether two documents agree but for small differences, and for what counts."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = (before.keys() | after.keys()) - _COUNTS
        return all(_is_close(before.get(name), after.get(name)) for name in names)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_is_close, before, after))
    if isinstance(before, int | float) and isinstance(after, int | float):
        return abs(before - after) < _HARDLY
    return bool(before == after)


def _moment(quality: Manifest) -> datetime:
    return datetime.fromisoformat(quality["window"]["to"])


# --- promises -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Promise:
    """A precision that a policy is asked to keep, and what was measured of it."""

    policy: str
    action: str
    promised: float
    measured: EstimateStatus | None
    """None: not known."""

    @property
    def is_broken(self) -> bool:
        """Whether the whole interval is below what was promised."""
        high = None if self.measured is None else self.measured.high
        return high is not None and high < self.promised


def promises(spec: Manifest, quality: Manifest) -> Iterator[Promise]:
    """Yield the precisions that the rules ask for, with what `status.quality` says of each.

    A precision is of all texts from the rule's threshold on, those of earlier rules included. So it
    is compared with what was measured of the rule's action where no earlier rule takes another one,
    and of the policy as a whole where the rule is the last to act.
    """
    by_name = {one["name"]: one for one in quality.get("policies") or ()}
    for policy in spec.get("policies") or ():
        rules = policy.get("rules") or ()
        measured = by_name.get(policy["name"], {})
        for place, rule in enumerate(rules):
            if (promised := rule.get("precision")) is None:
                continue
            earlier = {other["action"] for other in rules[:place]} - {rule["action"], "Allow"}
            later = [other for other in rules[place + 1 :] if other["action"] != "Allow"]
            found = None
            if not earlier:
                same = [other for other in later if other["action"] == rule["action"]]
                found = None if same else _of_action(measured, rule["action"])
            elif not later:
                found = measured.get("precision")
            estimate = EstimateStatus.model_validate(found) if found else None
            is_known = estimate is not None and _is_known(estimate)
            yield Promise(policy["name"], rule["action"], promised, estimate if is_known else None)


def _of_action(measured: Manifest, action: str) -> Manifest | None:
    found = (one for one in measured.get("actions") or () if one["action"] == action)
    return next((one["precision"] for one in found), None)


def _broken(tm: TextModeration, found: QualityStatus) -> Iterable[str]:
    spec = tm.spec.model_dump(by_alias=True, exclude_none=True, mode="json")
    for one in promises(spec, _document(found)):
        if one.is_broken and one.measured is not None:
            yield (
                f"policy {one.policy} does not keep its precision of {one.promised:g} for "
                f"{one.action}: {_sentence('measured', one.measured)}"
            )


def _is_known(estimate: EstimateStatus | None) -> bool:
    return estimate is not None and estimate.value is not None


def _sentence(what: str, one: EstimateStatus | None) -> str:
    if one is None or one.value is None or one.low is None or one.high is None:
        return f"{what} unknown"
    return f"{what} {one.value:.3g} ({one.low:.3g} to {one.high:.3g}, {one.labels} labels)"
