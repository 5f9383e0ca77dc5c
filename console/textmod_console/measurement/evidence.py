"""What people's labels say of the scores: the histogram by which thresholds are corrected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, floor, log
from typing import Final

from textmod_console.measurement.sums import Labelled, Stratum, total

WIDTH: Final = 0.25
"""Of a bin, in units of the logit."""
_EDGE: Final = 1e-6
"""Scores nearer to 0 or 1 are taken as this far away: a logit of ± 13.8."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The texts of about one score, as their weights."""

    logit: float
    """The bin's left edge; it is `WIDTH` wide."""
    positive: float
    negative: float
    effective: float
    """Kish's effective sample size of these texts. Who is chosen depends on the score, so texts of
    one score weigh about the same, and hardly a label is lost here."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The labelled texts by score."""

    bins: tuple[Bin, ...]
    """Those with a text, by score."""
    labels: int
    effective: float
    """Kish's effective sample size."""


def centre(score: float) -> float:
    """Return the score in the middle of its bin: texts with the same can be counted together."""
    return 1 / (1 + exp(-(_place(score) + 0.5) * WIDTH))


def _place(score: float) -> int:
    inner = min(max(score, _EDGE), 1 - _EDGE)
    return floor(log(inner / (1 - inner)) / WIDTH)


def evidence(texts: Iterable[Labelled]) -> Evidence:
    """Return the histogram of texts that have a label; those without a score are left out."""
    sums: defaultdict[int, Stratum] = defaultdict(Stratum)
    for one in texts:
        if one.score is not None:
            sums[_place(one.score)].add(one)
    whole = total(sums.values())
    bins = tuple(
        Bin(place * WIDTH, one.positive, one.weight - one.positive, one.effective)
        for place, one in sorted(sums.items())
    )
    return Evidence(bins, whole.labels, whole.effective)
