"""What policies would do to labelled texts: what each rule decides on, and how rightly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textmod_model.policies.evaluate import Evaluator
from textmod_model.policies.solved import Policy, PolicySet, Rule

ACTS: Final = ("Allow", "Review", "Review, held", "Remove")
"""What can become of a text, the mildest first."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Share:
    """Some of the texts."""

    texts: int
    having: int | None
    """How many of them have the label; None: the data does not say."""
    all_having: int | None
    """How many of all texts have it."""
    of: int
    """How many texts there are."""

    @property
    def precision(self) -> float | None:
        """The part of these texts that has the label; None: unknown."""
        return None if self.having is None or not self.texts else self.having / self.texts

    @property
    def recall(self) -> float | None:
        """The part of the texts with the label that is among these; None: unknown."""
        return None if self.having is None or not self.all_having else self.having / self.all_having

    def a_day(self, texts_a_day: float | None) -> float | None:
        """Return how many of `texts_a_day` there would be; None: unknown."""
        return None if texts_a_day is None or not self.of else texts_a_day * self.texts / self.of


@dataclass(frozen=True)
class RuleTrial:
    """What one rule decides: where it is the first that holds. `rule` is None for `otherwise`."""

    act: str
    rule: Rule | None
    share: Share

    def within(self, texts_a_day: float | None) -> float | None:
        """Return how many a day its budget lets through; None: unknown."""
        found = self.share.a_day(texts_a_day)
        budget = self.rule.budget_per_day if self.rule is not None else None
        return found if found is None or budget is None else min(found, float(budget))


@dataclass(frozen=True)
class PolicyTrial:
    """What one policy says of all texts."""

    policy: Policy
    label: str
    scores: Floats
    having: Flags | None
    """Whether each text has the label; None: the data does not say."""
    acts: NDArray[np.int64]
    """The place in `ACTS` of each text."""
    rules: tuple[RuleTrial, ...]

    def share(self, act: int) -> Share:
        """Return the texts with the action of that place in `ACTS`."""
        return _share(self.acts == act, self.having)


@dataclass(frozen=True)
class Trial:
    """A policy set on labelled texts."""

    policies: PolicySet
    spoken: tuple[PolicyTrial, ...]
    silent: tuple[Policy, ...]
    """Policies whose label the model does not have."""
    acts: NDArray[np.int64]
    """The place in `ACTS` of each text's verdict: the strictest of all policies in force."""
    first_label: str
    """Of the model."""
    having: Flags | None
    """Whether each text has the model's first label; None: the data does not say."""

    def share(self, act: int) -> Share:
        """Return the texts with the verdict of that place in `ACTS`."""
        return _share(self.acts == act, self.having)


def act_of(action: str, *, hold: bool) -> str:
    """Return what becomes of a text, one of `ACTS`."""
    return "Review, held" if action == "Review" and hold else action


def run(
    policies: PolicySet, labels: tuple[str, ...], scores: Floats, truth: Mapping[str, Flags]
) -> Trial:
    """Decide on texts whose labels are known.

    Budgets are not spent here: a file has no days. `RuleTrial.within` counts with them.

    Args:
        policies: the set.
        labels: the model's.
        scores: shape (n, labels).
        truth: whether each text has a label, by the label's name, where the data says so.
    """
    evaluator = Evaluator(policies, labels)
    chosen = evaluator.chosen(scores)
    spoken = [
        _policy(
            policy,
            policy.label or labels[0],
            scores[:, labels.index(policy.label or labels[0])],
            chosen[policy.name],
            truth.get(policy.label or labels[0]),
        )
        for policy in policies.policies
        if policy.name in chosen
    ]
    rulings = evaluator.rule(scores)
    return Trial(
        policies,
        tuple(spoken),
        tuple(one for one in policies.policies if one.name not in chosen),
        np.array([ACTS.index(act_of(one.action, hold=one.hold)) for one in rulings], dtype=int),
        labels[0],
        truth.get(labels[0]),
    )


def _policy(
    policy: Policy,
    label: str,
    scores: Floats,
    places: NDArray[np.int64],
    having: Flags | None,
) -> PolicyTrial:
    acts = [act_of(rule.action, hold=rule.hold) for rule in policy.rules]
    acts.append(policy.otherwise)
    rules: list[Rule | None] = [*policy.rules, None]
    return PolicyTrial(
        policy,
        label,
        scores,
        having,
        np.array([ACTS.index(act) for act in acts])[places],
        tuple(
            RuleTrial(acts[place], rule, _share(places == place, having))
            for place, rule in enumerate(rules)
        ),
    )


def _share(some: Flags, having: Flags | None) -> Share:
    return Share(
        int(some.sum()),
        None if having is None else int((some & having).sum()),
        None if having is None else int(having.sum()),
        len(some),
    )
