"""Worlds whose precision and recall are known, and months of review in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from textmod_console.measurement import Total
from textmod_console.measurement.sums import Stratum

BINS: Final = 200
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """A stream, a model, policies and how much is reviewed.

    The true logit of a text is normally distributed, with a mean that makes the prevalence right.
    Texts that score `remove` or more are removed and seen by the random sample alone; those between
    `review` and `remove` are reviewed, or `thinned` of them.
    """

    name: str
    prevalence: float
    texts: int
    """A month."""
    sample: float
    remove: float
    review: float
    thinned: float = 1.0
    spread: float = 2.5
    """Standard deviation of the true logit."""
    slope: float = 1.0
    """The score's logit is slope × the true logit + shift; 1 and 0: calibrated."""
    shift: float = 0.0
    answered: float = 1.0
    """Share of the reviews asked for by policies that are done in time."""

    def bins(self) -> tuple[Floats, Floats, Floats]:
        """Of each score: its share of texts, true probability and score."""
        logits = np.linspace(-16.0, 12.0, BINS)
        truth = 1 / (1 + np.exp(-logits))
        low, high = -25.0, 12.0
        for _ in range(60):
            mean = (low + high) / 2
            share = np.exp(-0.5 * ((logits - mean) / self.spread) ** 2)
            share /= share.sum()
            low, high = (mean, high) if share @ truth < self.prevalence else (low, mean)
        return share, truth, 1 / (1 + np.exp(-(self.slope * logits + self.shift)))


@dataclass(frozen=True)
class Month:
    """What the console knows after a month."""

    flagged: list[Stratum]
    passed: list[Stratum]
    removed: list[Stratum]
    """Those that are removed: one policy's own precision."""
    known: tuple[Total, Total]
    """Scores of all flagged texts, and of all others."""
    scarcest: float
    """The weight of a flagged text that only the sample can show, else of any other."""


@dataclass(frozen=True)
class Truth:
    """What the estimates are of."""

    precision: float
    removed: float
    recall: float


class Months:
    """Simulated months of one world, drawn all at once."""

    def __init__(self, world: World, months: int, random: np.random.Generator) -> None:
        share, probability, self._score = world.bins()
        removed = self._score >= world.remove
        reviewed = (self._score >= world.review) & ~removed
        flagged = removed | reviewed
        positive = share * probability
        self.truth = Truth(
            float(positive[flagged].sum() / share[flagged].sum()),
            float(positive[removed].sum() / share[removed].sum()) if removed.any() else np.nan,
            float(positive[flagged].sum() / positive.sum()),
        )
        asked = np.where(reviewed, max(world.thinned, world.sample), world.sample)
        counts = random.poisson(world.texts * share, size=(months, BINS))
        chosen = random.binomial(counts, asked)
        labels = random.binomial(chosen, np.where(reviewed, world.answered, 1.0))
        positives = random.binomial(labels, probability)
        sure = np.ones((months, 1))
        # Weights as the console makes them: 1/p, times chosen over labelled.
        done = labels[:, reviewed].sum(axis=1, keepdims=True)
        late = chosen[:, reviewed].sum(axis=1, keepdims=True) / np.maximum(done, 1)
        factor = np.where(reviewed, np.maximum(late, 1.0), sure)
        weights = factor / asked
        self._kinds = {"removed": removed, "reviewed": reviewed, "passed": ~flagged}
        self._sums = {
            kind: self._summed(labels, positives, weights, where)
            for kind, where in self._kinds.items()
        }
        scores = counts * self._score
        self._texts = {k: counts[:, where].sum(axis=1) for k, where in self._kinds.items()}
        self._scores = {k: scores[:, where].sum(axis=1) for k, where in self._kinds.items()}
        some = float((weights[:, reviewed].max(axis=1) if reviewed.any() else np.zeros(1))[0])
        self._scarcest = 1 / world.sample if removed.any() else some
        self._months = months

    def _summed(
        self,
        labels: npt.NDArray[np.int64],
        positives: npt.NDArray[np.int64],
        weights: Floats,
        where: npt.NDArray[np.bool_],
    ) -> Floats:
        weight, score = weights[:, where], self._score[where]
        seen, found = labels[:, where], positives[:, where]
        off = found * (1 - score) ** 2 + (seen - found) * score**2
        columns = (
            seen,
            seen * weight,
            seen * weight**2,
            found * weight,
            found * weight**2,
            (found - seen * score) * weight,
            off * (weight**2 - weight),
        )
        return np.stack([column.sum(axis=1) for column in columns], axis=1)

    def __iter__(self) -> Iterator[Month]:
        for month in range(self._months):
            strata = {kind: _strata(sums[month]) for kind, sums in self._sums.items()}
            texts = {kind: int(values[month]) for kind, values in self._texts.items()}
            scores = {kind: float(values[month]) for kind, values in self._scores.items()}
            flagged = Total(
                texts["removed"] + texts["reviewed"], scores["removed"] + scores["reviewed"]
            )
            yield Month(
                flagged=[*strata["removed"], *strata["reviewed"]],
                passed=strata["passed"],
                removed=strata["removed"],
                known=(flagged, Total(texts["passed"], scores["passed"])),
                scarcest=self._scarcest,
            )


def _strata(sums: Floats) -> list[Stratum]:
    if sums[0] == 0:
        return []
    return [Stratum(int(sums[0]), *(float(one) for one in sums[1:]))]


WORLDS: Final = (
    World("prevalence 30 %, 5 % sampled", 0.30, 20_000, 0.05, 0.9, 0.6, spread=2),
    World("prevalence 30 %", 0.30, 200_000, 0.005, 0.8, 0.5, spread=2),
    World("prevalence 10 %", 0.10, 500_000, 0.005, 0.8, 0.4, spread=2),
    World("scores too high", 0.10, 1_000_000, 0.005, 0.8, 0.4, 0.2, spread=2, slope=1.4, shift=0.5),
    World("scores too flat", 0.10, 500_000, 0.005, 0.8, 0.5, 0.1, spread=2, slope=0.6, shift=0.5),
    World("0.1 % sampled", 0.05, 5_000_000, 0.001, 0.8, 0.3),
    World("thinned to a fifth", 0.05, 2_000_000, 0.005, 0.9, 0.5, 0.2),
    World("scores too sharp", 0.05, 1_000_000, 0.01, 0.8, 0.4, 0.2, slope=1.6, shift=-0.5),
    World("prevalence 0.5 %, 2 % sampled", 0.005, 4_000_000, 0.02, 0.8, 0.3, spread=3),
    World("prevalence 0.5 %, 5 % sampled", 0.005, 1_000_000, 0.05, 0.8, 0.3, spread=3),
    World("prevalence 0.5 %, 0.1 % sampled", 0.005, 60_000_000, 0.001, 0.9, 0.3, spread=3),
    World("scores far too high", 0.02, 1_000_000, 0.005, 0.9, 0.3, 0.1, spread=3, shift=1),
    World(
        "scores far too low", 0.02, 4_000_000, 0.01, 0.7, 0.3, 0.1, spread=3, slope=0.7, shift=-1
    ),
    World("reviews of the sample alone", 0.10, 200_000, 0.05, 0.7, 0.7, spread=2),
    World("a third of the queue undone", 0.10, 500_000, 0.01, 0.8, 0.3, spread=2, answered=0.66),
    World("reviews only", 0.05, 500_000, 0.005, 1.1, 0.4),
    World("much removed, 1 % sampled", 0.20, 1_000_000, 0.01, 0.6, 0.5, spread=2),
    World("too few to say", 0.005, 20_000_000, 0.001, 0.9, 0.3, spread=3),
)
