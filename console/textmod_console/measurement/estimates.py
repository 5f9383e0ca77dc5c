"""Precision and recall from weighted labels; docs/quality.md has the formulas and their sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from textmod_console.measurement.intervals import Interval, Mass, count, share_of, sum_of, wilson
from textmod_console.measurement.sums import Stratum, total

_MOST_GAIN: Final = 20.0
"""The scores are never taken to be worth more than this many times the labels."""
_LEAST_GAIN: Final = 0.1
_HEAVIER: Final = 2.0
"""Weights within this factor are of one kind."""


class Total(NamedTuple):
    """What is known of all texts of a kind, labelled or not."""

    texts: float
    scores: float
    """The sum of their scores."""


class Share(NamedTuple):
    """An estimated share with its 95 % interval."""

    around: Interval
    labels: int
    """The labels among which it is the share."""
    effective: float
    """The number of equally weighted labels that would say as much."""


def precision(
    flagged: Sequence[Stratum], scarcest: float = 0.0, known: Total | None = None
) -> Share | None:
    """Return the share of flagged texts that have the label; None without labels.

    Hájek's estimate Σwy / Σw. Its interval adds up, over the strata, Wilson's of the share in a
    stratum and the score interval of the stratum's size.

    Args:
        flagged: sums over the flagged texts that have a label.
        scarcest: the heaviest weight that a flagged text has had for long. Where no label here is
            as heavy, the interval allows for such texts that the sample has missed.
        known: of all flagged texts: then the difference estimator, the mean score of all of them
            and the labels' mean surplus over it. It has no bias however wrong the scores are.
    """
    whole = total(flagged)
    if whole.labels == 0:
        return None
    share = whole.positive / whole.weight
    shift, gain = 0.0, 1.0
    scored = known is not None and known.texts > 0 and whole.unscored == 0
    if known is not None and scored:
        shift = known.scores / known.texts + whole.surplus / whole.weight - share
        gain = _gain(flagged)
    value = min(max(share + shift, 0.0), 1.0)
    parts: list[tuple[float, Interval]] = []
    for one in flagged:
        inside = min(max(one.positive / one.weight, 0.0), 1.0)
        parts.append((one.weight / whole.weight, wilson(inside, one.effective * gain)))
        away, unit = inside - share, one.weight2 / one.weight
        if scored:  # the sample may be of another mix, which the scores tell; so may the window be
            parts.append((away / whole.weight, count(one.weight)))
            away = one.surplus / one.weight - whole.surplus / whole.weight
        parts.append((away * unit / whole.weight, count(one.effective)))
    if flagged and scarcest > _HEAVIER * max(one.weight2 / one.weight for one in flagged):
        unseen = count(0.0)
        parts += [(aside * scarcest / whole.weight, unseen) for aside in (1 - value, -value)]
    return Share(sum_of(value, parts), whole.labels, whole.effective * gain)


def recall(
    flagged: Sequence[Stratum],
    passed: Sequence[Stratum],
    known: tuple[Total, Total] | None = None,
) -> Share | None:
    """Return the share of texts with the label that are flagged; None without such a text.

    Args:
        flagged: sums over the flagged texts that have a label.
        passed: sums over the others.
        known: of all flagged texts and of all others: then the difference estimator.
    """
    found, missed = total(flagged), total(passed)
    scored = known is not None and found.unscored == 0 and missed.unscored == 0
    result = None
    if known is not None and scored:
        pair = _corrected(found, missed, known[0]), _corrected(missed, found, known[1])
        result = share_of(*pair)
    if result is None:
        result = share_of(_mass(found, missed), _mass(missed, found))
    if result is None:
        return None
    around, size = result
    return Share(around, found.labels + missed.labels, size)


def _mass(group: Stratum, other: Stratum) -> Mass:
    """The texts with the label in a group, by its labels alone.

    Where nothing of the group was seen, one of it would have weighed as much as those of the other.
    """
    if group.positive > 0:
        return Mass(group.positive, group.positive2 / group.positive)
    seen = group if group.labels else other
    return Mass(0.0, seen.weight2 / seen.weight if seen.labels else 1.0)


def _corrected(group: Stratum, other: Stratum, known: Total) -> Mass:
    """The same as the sum of all scores and the labels' surplus over them."""
    if group.labels == 0 or known.texts == 0:
        return _mass(group, other)
    mean = group.surplus / group.weight
    value = known.scores + mean * known.texts
    if value <= 0 or group.positive <= 0:  # too few labels with it to correct anything by
        return _mass(group, other)
    variance = max(0.0, group.residual - mean * mean * (group.weight2 - group.weight)) + value
    return Mass(value, variance / value)


def _gain(strata: Sequence[Stratum]) -> float:
    """How many times the labels' number the scores are worth: the variance without over with."""
    without = with_scores = 0.0
    for one in strata:
        share, mean = one.positive / one.weight, one.surplus / one.weight
        spread = share * (1 - share)
        without += one.weight2 * spread
        rest = one.residual - mean * mean * (one.weight2 - one.weight)
        with_scores += max(0.0, rest) + one.weight * spread
    if without <= 0 or with_scores <= 0:
        return 1.0
    return min(max(without / with_scores, _LEAST_GAIN), _MOST_GAIN)
