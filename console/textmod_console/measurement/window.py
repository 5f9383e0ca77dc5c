"""The figures of one window of verdicts, from the items that were chosen for review in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import floor, log2
from typing import Final

from textmod_console.measurement.estimates import Share, Total, precision, recall
from textmod_console.measurement.minimum import (
    done_enough,
    enough_for_precision,
    enough_for_recall,
)
from textmod_console.measurement.opinions import HUMAN, Opinion, agreement, label_of
from textmod_console.measurement.sums import Labelled, stratified
from textmod_console.measurement.values import Estimate, Quality

WINDOW: Final = timedelta(days=7)
MEMORY: Final = 12
"""Windows, this one included, over which the scarcest weight is remembered."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One item that was chosen for review."""

    item: str
    at: datetime
    """Of its verdict."""
    probability: float
    """Of having been chosen at all, more than 0 and at most 1."""
    flagged: bool
    policies: tuple[str, ...] = ()
    """The names of the policies that acted on it."""
    score: float | None = None
    """The probability of the label that decided."""
    opinions: tuple[Opinion, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of all texts of the window, where somebody counts them."""

    flagged: Total
    passed: Total


@dataclass(frozen=True, slots=True)
class Asked:
    """What a window is judged by.

    Args:
        since: the first moment of the window.
        until: the first moment after it; at least the labels' delay ago.
        minimum: fewest labels that anything is said from.
        scarcest: by policy, None for all: the heaviest weight that a flagged text has had in the
            last `MEMORY` windows, 1/p.
        kinds: whose decisions count. Automation's never do.
    """

    since: datetime
    until: datetime
    minimum: int
    scarcest: dict[str | None, float] = field(default_factory=dict)
    kinds: Collection[str] = HUMAN


def window(now: datetime, delay: timedelta) -> tuple[datetime, datetime]:
    """Return the window that can be judged now: its verdicts have waited for their labels."""
    until = (now - delay).replace(microsecond=0)
    return until - WINDOW, until


def quality(
    items: Iterable[Chosen], asked: Asked, decided: int, known: Known | None = None
) -> Quality:
    """Return what is known of the window.

    Args:
        items: all that were chosen for review, by the time of their verdict; those outside the
            window are passed over.
        asked: the window, and what it is judged by.
        decided: decisions that people made in as much time as the window has, up to now.
        known: of all texts; None: not counted.
    """
    inside = [one for one in items if asked.since <= one.at < asked.until]
    texts = _labelled(inside, asked)
    names = sorted({name for one in inside for name in one.policies})
    overall = _figures(texts, lambda one: one.flagged, None, asked, known)
    policies = {
        name: _quality(_figures(texts, _of_policy(name), name, asked, None), asked, 0.0, None, {})
        for name in names
    }
    days = (asked.until - asked.since) / timedelta(days=1)
    agreed = agreement([one.opinions for one in inside])
    return _quality(overall, asked, decided / days, agreed, policies)


def labelled(items: Iterable[Chosen], asked: Asked) -> list[Labelled]:
    """Return the labelled texts of the window with their weights."""
    inside = [one for one in items if asked.since <= one.at < asked.until]
    return list(_sums(_labelled(inside, asked)))


@dataclass(frozen=True, slots=True)
class _Text:
    """An item and what it stands for; without a label it only counts as chosen."""

    chosen: Chosen
    label: float | None
    weight: float


def _of_policy(name: str) -> Callable[[Chosen], bool]:
    return lambda one: name in one.policies


def _labelled(items: Sequence[Chosen], asked: Asked) -> list[_Text]:
    """The items with their labels, and weights that make up for those without.

    Within a class, items of about one probability and one verdict, those with a label stand for
    those without: whether somebody came to look does not depend on what the text says.
    """
    kinds = set(asked.kinds) - {"Automation"}
    labels = [label_of(one.opinions, kinds) for one in items]
    chosen: defaultdict[tuple[int, bool], float] = defaultdict(float)
    done: defaultdict[tuple[int, bool], float] = defaultdict(float)
    for one, label in zip(items, labels, strict=True):
        chosen[_class(one)] += 1 / one.probability
        if label is not None:
            done[_class(one)] += 1 / one.probability
    return [
        _Text(one, label, chosen[_class(one)] / done[_class(one)] / one.probability)
        if label is not None
        else _Text(one, None, 1 / one.probability)
        for one, label in zip(items, labels, strict=True)
    ]


def _class(one: Chosen) -> tuple[int, bool]:
    return floor(log2(one.probability) - 1e-9), one.flagged


@dataclass(frozen=True, slots=True)
class _Figures:
    precision: Estimate
    recall: Estimate
    reasons: tuple[str, ...]


def _figures(
    texts: Sequence[_Text],
    acted: Callable[[Chosen], bool],
    name: str | None,
    asked: Asked,
    known: Known | None,
) -> _Figures:
    """Precision of what `acted` says, and recall of it."""
    flagged = stratified(_sums(one for one in texts if acted(one.chosen)))
    passed = stratified(_sums(one for one in texts if not acted(one.chosen)))
    scarcest = asked.scarcest.get(name, 0.0)
    undone = done_enough(
        [(one.weight, one.label is not None) for one in texts if acted(one.chosen)],
        [_class(one.chosen) for one in texts if acted(one.chosen)],
    )
    no_precision = enough_for_precision(flagged, scarcest, asked.minimum) or undone
    no_recall = enough_for_recall(flagged, passed, asked.minimum) or undone
    totals = (known.flagged, known.passed) if known is not None else None
    right = precision(flagged, scarcest, known.flagged if known else None)
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


def _sums(texts: Iterable[_Text]) -> Iterable[Labelled]:
    for one in texts:
        if one.label is not None:
            yield Labelled(one.weight, one.label, one.chosen.score)


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
