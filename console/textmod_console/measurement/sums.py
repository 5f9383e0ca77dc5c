"""Sums over labelled texts: everything that the estimates need, whatever the number of labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log2
from typing import NamedTuple


class Labelled(NamedTuple):
    """Texts with a label, all alike."""

    weight: float
    """The texts that it stands for, at least 1: 1/p, times the share of chosen texts of its kind
    that have a label."""
    label: float
    """From 0 to 1: the share of the policy's label."""
    score: float | None = None
    """The model's probability of it, from 0 to 1; None: not known."""
    times: int = 1
    """How many such texts there are."""


@dataclass(slots=True)
class Stratum:
    """Sums over labelled texts of about the same weight, w each, with label y and score s."""

    labels: int = 0
    weight: float = 0.0
    """Σ w."""
    weight2: float = 0.0
    """Σ w²."""
    positive: float = 0.0
    """Σ w·y."""
    positive2: float = 0.0
    """Σ w²·y."""
    surplus: float = 0.0
    """Σ w·(y - s): by how much the labels exceed the scores."""
    residual: float = 0.0
    """Σ (w² - w)·(y - s)², an uncertain label taken as one of both sides."""
    unscored: int = 0
    """Labels without a score."""

    def add(self, one: Labelled) -> None:
        """Add texts."""
        weight, label, times = one.weight, one.label, one.times
        self.labels += times
        self.weight += times * weight
        self.weight2 += times * weight * weight
        self.positive += times * weight * label
        self.positive2 += times * weight * weight * label
        if one.score is None:
            self.unscored += times
            return
        away = label * (1 - one.score) ** 2 + (1 - label) * one.score**2
        self.surplus += times * weight * (label - one.score)
        self.residual += times * (weight * weight - weight) * away

    def __add__(self, other: Stratum) -> Stratum:
        """Return the sums over both."""
        return Stratum(
            self.labels + other.labels,
            self.weight + other.weight,
            self.weight2 + other.weight2,
            self.positive + other.positive,
            self.positive2 + other.positive2,
            self.surplus + other.surplus,
            self.residual + other.residual,
            self.unscored + other.unscored,
        )

    @property
    def effective(self) -> float:
        """Kish's effective sample size, (Σ w)² / Σ w²; 0 without labels."""
        return self.weight**2 / self.weight2 if self.labels else 0.0


def stratified(texts: Iterable[Labelled]) -> list[Stratum]:
    """Return the sums by weight, a stratum for each doubling of it."""
    strata: dict[int, Stratum] = {}
    for one in texts:
        strata.setdefault(floor(log2(one.weight) + 1e-9), Stratum()).add(one)
    return list(strata.values())


def total(strata: Iterable[Stratum]) -> Stratum:
    """Return the sums over all strata."""
    return sum(strata, Stratum())
