"""Coverage of the intervals and bias of the values, over the months of a world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.quality.worlds import Month, Months, World
from textmod_console.measurement.estimates import Share, precision, recall
from textmod_console.measurement.minimum import enough_for_precision, enough_for_recall

MINIMUM: Final = 50
Estimator = Callable[[Month], Share | None]


@dataclass(frozen=True)
class Figure:
    """How one estimate does in one world."""

    world: str
    estimate: str
    truth: float
    known: float
    """Share of the months in which it is known."""
    coverage: float
    """Share of those whose interval holds the truth."""
    bias: float
    """Mean value over the truth, less 1."""
    half: float
    """Median half width."""
    labels: float
    """Median number of labels that it is of."""
    reviewed: float
    """Median number of all labels of a month."""


def _estimators() -> dict[str, Estimator]:
    def overall(month: Month) -> Share | None:
        enough = enough_for_precision(month.flagged, month.scarcest, MINIMUM)
        return precision(month.flagged, month.scarcest) if enough is None else None

    def overall_corrected(month: Month) -> Share | None:
        enough = enough_for_precision(month.flagged, month.scarcest, MINIMUM)
        return precision(month.flagged, month.scarcest, month.known[0]) if enough is None else None

    def removed(month: Month) -> Share | None:
        enough = enough_for_precision(month.removed, month.scarcest, MINIMUM)
        return precision(month.removed, month.scarcest) if enough is None else None

    def found(month: Month) -> Share | None:
        enough = enough_for_recall(month.flagged, month.passed, MINIMUM)
        return recall(month.flagged, month.passed) if enough is None else None

    def found_corrected(month: Month) -> Share | None:
        enough = enough_for_recall(month.flagged, month.passed, MINIMUM)
        return recall(month.flagged, month.passed, month.known) if enough is None else None

    return {
        "precision": overall,
        "precision, difference": overall_corrected,
        "precision of one policy": removed,
        "recall": found,
        "recall, difference": found_corrected,
    }


def simulate(world: World, months: int, seed: int) -> Iterator[Figure]:
    """Yield the figures of each estimate; those that are never known are left out."""
    drawn = Months(world, months, np.random.default_rng(seed))
    truths = {"recall": drawn.truth.recall, "precision of one policy": drawn.truth.removed}
    found: dict[str, list[Share]] = {}
    estimators = _estimators()
    reviewed = []
    for month in drawn:
        reviewed.append(sum(one.labels for one in (*month.flagged, *month.passed)))
        for name, estimator in estimators.items():
            if (share := estimator(month)) is not None:
                found.setdefault(name, []).append(share)
    for name, shares in found.items():
        truth = truths.get(name.removesuffix(", difference"), drawn.truth.precision)
        inside = [share.around.low <= truth <= share.around.high for share in shares]
        yield Figure(
            world=world.name,
            estimate=name,
            truth=truth,
            known=len(shares) / months,
            coverage=sum(inside) / len(inside),
            bias=float(np.mean([share.around.value for share in shares]) / truth - 1),
            half=float(np.median([(s.around.high - s.around.low) / 2 for s in shares])),
            labels=float(np.median([share.labels for share in shares])),
            reviewed=float(np.median(reviewed)),
        )
