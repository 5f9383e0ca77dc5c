"""People's decisions by a model's scores, and the histogram corrected by them.

The artifact's held-out scores say how likely the label is at each score, and the stream may have
drifted from them. How likely it is at one score does not depend on which texts were chosen, so the
labels of each score speak for themselves. A straight line in the logit, added to what the artifact
has at each score, is fitted to them (Platt 1999, with an offset) and shifts the odds of each bin. A
normal prior holds it near 0, so that few labels move little. Why so:
decisions/2026-11-27-feedback-corrects-thresholds.md.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from textmod_operator.api.rules import invalid
from textmod_operator.policies.histogram import Histogram

LEVEL_DEVIATION: Final = 0.7
"""Standard deviation of the prior on the line's level, in units of the logit: odds of half or twice
the artifact's are nothing unusual."""
SLOPE_DEVIATION: Final = 0.25
"""Of the prior on its slope."""
NEAR: Final = 0.15
"""Standard deviation, in units of the logit, of the kernel that rows of about a score are weighed
with, up to three of them away."""
LINE_ROWS: Final = 2.0
"""How many rows the line through all of the artifact's counts for at each score."""
MOST_SHIFT: Final = 4.0
"""Odds are never shifted by more than this in the logit, where there may be no labels."""
_STEPS: Final = 50
_SMALL: Final = 1e-9


class Point(NamedTuple):
    """Texts of about one score."""

    logit: float
    positive: float
    negative: float


@dataclass(frozen=True)
class LabelEvidence:
    """The decisions about one label."""

    labels: int
    points: tuple[Point, ...]
    """By score, in labels that weigh the same."""


@dataclass(frozen=True)
class Evidence:
    """The decisions about one model's scores."""

    model: str
    """The digest of the model."""
    labels: tuple[tuple[str, LabelEvidence], ...]

    def of(self, model: str, label: str) -> LabelEvidence | None:
        """Return what is known of a label of this model; None: nothing."""
        return dict(self.labels).get(label) if model == self.model else None


@dataclass(frozen=True)
class Feedback:
    """What is known of people's decisions about the object's texts."""

    minimum: int
    """Fewest labels that a threshold moves for."""
    evidence: Evidence | None
    """None: the console has not reported."""


@lru_cache(maxsize=256)  # asked in every pass, and the same until there are new decisions
def corrected(histogram: Histogram, evidence: LabelEvidence) -> Histogram:
    """Return the histogram with the odds of each bin as the decisions have them.

    The texts with the label are made more or fewer, as if the stream had more or less of them; the
    others stay.
    """
    own = [
        Point(_logit((place + 0.5) / histogram.bins), having, without)
        for place, (without, having) in enumerate(
            zip(histogram.without, histogram.having, strict=True)
        )
    ]
    expected = _expected(own, [point.logit for point in evidence.points])
    level, slope = _line(evidence.points, expected, (LEVEL_DEVIATION, SLOPE_DEVIATION))
    having = tuple(
        point.positive * exp(min(max(level + slope * point.logit, -MOST_SHIFT), MOST_SHIFT))
        for point in own
    )
    return Histogram(histogram.without, having)


def _expected(own: Sequence[Point], logits: Iterable[float]) -> list[float]:
    """Return the log odds of the label that the artifact has at each of these scores.

    A line is fitted to all of its rows and corrected, at each score, by how the rows near that
    score differ from it. `LINE_ROWS` rows as the line predicts them count everywhere, so that the
    line alone decides where the artifact has no rows.
    """
    level, slope = _line(own, [0.0] * len(own), (100.0, 100.0))
    shares = [_probability(level + slope * point.logit) for point in own]
    places = [point.logit for point in own]
    found = []
    for logit in logits:
        share = _probability(level + slope * logit)
        positive = by_line = LINE_ROWS * share
        negative = without_by_line = LINE_ROWS * (1 - share)
        first, end = bisect(places, logit - 3 * NEAR), bisect(places, logit + 3 * NEAR)
        for point, expected in zip(own[first:end], shares[first:end], strict=True):
            weight = exp(-(((point.logit - logit) / NEAR) ** 2) / 2)
            rows = weight * (point.positive + point.negative)
            positive, by_line = positive + weight * point.positive, by_line + rows * expected
            negative += weight * point.negative
            without_by_line += rows * (1 - expected)
        differs = log(positive / by_line) - log(negative / without_by_line)
        found.append(level + slope * logit + differs)
    return found


def _line(
    points: Sequence[Point], offsets: Sequence[float], deviations: tuple[float, float]
) -> tuple[float, float]:
    """Level and slope that, added to the offsets, make the points likeliest, by Newton's method.

    The prior is normal around 0, of these deviations. The objective is convex; a step that does not
    better it is halved.
    """
    level = slope = 0.0
    for _ in range(_STEPS):
        gradient, curve = _derivatives(points, offsets, level, slope, deviations)
        determinant = curve[0] * curve[2] - curve[1] * curve[1]
        steps = (
            (curve[2] * gradient[0] - curve[1] * gradient[1]) / determinant,
            (curve[0] * gradient[1] - curve[1] * gradient[0]) / determinant,
        )
        here = _objective(points, offsets, level, slope, deviations)
        scale = 1.0
        while scale > _SMALL:
            there = level - scale * steps[0], slope - scale * steps[1]
            if _objective(points, offsets, *there, deviations) <= here:
                break
            scale /= 2
        level, slope = there
        if max(abs(step) for step in steps) * scale < _SMALL:
            break
    return level, slope


def _objective(
    points: Iterable[Point],
    offsets: Iterable[float],
    level: float,
    slope: float,
    deviations: tuple[float, float],
) -> float:
    cost = ((level / deviations[0]) ** 2 + (slope / deviations[1]) ** 2) / 2
    for point, offset in zip(points, offsets, strict=True):
        at = offset + level + slope * point.logit
        cost += point.positive * _softplus(-at) + point.negative * _softplus(at)
    return cost


def _derivatives(
    points: Iterable[Point],
    offsets: Iterable[float],
    level: float,
    slope: float,
    deviations: tuple[float, float],
) -> tuple[tuple[float, float], tuple[float, float, float]]:
    """Gradient, and the three entries of the symmetric second derivative."""
    firmness = deviations[0] ** -2, deviations[1] ** -2
    g0, g1 = level * firmness[0], slope * firmness[1]
    h0, h1, h2 = firmness[0], 0.0, firmness[1]
    for point, offset in zip(points, offsets, strict=True):
        share = _probability(offset + level + slope * point.logit)
        count = point.positive + point.negative
        off, spread = count * share - point.positive, count * share * (1 - share)
        g0, g1 = g0 + off, g1 + off * point.logit
        h0, h1, h2 = (
            h0 + spread,
            h1 + spread * point.logit,
            h2 + spread * point.logit * point.logit,
        )
    return (g0, g1), (h0, h1, h2)


def _softplus(value: float) -> float:
    return value + log(1 + exp(-value)) if value > 0 else log(1 + exp(value))


def _probability(logit: float) -> float:
    if logit >= 0:
        return 1 / (1 + exp(-logit))
    return exp(logit) / (1 + exp(logit))


def _logit(score: float) -> float:
    return log(score / (1 - score))


# --- what the console answers ---------------------------------------------------------------------

_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Bin(BaseModel):
    logit: float = Field(ge=-50, le=50, allow_inf_nan=False)
    positive: _Weight
    negative: _Weight
    effective: _Weight


class _Label(BaseModel):
    labels: int = Field(ge=0)
    bins: list[_Bin] = Field(default_factory=list, max_length=1000)


class _Document(BaseModel):
    """The fields that are read here; others are passed over."""

    model: str | None = None
    width: float = Field(default=0.25, gt=0, le=10, allow_inf_nan=False)
    labels: dict[str, _Label] = Field(default_factory=dict, max_length=1000)


def evidence_of(document: Any) -> Evidence | None:  # noqa: ANN401 - any JSON value
    """Read the answer of a console's /evidence; None: nothing was decided yet.

    Raises:
        ValueError: it is not such an answer.
    """
    try:
        read = _Document.model_validate(document)
    except ValidationError as error:
        raise invalid(error) from error
    if read.model is None:
        return None
    labels = tuple(
        (name, LabelEvidence(one.labels, tuple(_points(one.bins, read.width / 2))))
        for name, one in sorted(read.labels.items())
    )
    return Evidence(read.model, labels)


def _points(bins: Iterable[_Bin], to_middle: float) -> Iterable[Point]:
    for one in bins:
        weight = one.positive + one.negative
        if weight > 0:
            scale = one.effective / weight
            yield Point(one.logit + to_middle, one.positive * scale, one.negative * scale)
