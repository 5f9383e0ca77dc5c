"""Eight shapes as issue and incident reports describe them, at the rates given there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autoscaling.drawn import Rng, time
from autoscaling.traces import SECONDS, Floats


def _shape_viral() -> Floats:
    """Quiet, then a minute's rise to 1,000/s, which is halved every five minutes."""
    since = time() - 600
    grown = 60 + 940 * np.clip(since / 60, 0, 1) * 0.5 ** (np.maximum(0, since - 60) / 300)
    return np.where(since < 0, 60.0, grown)


def _shape_sources() -> Floats:
    """40 sources of 22/s, on and off for times with a tail of 1.4."""
    return _sources_at(np.random.default_rng(14), 40, 22.0, 1.4)


def _sources_at(rng: Rng, count: int, each: float, tail: float) -> Floats:
    rate = np.zeros(SECONDS)
    for _ in range(count):
        at, on = -int(rng.uniform(0, 100)), bool(rng.integers(2))
        while at < SECONDS:
            length = max(1, int(min(1800.0, 15 * (1 + rng.pareto(tail)))))
            if on and at + length > 0:
                rate[max(0, at) : at + length] += each
            at, on = at + length, not on
    return rate


def _shape_minute() -> Floats:
    """9,000 messages in two seconds, once a minute."""
    return np.where(time() % 60 < 2, 4500.0, 2.0)


def _shape_outage() -> Floats:
    """250/s; nothing for five minutes; then three times as much until all of it has come."""
    rate = np.full(SECONDS, 250.0)
    rate[1200:1500] = 0
    rate[1500:1650] = 750
    return rate


def _shape_stairs() -> Floats:
    """100 to 900/s, five minutes a step, and down again faster."""
    up, down = np.repeat(np.arange(1, 10) * 100.0, 300), np.repeat(np.arange(9, 0, -1) * 100.0, 100)
    return np.concatenate([up, down])


def _shape_peaks() -> Floats:
    """100/s, with 800/s for two minutes and for five."""
    rate = np.full(SECONDS, 100.0)
    rate[900:1020] = 800
    rate[2100:2400] = 800
    return rate


def _shape_flips() -> Floats:
    """100 and 700/s, in turn, 45 s each."""
    return np.where(time() // 45 % 2 == 1, 700.0, 100.0)


def _shape_trickle() -> Floats:
    """8/s; every ten minutes or so 400 messages within five seconds."""
    rate = np.full(SECONDS, 8.0)
    for at in (400, 1130, 1700, 2450, 3100):
        rate[at : at + 5] += 80
    return rate


SHAPES: dict[str, Callable[[], Floats]] = {
    "viral": _shape_viral,
    "heavy-tailed sources": _shape_sources,
    "once a minute 9,000": _shape_minute,
    "outage": _shape_outage,
    "staircase": _shape_stairs,
    "two peaks": _shape_peaks,
    "flips every 45 s": _shape_flips,
    "trickle": _shape_trickle,
}
