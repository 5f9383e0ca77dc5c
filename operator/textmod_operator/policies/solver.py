"""Works out from which score on each rule of each policy holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from textmod_operator.api.policies import Explanation, Policy, PolicyRule
from textmod_operator.policies.evidence import Feedback, corrected
from textmod_operator.policies.histogram import Histogram
from textmod_operator.policies.model import ModelSeen
from textmod_operator.policies.record import Decided, Record, Source
from textmod_operator.policies.solved import (
    Finding,
    FindingReason,
    Solution,
    SolvedPolicy,
    SolvedRule,
)

HYSTERESIS: Final = timedelta(hours=1)
"""A threshold whose rule and model stay the same moves at most once in this time."""
_DAY: Final = 86_400


@dataclass(frozen=True)
class Known:
    """What thresholds are worked out of."""

    model: ModelSeen | None
    """None: not known yet."""
    rate: float | None
    """Texts a second that arrive; None: not known. 0 says nothing of tomorrow: it moves nothing."""
    before: Record
    """What was decided last."""
    now: float
    """Unix time in seconds."""
    feedback: Feedback | None = None
    """None: the object has no console."""


def solve(policies: Sequence[Policy], explanation: Explanation, known: Known) -> Solution:
    """The policies with a threshold for each rule that can have one."""
    works = [_Work(policy, known) for policy in policies]
    solved = tuple(work.solved() for work in works)
    record = {key: one for work in works for key, one in work.record.items()}
    return Solution(
        policies=solved,
        model=next((decided.model for decided in record.values()), None),
        explanation=explanation,
        record=Record(record),
        findings=tuple(finding for work in works for finding in work.findings),
        complete=not any(work.waits for work in works),
    )


class _Work:
    """One policy on its way to a solution.

    Args:
        asked: the policy as the spec has it.
    """

    def __init__(self, asked: Policy, known: Known) -> None:
        self.findings: list[Finding] = []
        self.record: dict[tuple[str, int], Decided] = {}
        self.waits = False
        """A rule needs the model's scores, and the model is not known."""
        self._policy = asked
        self._known = known
        self._label = self._effective_label()
        self._histogram: Histogram | None = None
        if known.model is not None and self._label is not None:
            self._histogram = known.model.histogram(self._label)
        self._corrected = self._by_feedback()
        """The histogram as people's decisions have it; None: there are too few."""
        self._below = 1.0
        """The score from which on an earlier rule holds; nothing scores more than 1."""

    def solved(self) -> SolvedPolicy:
        """The policy with its thresholds."""
        rules = tuple(self._solved(place) for place in range(len(self._policy.policy_rules)))
        asked = self._policy
        return SolvedPolicy(
            asked.name, asked.label, self._label, asked.mode, asked.otherwise, rules
        )

    def _effective_label(self) -> str | None:
        model, label = self._known.model, self._policy.label
        if model is None or label in model.labels:
            return label
        if label is None:
            return model.labels[0]
        self._find(
            "UnknownLabel",
            f"policy {self._policy.name} is about label {label}, which the model does not have, so "
            f"it decides nothing: name one of {', '.join(model.labels)}",
        )
        return None

    def _by_feedback(self) -> Histogram | None:
        known = self._known
        feedback, histogram = known.feedback, self._histogram
        if feedback is None or feedback.evidence is None or histogram is None:
            return None
        if known.model is None or self._label is None:
            return None
        evidence = feedback.evidence.of(known.model.digest, self._label)
        if evidence is None or evidence.labels < feedback.minimum:
            return None
        return corrected(histogram, evidence)

    def _solved(self, place: int) -> SolvedRule:
        rule = self._policy.policy_rules[place]
        asked_for = rule.at_least is not None
        at_least = rule.at_least if asked_for else self._decided(place)
        decided = self.record.get((self._policy.name, place))
        source = "Asked" if asked_for else decided.source if decided else "Artifact"
        solved = SolvedRule(
            action=rule.action,
            hold=rule.hold,
            at_least=at_least,
            budget_per_day=rule.budget_per_day,
            source=source,
            asked=_asked(rule),
        )
        if self._histogram is None or at_least is None:
            return solved
        share = self._histogram.between(at_least, self._below)
        self._below = min(at_least, self._below)
        expected = self._corrected or self._histogram
        return replace(solved, expected=expected.at(at_least), share=share)

    def _decided(self, place: int) -> float | None:
        """The threshold of a rule that does not name one; None: it has none."""
        key = (self._policy.name, place)
        # The earlier rules count: a budget is spent on what they leave.
        rules = self._policy.policy_rules[: place + 1]
        asked = f"{self._policy.label or ''}: {'; '.join(_asked(rule) for rule in rules)}"
        last = self._known.before.rules.get(key)
        if last is not None and last.asked != asked:
            last = None
        model = self._known.model
        if model is None:  # the one that it was worked out for serves on, as far as anybody knows
            self.waits = self.waits or last is None
        elif self._label is not None:
            if last is not None and last.model != model.digest:
                last = None
            at_least, source = self._worked_out(place, last)
            moved = Decided(asked, model.digest, at_least, self._known.now, source)
            if last is not None and last.at_least == at_least:
                last = replace(last, source=source)  # no move: a new date would be a write a pass
            elif last is None or not self._stays(last):
                last = moved
        else:
            return None
        if last is None:
            return None
        self.record[key] = last
        return last.at_least

    def _stays(self, last: Decided) -> bool:
        recent = 0 <= self._known.now - last.since < HYSTERESIS.total_seconds()
        return recent and last.at_least is not None

    def _worked_out(self, place: int, last: Decided | None) -> tuple[float | None, Source]:
        """The threshold and what it is worked out of."""
        rule, histogram = self._policy.policy_rules[place], self._histogram
        start = f"policy {self._policy.name}, rule {place + 1}: "
        if histogram is None:
            self._find(
                "ModelUnknown",
                f"{start}the artifact has no scores of label {self._label} to compute a threshold "
                "from: package the model again, or use atLeast",
            )
            return None, "Artifact"
        if rule.precision is not None:
            return self._with_precision(rule.precision, start, histogram, last)
        if self._known.rate:
            share = (rule.budget_per_day or 0) / (self._known.rate * _DAY)
            return histogram.lowest_within(share, self._below), "Artifact"
        if last is not None and last.at_least is not None:
            return last.at_least, "Artifact"
        self._find(
            "RateUnknown",
            f"{start}the arrival rate is not known yet, and until then the rule does not apply",
        )
        return None, "Artifact"

    def _with_precision(
        self, asked: float, start: str, artifact: Histogram, last: Decided | None
    ) -> tuple[float | None, Source]:
        """The threshold that keeps a precision, by the decisions as soon as there are enough.

        With fewer again, or while the console does not report, a threshold that they moved stays.
        """
        was_corrected = last is not None and last.source == "Feedback"
        if self._corrected is None and was_corrected and self._known.feedback is not None:
            if last is not None and last.at_least is not None:
                return last.at_least, "Feedback"
            self._find(
                "PrecisionUnreachable",
                f"{start}by people's decisions no score of label {self._label} reached precision "
                f"{asked:g}; the rule never applies",
            )
            return None, "Feedback"
        histogram = self._corrected or artifact
        threshold = histogram.lowest_with_precision(asked)
        if threshold is None:
            why = "by people's decisions " if self._corrected else ""
            best = _best(asked, self._label, histogram)
            self._find("PrecisionUnreachable", f"{start}{why}{best}; {self._until_then(last)}")
        return threshold, "Feedback" if self._corrected else "Artifact"

    def _until_then(self, last: Decided | None) -> str:
        """What a rule does whose precision can't be promised, or no longer."""
        if last is None or not self._stays(last):
            return "the rule never applies"
        return f"it applies from {last.at_least:g} on for the rest of that threshold's hour"

    def _find(self, reason: FindingReason, message: str) -> None:
        self.findings.append(Finding(reason, message))


def _best(asked: float, label: str | None, histogram: Histogram) -> str:
    """Why a precision can't be promised, and what can."""
    best = histogram.best()
    if best is None:
        return (
            f"the artifact has too few scores of label {label} to estimate a precision: train it "
            "on more texts, or use atLeast"
        )
    expected = histogram.at(best)
    return (
        f"no score of label {label} reaches precision {asked:g}; the best is "
        f"{expected.precision or 0:.3g} from {best:g} on (recall "
        f"{expected.recall or 0:.2g}): ask for less, or use atLeast"
    )


def _asked(rule: PolicyRule) -> str:
    if rule.precision is not None:
        return f"precision {rule.precision}"
    if rule.at_least is not None:
        return f"atLeast {rule.at_least}"
    return f"budgetPerDay {rule.budget_per_day}"
