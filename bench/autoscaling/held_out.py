"""Families held out: no constant of the law was chosen on them.

They were written before the law's change of 2026-11-28. `TEST` of `streams` has been reported on so
often that changes of the law are made with its results in mind.
"""

from __future__ import annotations

import numpy as np

from autoscaling.drawn import Drawn, Family, Rng, ar, log_uniform, time
from autoscaling.traces import SECONDS


def _encyclopedia(rng: Rng, height: float) -> Drawn:
    """Page views of an encyclopedia, a day in an hour: a deep night, an evening's peak, and some
    news that one article is read for: up within a minute or two, down by a power of time."""
    phase = 2 * np.pi * (time() / SECONDS + rng.uniform())
    usual = 0.55 - 0.35 * np.cos(phase) - 0.1 * np.cos(2 * phase + rng.uniform(-0.5, 0.5))
    rate = 0.6 * height * usual * np.exp(ar(rng, 30, 0.05))
    hot: list[tuple[int, int, float]] = []
    for at in sorted(rng.integers(100, 3200, int(rng.integers(1, 4))).tolist()):
        since = np.maximum(0.0, time() - at)
        shape = np.minimum(1.0, since / rng.uniform(20, 120)) / (1 + since / rng.uniform(60, 400))
        news = height * rng.uniform(0.1, 0.5) * shape
        rate += news
        if rng.uniform() < 0.4 and (not hot or at > hot[-1][1]):
            hot.append((at, min(SECONDS, at + 240), float(rng.uniform(0.06, 0.2))))
    return Drawn(np.minimum(rate, 1.2 * height), hot=tuple(hot))


def _zipf(rng: Rng, height: float) -> Drawn:
    """Keys by a power law: the largest is on one partition all the time, now and then larger."""
    part = float(rng.uniform(0.06, 0.16))
    hot = tuple(
        (at, at + 300, part * float(rng.uniform(0.7, 1.6))) for at in range(0, SECONDS, 300)
    )
    return Drawn(height * 0.45 * np.exp(ar(rng, 600, 0.25)), hot=hot)


def _retries(rng: Rng, height: float) -> Drawn:
    """Clients that try again: a rate that is doubled and trebled for a while, and falls at once."""
    usual = height / rng.uniform(2.5, 4)
    rate = np.full(SECONDS, usual)
    for at in rng.integers(200, 3300, int(rng.integers(2, 6))):
        length = int(log_uniform(rng, 20, 240))
        rate[at : at + length] = (
            usual * np.linspace(1, rng.uniform(2, 3), length)[: len(rate[at : at + length])]
        )
    return Drawn(rate)


def _zones(rng: Rng, height: float) -> Drawn:
    """Three parts of the world that wake one after another."""
    rate = np.zeros(SECONDS)
    for n in range(3):
        phase = 2 * np.pi * (time() / SECONDS - n / 3 - rng.uniform(0, 0.2))
        rate += rng.uniform(0.3, 1) * np.maximum(0.05, np.cos(phase))
    return Drawn(height * 0.85 * rate / rate.max() * np.exp(ar(rng, 20, 0.08)))


def _import(rng: Rng, height: float) -> Drawn:
    """A steady stream beside imports that each last for minutes at a rate of their own."""
    rate = np.full(SECONDS, height * rng.uniform(0.05, 0.3))
    at = int(rng.uniform(100, 600))
    while at < SECONDS:
        length = int(log_uniform(rng, 60, 900))
        rate[at : at + length] += height * rng.uniform(0.2, 0.7)
        at += length + int(log_uniform(rng, 60, 900))
    return Drawn(rate)


def _walk(rng: Rng, height: float) -> Drawn:
    """A random walk of the logarithm, with jumps."""
    steps = 0.012 * rng.standard_normal(SECONDS)
    jumps = np.where(rng.uniform(size=SECONDS) < 1 / 500, rng.normal(0, 0.7, SECONDS), 0.0)
    wave = np.cumsum(steps + jumps)
    wave -= wave.max()
    return Drawn(height * np.exp(np.maximum(wave, np.log(0.02))))


HELD_OUT: dict[str, Family] = {
    "encyclopedia": _encyclopedia,
    "zipf keys": _zipf,
    "retries": _retries,
    "time zones": _zones,
    "imports": _import,
    "random walk": _walk,
}
