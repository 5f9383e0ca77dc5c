"""When there are too few labels to say anything, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textmod_console.measurement.sums import Stratum, total

UNITS: Final = 2
"""All flagged labels weigh as much as this many times the minimum of the scarcest kind; with fewer
the intervals are off, as bench/quality shows."""


POSITIVES: Final = 10
"""Fewest texts with the label, in units of one of the random sample: with fewer, whether recall is
0.2 or 1 is a matter of one text."""


def enough_for_precision(flagged: Sequence[Stratum], scarcest: float, minimum: int) -> str | None:
    """Return why precision is unknown, None if there are enough labels.

    Args:
        flagged: sums over the flagged texts that have a label.
        scarcest: the heaviest weight that a flagged text has had for long: a kind of text that only
            a thin sample shows may be missing from this window, and the others must weigh so much
            that this makes no difference. 0: no flagged text was chosen.
        minimum: fewest labels.
    """
    whole = total(flagged)
    if whole.labels < minimum:
        return f"there are {whole.labels} labels of flagged texts, and it takes {minimum}"
    if scarcest <= 0:
        return None
    units = whole.weight / scarcest
    mixed = scarcest > 2 * min(one.weight / one.labels for one in flagged)
    if units < (UNITS if mixed else 1) * minimum:
        return (
            "review.sample shows too few of the flagged texts that no policy sends to review: the "
            f"{whole.labels} labels weigh as much as {units:.0f} of these, and it takes "
            f"{UNITS * minimum if mixed else minimum}"
        )
    return None


def enough_for_recall(
    flagged: Sequence[Stratum], passed: Sequence[Stratum], minimum: int
) -> str | None:
    """Return why recall is unknown, None if there are enough labels.

    Args:
        flagged: sums over the flagged texts that have a label.
        passed: sums over the others.
        minimum: fewest labels of texts that were not flagged.
    """
    found, missed = total(flagged), total(passed)
    if missed.labels < minimum:
        return f"there are {missed.labels} labels of texts not flagged, and it takes {minimum}"
    units = (found.positive + missed.positive) * missed.weight / missed.weight2
    if units >= POSITIVES:
        return None
    return (
        f"the texts with the label that were found weigh as much as {units:.3g} of the random "
        f"sample, and it takes {POSITIVES}"
    )


UNDONE: Final = 0.05
"""Most of the flagged texts, by weight, that may be in a queue of which none was decided."""
UNSEEN: Final = 0.1
"""Most of the texts that were not flagged and are in such a queue, of all texts with the label:
recall is off by no more, even if each of them has the label."""


def done_enough(whole: float, undone: float) -> str | None:
    """Return why nothing can be said, None if decisions are missing only here and there.

    Args:
        whole: the flagged texts, by weight.
        undone: those of them in queues of which nothing was decided.
    """
    if undone <= UNDONE * whole:
        return None
    return "the reviews that policies asked for have not been decided"


def seen_enough(undone: float, positive: float) -> str | None:
    """Return why recall is unknown, None if hardly a text with the label can have been left out.

    Args:
        undone: the texts not flagged, by weight, in queues of which nothing was decided.
        positive: all texts with the label that were found, by weight.
    """
    if undone <= UNSEEN * positive:
        return None
    return "reviews of texts that are not flagged by it have not been decided"
