"""What arrives: one hour of messages per partition and second, and what goes wrong meanwhile.

A trace is drawn for a number of partitions from a seed: the same arguments give the same trace.
Rates are messages a second; one replica reads about 100 of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SECONDS = 3600


@dataclass(frozen=True)
class Trace:
    """`arrivals[t, p]` messages arrive on partition p in second t."""

    name: str
    arrivals: Floats
    unknown: tuple[tuple[int, int], ...] = ()
    """[from, until) in which the lag can't be read."""
    deaths: tuple[int, ...] = ()
    """Seconds at which one consumer stops without leaving its group."""
    seed: int = field(default=0)
    speed: Floats | None = None
    """Every consumer's speed by second, beside its usual one (1): texts are not always as long."""


def _time() -> Floats:
    return np.arange(SECONDS, dtype=np.float64)


def _steady(_: np.random.Generator) -> Floats:
    return np.full(SECONDS, 420.0)


def _diurnal(_: np.random.Generator) -> Floats:
    return 450 - 370 * np.cos(2 * np.pi * _time() / SECONDS)


def _step(_: np.random.Generator) -> Floats:
    return np.where(_time() < 1200, 85.0, 850.0)


def _spike(_: np.random.Generator) -> Floats:
    rate = np.full(SECONDS, 300.0)
    rate[900:1020] = 1000
    rate[2400:2430] = 1100
    return rate


def _sawtooth(_: np.random.Generator) -> Floats:
    return 100 + 750 * (_time() % 600) / 600


def _ramp(_: np.random.Generator) -> Floats:
    return 60 + 800 * _time() / SECONDS


def _on_off(_: np.random.Generator) -> Floats:
    return np.where((_time() // 300) % 2 == 1, 800.0, 20.0)


def _backfill(_: np.random.Generator) -> Floats:
    rate = np.full(SECONDS, 150.0)
    rate[600:620] += 1_000_000 / 20
    return rate


def _constant(rate: float) -> Callable[[np.random.Generator], Floats]:
    return lambda _: np.full(SECONDS, rate)


def _random(rng: np.random.Generator) -> Floats:
    """Pieces of one to ten minutes, each level, sloped or a burst, under slow noise."""
    rate = np.empty(SECONDS)
    at, level = 0, rng.uniform(50, 600)
    while at < SECONDS:
        length = int(rng.uniform(60, 600))
        kind = rng.choice(["level", "slope", "burst"], p=[0.45, 0.4, 0.15])
        target = float(np.exp(rng.uniform(np.log(30), np.log(850))))
        if kind == "burst":
            length, piece = int(rng.uniform(15, 120)), target
            rate[at : at + length] = max(piece, level)
        elif kind == "slope":
            part = rate[at : at + length]
            part[:] = np.linspace(level, target, length)[: len(part)]
            level = target
        else:
            rate[at : at + length] = target
            level = target
        at += length
    wave = np.cumsum(rng.normal(0, 0.01, SECONDS))
    wave = np.clip(wave - np.linspace(0, wave[-1], SECONDS), -0.2, 0.2)
    return rate * (1 + wave)


RATES: dict[str, Callable[[np.random.Generator], Floats]] = {
    "steady": _steady,
    "diurnal": _diurnal,
    "step": _step,
    "spike": _spike,
    "sawtooth": _sawtooth,
    "ramp": _ramp,
    "on_off": _on_off,
    "backfill": _backfill,
    "dead_consumer": _constant(400.0),
    "hot_partition": _constant(400.0),
}
NAMED = tuple(RATES)
RANDOM = tuple(f"random_{n}" for n in range(1, 7))
ALL = NAMED + RANDOM


def trace(name: str, partitions: int) -> Trace:
    """The trace of this name: one of `NAMED`, or `random_<seed>` for any seed."""
    seed = int(name.removeprefix("random_")) if name.startswith("random_") else NAMED.index(name)
    rng = np.random.default_rng([seed, 1 if name.startswith("random_") else 0])
    rate = RATES.get(name, _random)(rng)
    unknown: tuple[tuple[int, int], ...] = ()
    if name not in RATES:
        start = int(rng.uniform(600, 3200))
        unknown = ((start, start + int(rng.uniform(20, 180))),)
    elif name == "dead_consumer":
        rate[2500:] = 60  # falls while nothing can be read: what looks like 0 must not be taken so
        unknown = ((2400, 2700),)

    weights = rng.lognormal(0, 0.1, partitions)
    share = np.tile(weights / weights.sum(), (SECONDS, 1))
    if name == "hot_partition":
        for start, end, part in ((1200, 2100, 0.32), (2400, 3300, 0.15)):
            share[start:end, 1:] *= (1 - part) / share[start:end, 1:].sum(1, keepdims=True)
            share[start:end, 0] = part
    arrivals = rng.poisson(rate[:, None] * share).astype(np.float64)
    return Trace(name, arrivals, unknown, (1200,) if name == "dead_consumer" else (), seed)
