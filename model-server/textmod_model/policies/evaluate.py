"""What a policy set says of scores.

A *ruling* is what a set can say: one action, and what each policy said towards it. A set has few of
them, whatever the scores, so they are made once and shared by all texts that they apply to.
A *decision* is a ruling about one text, with its scores.

A policy whose label the model does not have says nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textmod_model.policies.solved import Action, Mode, Policy, PolicySet

Take = Callable[[str, int, int], bool]
"""Spend one of the day's budget of a policy's rule, by the policy's name, the rule's place and the
input partition; False if there is nothing left."""

_STRICTNESS: Final[Mapping[tuple[str, bool], int]] = {
    ("Allow", False): 0,
    ("Review", False): 1,
    ("Review", True): 2,
}
_STRICTEST: Final = 3


class Said(NamedTuple):
    """What one policy says of a text."""

    name: str
    action: Action
    hold: bool
    label: str
    mode: Mode
    over_budget: tuple[int, ...] = ()
    """The places of rules that held, but whose budget was spent."""


@dataclass(frozen=True, eq=False)
class Ruling:
    """What a set says of a text: the strictest action of its policies in force."""

    action: Action
    hold: bool
    said: tuple[Said, ...]
    """Of every policy whose label the model has, in their order, those that only observe too."""
    version: str
    label: str
    """Of the first policy that asks for this action: the score that decided. The model's first
    label where no policy in force speaks."""

    @property
    def acting(self) -> list[dict[str, str]]:
        """Name and action of the policies in force that ask for more than Allow, for events.

        Also of a text that chance alone chose: its policies' precision is measured by it.
        """
        return [
            {"name": said.name, "action": said.action}
            for said in self.said
            if said.mode == "Enforce" and said.action != "Allow"
        ]


class Spoken(NamedTuple):
    """What one policy says of a text, and the score it said it of."""

    name: str
    action: Action
    label: str
    score: float
    mode: Mode


class Decision(NamedTuple):
    """A ruling about one text."""

    action: Action
    hold: bool
    policies: tuple[Spoken, ...]
    version: str


OverBudget = Mapping[str, Collection[int]]
"""Rules that held but whose budget was spent, by policy: a verdict names them as `overBudget`."""


def decide(
    scores: Mapping[str, float], policies: PolicySet, over_budget: OverBudget | None = None
) -> Decision:
    """Replay a verdict: decide on the scores of one text, by label, the model's first one first.

    Args:
        scores: probabilities from 0 to 1.
        policies: the set of the version that the verdict names.
        over_budget: what the verdict says of spent budgets.
    """
    evaluator = Evaluator(policies, tuple(scores))
    spent = over_budget or {}
    row = np.array([list(scores.values())])
    [ruling] = evaluator.rule(
        row, [0], lambda name, rule, _partition: rule not in spent.get(name, ())
    )
    said = tuple(
        Spoken(one.name, one.action, one.label, scores[one.label], one.mode) for one in ruling.said
    )
    return Decision(ruling.action, ruling.hold, said, ruling.version)


class Evaluator:
    """A policy set for a model's labels, over a whole batch at once."""

    def __init__(self, policies: PolicySet, labels: Sequence[str]) -> None:
        self.policies = policies
        self.labels = tuple(labels)
        self._clauses = [
            _Clause(policy, label, self.labels.index(label))
            for policy in policies.policies
            if (label := policy.label or self.labels[0]) in self.labels
        ]
        self._rulings: dict[tuple[Any, ...], Ruling] = {}
        self.budgeted = any(clause.budgeted for clause in self._clauses)
        """Whether some rule has a budget, so that `rule` needs partitions and `take`."""

    def rule(
        self,
        scores: NDArray[np.float64],
        partitions: Sequence[int] = (),
        take: Take | None = None,
    ) -> list[Ruling]:
        """Return the ruling about each text, in order.

        Args:
            scores: shape (n,), or (n, labels); NaN holds for no rule.
            partitions: the input partition of each text; only looked at where a rule has a budget.
            take: spends budgets; None: budgets are not looked at.
        """
        columns = scores[:, None] if scores.ndim == 1 else scores
        chosen = [clause.choose(columns[:, clause.column]) for clause in self._clauses]
        if take is None or not self.budgeted:
            return self._plain(chosen, len(columns))
        spent = [
            clause.spend(columns[:, clause.column], rules, partitions, take)
            for clause, rules in zip(self._clauses, chosen, strict=True)
        ]
        rulings = self._plain(chosen, len(columns))
        for row in {row for one in spent for row in one}:
            over = tuple(one.get(row, ()) for one in spent)
            rulings[row] = self._ruling(tuple(int(rules[row]) for rules in chosen), over)
        return rulings

    def chosen(self, scores: NDArray[np.float64]) -> dict[str, NDArray[np.int64]]:
        """Return the place of each text's rule by policy; one past the last is `otherwise`."""
        columns = scores[:, None] if scores.ndim == 1 else scores
        return {one.name: one.choose(columns[:, one.column]) for one in self._clauses}

    def _plain(self, chosen: list[NDArray[np.int64]], texts: int) -> list[Ruling]:
        """Return the rulings where no budget was spent."""
        code = np.zeros(texts, dtype=np.int64)
        for clause, rules in zip(self._clauses, chosen, strict=True):
            code = code * clause.choices + rules
        known: dict[int, Ruling] = {}
        for one in np.unique(code).tolist():
            places, rest = [], one
            for clause in reversed(self._clauses):
                rest, place = divmod(rest, clause.choices)
                places.append(place)
            known[one] = self._ruling(tuple(reversed(places)), ((),) * len(self._clauses))
        return [known[one] for one in code.tolist()]

    def _ruling(self, rules: tuple[int, ...], over: tuple[tuple[int, ...], ...]) -> Ruling:
        found = self._rulings.get((rules, over))
        if found is None:
            said = tuple(
                clause.said(rule, spent)
                for clause, rule, spent in zip(self._clauses, rules, over, strict=True)
            )
            acting = [one for one in said if one.mode == "Enforce"]
            worst = max(acting, key=_strictness, default=None)
            found = self._rulings[rules, over] = Ruling(
                "Allow" if worst is None else worst.action,
                worst is not None and worst.hold,
                said,
                self.policies.version,
                self.labels[0] if worst is None else worst.label,
            )
        return found


class _Clause:
    """One policy about one column of scores."""

    def __init__(self, policy: Policy, label: str, column: int) -> None:
        self._policy = policy
        self.name = policy.name
        self._label = label
        self.column = column
        self.choices = len(policy.rules) + 1
        """The rules by place, and then `otherwise`."""
        self.budgeted = any(rule.budget_per_day is not None for rule in policy.rules)

    def choose(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the place of the first rule that holds for each score, shape (n,)."""
        rules = self._policy.rules
        chosen = np.full(len(scores), len(rules))
        for place in range(len(rules) - 1, -1, -1):
            at_least = rules[place].at_least
            if at_least is not None:
                chosen[scores >= at_least] = place
        return chosen

    def spend(
        self,
        scores: NDArray[np.float64],
        chosen: NDArray[np.int64],
        partitions: Sequence[int],
        take: Take,
    ) -> dict[int, tuple[int, ...]]:
        """Spend the budgets of the chosen rules, and choose again where there is nothing left.

        Changes `chosen`; returns the rules over their budget, by row.
        """
        over: dict[int, tuple[int, ...]] = {}
        if not self.budgeted:
            return over
        rules = self._policy.rules
        for row in np.flatnonzero(chosen < len(rules)).tolist():
            spent: tuple[int, ...] = ()
            for place in range(int(chosen[row]), len(rules)):
                rule = rules[place]
                if rule.at_least is None or not scores[row] >= rule.at_least:
                    continue
                if rule.budget_per_day is None or take(self._policy.name, place, partitions[row]):
                    chosen[row] = place
                    break
                spent = (*spent, place)
            else:
                chosen[row] = len(rules)
            if spent:
                over[row] = spent
        return over

    def said(self, rule: int, over: tuple[int, ...]) -> Said:
        policy = self._policy
        if rule == len(policy.rules):
            return Said(policy.name, policy.otherwise, False, self._label, policy.mode, over)
        one = policy.rules[rule]
        return Said(policy.name, one.action, one.hold, self._label, policy.mode, over)


def strictest(rulings: Iterable[Ruling]) -> Ruling:
    """Return the ruling of the strictest action; there must be one at least."""
    return max(rulings, key=_strictness)


def _strictness(act: Said | Ruling) -> int:
    return _STRICTNESS.get((act.action, act.hold), _STRICTEST)
