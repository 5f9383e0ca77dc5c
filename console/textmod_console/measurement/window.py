"""Compute the figures of one window of verdicts from the items chosen for review in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import floor, log2
from typing import Final

from textmod_console.measurement.estimates import Share, Total, precision, recall
from textmod_console.measurement.minimum import (
    done_enough,
    enough_for_precision,
    enough_for_recall,
    seen_enough,
)
from textmod_console.measurement.sums import Labelled, stratified, total
from textmod_console.measurement.values import Estimate, Quality

WINDOW: Final = timedelta(days=7)
MEMORY: Final = 4
"""Windows, this one included, over which the scarcest weight is remembered."""


Group = tuple[str, str | None] | None
"""The subject of a figure: a policy, an action of a policy, or all flagged texts (None)."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Items with equal properties that were chosen for review."""

    probability: float
    """The probability of being chosen, more than 0 and at most 1."""
    flagged: bool
    policies: tuple[tuple[str, str], ...] = ()
    """(name, action) of the policies that acted on it."""
    score: float | None = None
    """The probability of the label that decided."""
    label: float | None = None
    """The label of the decision that counts (`opinions.label_of`); None without a decision."""
    times: int = 1
    """The number of items."""
    held: bool = False
    """Whether the texts are kept back until they are decided: these come first in the queue."""


@dataclass(frozen=True, slots=True)
class AllTexts:
    """All texts of the window with equal properties, reviewed or not."""

    flagged: bool
    policies: tuple[tuple[str, str], ...]
    """(name, action) of the policies that acted on them."""
    texts: float
    scores: float
    """The sum of the scores that decided."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The bounds of a window, and the minimum of its labels.

    Args:
        since: the first moment of the window.
        until: the first moment after it; at least the labels' delay ago.
        minimum: the fewest labels from which a figure is estimated.
        scarcest: by group: the heaviest weight that a flagged text has had in the
            last `MEMORY` windows, 1/p.
    """

    since: datetime
    until: datetime
    minimum: int
    scarcest: Mapping[Group, float] = field(default_factory=dict)


def window(now: datetime, delay: timedelta) -> tuple[datetime, datetime]:
    """Return the latest window whose verdicts are all older than `delay`, the time for labels."""
    until = (now - delay).replace(microsecond=0)
    return until - WINDOW, until


def quality(
    items: Sequence[Chosen],
    asked: Asked,
    decided: int,
    agreed: float | None = None,
    counted: Sequence[AllTexts] = (),
) -> Quality:
    """Return the figures of a window of verdicts of one model.

    Args:
        items: all that were chosen for review among the verdicts of the window: a label belongs to
            the window of its verdict, whenever it was decided.
        asked: the window, and the minimum of its labels.
        decided: decisions that people made in the last period of the window's length.
        agreed: `opinions.agreement` of the items with several decisions.
        counted: all texts; empty: they are not known.
    """
    texts = _weighted(items)
    overall = _figures(texts, lambda one: one.flagged, None, asked, counted)
    names = sorted({name for one in items for name, _ in one.policies})
    policies = {name: _of_policy(texts, name, asked, counted) for name in names}
    days = (asked.until - asked.since) / timedelta(days=1)
    found = _quality(overall, asked, decided / days, agreed, policies)
    return replace(found, estimator="Difference" if counted else "Hajek")


def _of_policy(
    texts: Sequence[_Text], name: str, asked: Asked, counted: Sequence[AllTexts]
) -> Quality:
    """Return the figures of a policy, and the precision of each of its actions."""
    whole = _figures(
        texts, lambda one: any(n == name for n, _ in one.policies), (name, None), asked, counted
    )
    actions = {action for one in texts for n, action in one.chosen.policies if n == name}
    by_action = {
        action: _figures(texts, _has(name, action), (name, action), asked, counted).precision
        for action in sorted(actions)
    }
    return replace(_quality(whole, asked, 0.0, None, {}), actions=by_action)


Acted = Callable[[Chosen | AllTexts], bool]
"""Tells whether a figure covers a text."""


def _has(name: str, action: str) -> Acted:
    return lambda one: (name, action) in one.policies


def labelled(items: Sequence[Chosen]) -> list[Labelled]:
    """Return the labelled texts with their weights."""
    return list(_sums(_weighted(items)))


@dataclass(frozen=True, slots=True)
class _Text:
    """Items with the weight of each; without a label they only count as chosen."""

    chosen: Chosen
    weight: float


def _weighted(items: Sequence[Chosen]) -> list[_Text]:
    """Weight the items so that labelled ones represent those without a label.

    Within a queue (`_queue`), labelled items represent the others, because whether a text was
    decided in time does not depend on its content. A queue without any decision is represented by
    the other queues of its class; `done_enough` tells whether that is permitted.
    """
    chosen: defaultdict[_Queue, float] = defaultdict(float)
    done: defaultdict[_Queue, float] = defaultdict(float)
    for one in items:
        weight = one.times / one.probability
        chosen[_queue(one)] += weight
        done[_queue(one)] += weight if one.label is not None else 0.0
    whole: defaultdict[_Class, float] = defaultdict(float)
    begun: defaultdict[_Class, float] = defaultdict(float)
    for queue, weight in chosen.items():
        whole[queue[0]] += weight
        begun[queue[0]] += weight if done[queue] > 0 else 0.0

    def factor(one: Chosen) -> float:
        if one.label is None:
            return 1.0
        queue = _queue(one)
        return chosen[queue] / done[queue] * whole[queue[0]] / begun[queue[0]]

    return [_Text(one, factor(one) / one.probability) for one in items]


_Class = tuple[int, bool]
"""The magnitude of the probability of being chosen, and whether the texts are flagged."""
_Queue = tuple[_Class, tuple[tuple[str, str], ...], bool]
"""A class, policies and hold: texts that are decided in about the same order."""


def _class(one: Chosen) -> _Class:
    return floor(log2(one.probability) - 1e-9), one.flagged


def _queue(one: Chosen) -> _Queue:
    return _class(one), one.policies, one.held


@dataclass(frozen=True, slots=True)
class _Figures:
    precision: Estimate
    recall: Estimate
    reasons: tuple[str, ...]


def _figures(
    texts: Sequence[_Text],
    acted: Acted,
    group: Group,
    asked: Asked,
    counted: Sequence[AllTexts],
) -> _Figures:
    """Return precision and recall of the texts that `acted` selects."""
    ours = [one for one in texts if acted(one.chosen)]
    others = [one for one in texts if not acted(one.chosen)]
    flagged, passed = stratified(_sums(ours)), stratified(_sums(others))
    scarcest = asked.scarcest.get(group, 0.0)
    begun = {_queue(one.chosen) for one in texts if one.chosen.label is not None}
    undone = done_enough(_weight(ours), _left_out(ours, begun))
    no_precision = enough_for_precision(flagged, scarcest, asked.minimum) or undone
    no_recall = (
        enough_for_recall(flagged, passed, asked.minimum)
        or undone
        or seen_enough(_left_out(others, begun), total(flagged).positive + total(passed).positive)
    )
    totals = _totals(counted, acted) if counted else None
    right = precision(flagged, scarcest, totals and totals[0])
    found = recall(flagged, passed, totals)
    reasons = [
        f"{what} is unknown: {why}"
        for what, why in (("precision", no_precision), ("recall", no_recall))
        if why is not None
    ]
    return _Figures(
        _estimate(right, no_precision is None),
        _estimate(found, no_recall is None),
        tuple(reasons),
    )


def _weight(texts: Iterable[_Text]) -> float:
    """Estimate the number of texts from which these were chosen."""
    return sum(one.chosen.times / one.chosen.probability for one in texts)


def _left_out(texts: Iterable[_Text], begun: Collection[_Queue]) -> float:
    """Estimate the same for the texts in queues without any decision."""
    return _weight(one for one in texts if _queue(one.chosen) not in begun)


def _totals(counted: Sequence[AllTexts], acted: Acted) -> tuple[Total, Total]:
    """Return the totals of the texts that `acted` selects, and of all others."""
    found: list[Total] = []
    for side in (True, False):
        ones = [one for one in counted if acted(one) == side]
        texts, scores = sum(one.texts for one in ones), sum(one.scores for one in ones)
        found.append(Total(texts, scores))
    return found[0], found[1]


def _sums(texts: Iterable[_Text]) -> Iterable[Labelled]:
    for one in texts:
        if one.chosen.label is not None:
            yield Labelled(one.weight, one.chosen.label, one.chosen.score, one.chosen.times)


def _estimate(share: Share | None, is_known: bool) -> Estimate:
    if share is None:
        return Estimate(None, None, None, 0, 0.0)
    if not is_known:
        return Estimate(None, None, None, share.labels, share.effective)
    around = share.around
    return Estimate(around.value, around.low, around.high, share.labels, share.effective)


def _quality(
    figures: _Figures,
    asked: Asked,
    per_day: float,
    agreed: float | None,
    policies: dict[str, Quality],
) -> Quality:
    return Quality(
        since=asked.since,
        until=asked.until,
        precision=figures.precision,
        recall=figures.recall,
        reviewed_per_day=per_day,
        agreement=agreed,
        reason="; ".join(figures.reasons) or None,
        policies=policies,
    )
