"""What a family of streams draws, and what families draw it with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autoscaling.traces import SECONDS, Floats

Rng = np.random.Generator


@dataclass(frozen=True)
class Drawn:
    """One stream before it is dealt to partitions. Rates in messages/s, by second."""

    rate: Floats
    hot: tuple[tuple[int, int, float], ...] = ()
    """(from, until, part): so much of the rate is on one partition then."""
    speed: Floats | None = None
    """See `Trace.speed`."""
    unknown: tuple[tuple[int, int], ...] = ()
    deaths: tuple[int, ...] = ()


Family = Callable[[Rng, float], Drawn]


def time() -> Floats:
    return np.arange(SECONDS, dtype=np.float64)


def log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def ar(rng: Rng, seconds: float, spread: float) -> Floats:
    """A correlated wave around 0: correlation time, standard deviation."""
    keep = np.exp(-1 / seconds)
    noise = rng.standard_normal(SECONDS) * np.sqrt(1 - keep**2)
    wave = np.empty(SECONDS)
    level = float(rng.standard_normal())
    for i, step in enumerate(noise.tolist()):
        level = keep * level + step
        wave[i] = level
    return spread * wave
