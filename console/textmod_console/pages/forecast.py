"""What another threshold would have changed over the last day. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One bar of the histogram, in units of the drawing (400 × 100)."""

    x: float
    y: float
    width: float
    height: float
    flagged: bool
    texts: float


@dataclass(frozen=True)
class Forecast:
    """Estimated numbers of texts of one day."""

    texts: float
    now: float
    then: float

    @property
    def sentence(self) -> str:
        """Return the change in one sentence."""
        if self.texts == 0:
            return "Unknown: there are no scores of the last 24 hours."
        change = round(self.then) - round(self.now)
        if change == 0:
            said = "nothing would change"
        else:
            noun = "text" if abs(change) == 1 else "texts"
            said = f"{abs(change):,} {'more' if change > 0 else 'fewer'} {noun} a day"
        return (
            f"Of about {round(self.texts):,} texts of the last 24 hours {round(self.now):,} reach "
            f"the first threshold and {round(self.then):,} would reach the second: {said}."
        )


def forecast(counts: Sequence[float], now: float, then: float) -> Forecast:
    """Compare two thresholds (0..1); `counts[i]` is the number of scores in [i/n, (i+1)/n)."""
    return Forecast(sum(counts), reached(counts, now), reached(counts, then))


def reached(counts: Sequence[float], threshold: float) -> float:
    """Return how many scores reach a threshold; within its bin they count as evenly spread."""
    bins = len(counts)
    place = min(max(threshold, 0.0), 1.0) * bins
    at = int(place)
    if at >= bins:
        return 0.0
    return counts[at] * (1 - (place - at)) + sum(counts[at + 1 :])


def bars(counts: Sequence[float], threshold: float) -> list[Bar]:
    """Return the drawing; heights grow with the square root, so that rare scores are seen."""
    highest = max(counts, default=0.0)
    width = 400 / max(1, len(counts))
    found = []
    for index, texts in enumerate(counts):
        height = 0.0 if highest == 0 else 100 * (texts / highest) ** 0.5
        flagged = (index + 0.5) / len(counts) >= threshold
        found.append(
            Bar(
                round(index * width, 2), round(100 - height, 2), round(width - 1, 2),
                round(height, 2), flagged, texts,
            )
        )  # fmt: skip
    return found
