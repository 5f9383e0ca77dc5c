"""QualityKnown and status.quality: what people's decisions say of the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from textmod_operator.api.status import EstimateStatus, QualityStatus
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions.states import ConditionState
from textmod_operator.state import Manifest

CONDITION: Final = "QualityKnown"
_MOST_CHARACTERS: Final = 500
_INTERVAL: Final = timedelta(minutes=10)
"""Between two writes of figures that hardly changed."""
_COUNTS: Final = frozenset({"window", "labels", "effective", "reviewedPerDay", "reason"})


@dataclass(frozen=True)
class Measured:
    """A console's figures of one window."""

    document: QualityStatus


@dataclass(frozen=True)
class QualitySeen:
    """What one pass knows of the quality of one object."""

    measured: Measured | None
    """None: the console has not answered yet."""
    silent: str | None = None
    """Why the console has not been heard for long."""
    has_console: bool = True


def measured_of(document: Any) -> Measured:  # noqa: ANN401 - any JSON value
    """Return what a console's /quality says.

    Raises:
        ValueError: it is no such answer.
    """
    try:  # fields of a newer console are passed over
        read = QualityStatus.model_validate(document, extra="ignore")
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False, include_input=False)
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where or 'it'}: {first['msg']}") from error
    return Measured(read)


def quality_state(tm: TextModeration, seen: QualitySeen) -> ConditionState:
    """QualityKnown of an object that has review."""
    if not seen.has_console:
        message = "review.console is not enabled, so nobody counts the decisions"
        return ConditionState("Unknown", "NoConsole", message)
    if seen.silent is not None:
        return ConditionState("Unknown", "ConsoleUnavailable", seen.silent)
    if seen.measured is None:
        message = "the console has not reported yet"
        return ConditionState("Unknown", "Waiting", message)
    found = seen.measured.document
    if _is_known(found.precision) and _is_known(found.recall):
        broken = "; ".join(sentence for sentence in _broken(tm, found))
        message = f"{_sentence('precision', found.precision)}, {_sentence('recall', found.recall)}"
        return ConditionState("True", "Measured", "; ".join(filter(None, [message, broken])))
    if not found.reviewed_per_day:
        message = "nobody decided anything in the last 7 days, so precision and recall are unknown"
        return ConditionState("False", "NoReviewers", message)
    message = (found.reason or "too few texts were decided")[:_MOST_CHARACTERS]
    return ConditionState("False", "TooFewLabels", message)


def quality_status(tm: TextModeration, seen: QualitySeen | None, known: Manifest) -> Manifest:
    """`quality` of the status.

    Args:
        seen: None: the object has no review.
        known: the status as it is; its figures stay until others say something new.
    """
    if seen is None:
        return {}
    before = known.get("quality")
    if seen.measured is None:
        return {"quality": before} if before else {}
    after = seen.measured.document.model_dump(by_alias=True, exclude_none=True, mode="json")
    if "policies" in after:  # the window may know some that are gone
        names = {policy.name for policy in tm.spec.policies}
        after["policies"] = [one for one in after["policies"] if one["name"] in names]
    return {"quality": before if before and _says_nothing_new(before, after) else after}


def _says_nothing_new(before: Manifest, after: Manifest) -> bool:
    """Whether only figures changed that change all the time, and not for long."""
    if _coarse(before) != _coarse(after):
        return False
    try:
        moved = _moment(after) - _moment(before)
    except (KeyError, TypeError, ValueError):
        return False
    return timedelta(0) <= moved < _INTERVAL


def _coarse(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The figures to the hundredth, without those that count."""
    if isinstance(value, dict):
        return {name: _coarse(one) for name, one in value.items() if name not in _COUNTS}
    if isinstance(value, list):
        return [_coarse(one) for one in value]
    return round(value, 2) if isinstance(value, float) else value


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
        return self.measured is not None and (self.measured.high or 0.0) < self.promised


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
    quality = found.model_dump(by_alias=True, exclude_none=True, mode="json")
    for one in promises(spec, quality):
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
