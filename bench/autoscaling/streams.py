"""Unseen streams: families of arrival patterns with parameters, drawn from a seed.

A family is a function of a generator and of a height, in messages a second; its parameters
(periods, tails, correlations, lengths) are drawn. The same arguments give the same stream. Four
sets are kept apart:

- `TRAIN`: what constants of the law may be chosen on;
- `TEST`: other families, run only to report;
- `HELD_OUT`: families and places that were run once, after the law's last change;
- `SHAPES`: eight shapes as issue and incident reports describe them, at the rates given there.

Heights are drawn so that their logarithm is uniform: from a trickle that one replica hardly notices
to what nearly all the replicas read that a world allows; with replicas that read 25 to 400 messages
a second, four decades.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from autoscaling import held_out
from autoscaling.drawn import Drawn, Family, Rng, ar, log_uniform, time
from autoscaling.shapes import SHAPES
from autoscaling.simulator import World
from autoscaling.traces import SECONDS, Trace


@dataclass(frozen=True)
class Place:
    """A world, and the partitions of its topic."""

    name: str
    partitions: int
    world: World

    @property
    def most(self) -> float:
        """Messages a second that its largest size reads."""
        return self.world.rate * min(self.world.maximum or self.partitions, self.partitions)


def _place(
    partitions: int, start: float, promise: float, maximum: int | None, rate: float = 100.0
) -> Place:
    name = f"{partitions} partitions, start {start:g} s, promise {promise:g} s"
    world = World(start, promise=promise, maximum=maximum, rate=rate)
    return Place(name, partitions, world)


SHAPE_PLACES = (
    _place(12, 5, 30, None),
    _place(24, 20, 60, 16),
    _place(48, 40, 120, 20),
    _place(24, 5, 10, None),
)
TEST_PLACES = (*SHAPE_PLACES, _place(16, 30, 30, 12, 400.0), _place(36, 3, 20, 18, 25.0))
HELD_OUT_PLACES = (
    _place(20, 4, 15, None, 60.0),
    _place(32, 10, 25, 20),
    _place(12, 30, 60, None, 300.0),
    _place(60, 6, 45, 30, 50.0),
    _place(16, 3, 8, None),
    _place(27, 50, 40, 14, 150.0),
)
TRAIN_PLACES = (
    _place(24, 8, 30, None),
    _place(30, 25, 45, 15, 200.0),
    _place(20, 4, 12, None, 50.0),
    _place(32, 45, 150, 16),
    _place(28, 6, 10, None, 80.0),
    _place(40, 2, 18, 24, 40.0),
    _place(18, 12, 15, None, 150.0),
)


# --- Families to choose constants on ------------------------------------------------------------


def _pieces(rng: Rng, height: float) -> Drawn:
    """Levels and slopes of one to ten minutes."""
    rate, at, level = np.empty(SECONDS), 0, height * rng.uniform(0.1, 0.6)
    while at < SECONDS:
        length = int(rng.uniform(60, 600))
        target = height * log_uniform(rng, 0.05, 1)
        slope = rng.uniform() < 0.5
        part = rate[at : at + length]
        part[:] = np.linspace(level, target, length)[: len(part)] if slope else target
        level, at = target, at + length
    return Drawn(rate)


def _sine(rng: Rng, height: float) -> Drawn:
    period, depth = log_uniform(rng, 180, 3600), rng.uniform(0.5, 0.95)
    wave = np.sin(2 * np.pi * (time() / period + rng.uniform()))
    return Drawn(height * (1 - depth / 2 + depth / 2 * wave))


def _square(rng: Rng, height: float) -> Drawn:
    """On and off, by the clock."""
    period, duty = log_uniform(rng, 60, 1500), rng.uniform(0.2, 0.7)
    on = (time() / period + rng.uniform()) % 1 < duty
    return Drawn(height * np.where(on, 1.0, rng.uniform(0.02, 0.3)))


def _jobs(rng: Rng, height: float) -> Drawn:
    """A job that sends all at once, by the clock."""
    period, length = log_uniform(rng, 30, 600), int(rng.uniform(1, 12))
    on = (time() + int(rng.uniform(0, period))) % int(period) < length
    usual = height * rng.uniform(0.02, 0.2)
    each = height * rng.uniform(0.1, 0.6) * period / length
    return Drawn(usual + np.where(on, each, 0.0))


def _markov(rng: Rng, height: float) -> Drawn:
    """Jumps between three levels at random times."""
    stay = log_uniform(rng, 40, 600)
    levels = height * np.array([rng.uniform(0.02, 0.2), rng.uniform(0.2, 0.6), 1.0])
    jumps = rng.uniform(size=SECONDS) < 1 / stay
    now, states = 0, np.empty(SECONDS, dtype=np.int64)
    for i in range(SECONDS):
        now = int(rng.integers(3)) if jumps[i] else now
        states[i] = now
    return Drawn(levels[states])


def _batches(rng: Rng, height: float) -> Drawn:
    """A steady stream, and batches at random times."""
    rate = np.full(SECONDS, height * rng.uniform(0.1, 0.8))
    for at in rng.integers(0, SECONDS, int(rng.uniform(3, 25))):
        length = int(rng.uniform(1, 60))
        rate[at : at + length] += height * log_uniform(rng, 2, 40) / length
    return Drawn(rate)


def _skew(rng: Rng, height: float) -> Drawn:
    """Two to four keys in turn, each hot for half a minute to a quarter of an hour."""
    rate = height * rng.uniform(0.3, 0.8) * np.exp(ar(rng, 200, 0.1))
    hot, at = [], int(rng.uniform(100, 600))
    for _ in range(int(rng.integers(2, 5))):
        length = int(log_uniform(rng, 30, 900))
        hot.append((at, at + length, log_uniform(rng, 0.06, 0.35)))
        at += length + int(log_uniform(rng, 60, 900))
    return Drawn(rate, hot=tuple(hot))


TRAIN: dict[str, Family] = {
    "pieces": _pieces,
    "sine": _sine,
    "square": _square,
    "jobs": _jobs,
    "markov": _markov,
    "batches": _batches,
    "skew": _skew,
}


# --- Families to report on ----------------------------------------------------------------------


def _viral(rng: Rng, height: float) -> Drawn:
    """Threads that go viral and decay by a power of time."""
    usual = height * rng.uniform(0.03, 0.3)
    rate = np.full(SECONDS, usual)
    for at in rng.integers(300, 3000, int(rng.integers(1, 4))):
        since = np.maximum(0.0, time() - at)
        grown = 1 - np.exp(-since / rng.uniform(10, 120))
        fall = (1 + since / rng.uniform(120, 600)) ** -rng.uniform(1, 2.5)
        rate += np.where(time() > at, (height - usual) * rng.uniform(0.3, 1) * grown * fall, 0)
    return Drawn(np.minimum(rate, height))


def _sources(rng: Rng, height: float) -> Drawn:
    """Sources that are on and off for heavy-tailed times, added up."""
    count, tail = int(rng.uniform(8, 60)), rng.uniform(1.1, 1.9)
    rate = np.zeros(SECONDS)
    for _ in range(count):
        at, on = -int(rng.uniform(0, 200)), bool(rng.integers(2))
        while at < SECONDS:
            length = int(min(1800.0, 10 * (1 + rng.pareto(tail))))
            if on and at + length > 0:
                rate[max(0, at) : at + length] += 1
            at, on = at + max(1, length), not on
    return Drawn(height * rate / count * 1.3)


def _outage(rng: Rng, height: float) -> Drawn:
    """A producer that stops, and then sends what gathered, faster than usual."""
    usual, times = height / (factor := rng.uniform(2, 5)), factor
    rate = np.full(SECONDS, usual) * np.exp(ar(rng, 300, 0.1))
    at, length = int(rng.uniform(400, 2000)), int(rng.uniform(30, 500))
    rate[at : at + length] = 0
    back = int(length / (times - 1))
    rate[at + length : at + length + back] = usual * times
    unknown = ((at, at + length // 2),) if rng.uniform() < 0.3 else ()
    return Drawn(rate, unknown=unknown)


def _stairs(rng: Rng, height: float) -> Drawn:
    count = int(rng.integers(3, 10))
    up = np.linspace(rng.uniform(0.03, 0.3), 1, count)
    way = [up, np.concatenate([up, up[::-1]]), up[::-1]][int(rng.integers(3))]
    return Drawn(height * way[(time() * len(way) / SECONDS).astype(np.int64)])


def _peaks(rng: Rng, height: float) -> Drawn:
    """A few peaks of one to eight minutes on a quiet stream."""
    rate = np.full(SECONDS, height * rng.uniform(0.05, 0.35))
    for at in rng.integers(200, 3200, int(rng.integers(1, 5))):
        rate[at : at + int(rng.uniform(60, 480))] = height * rng.uniform(0.5, 1)
    return Drawn(rate)


def _hawkes(rng: Rng, height: float) -> Drawn:
    """Conversations: messages that call for more."""
    branching, decay = rng.uniform(0.5, 0.9), rng.uniform(20, 200)
    usual, scale = height * 0.35 * (1 - branching), height / rng.uniform(15, 60)
    rate, excited = np.empty(SECONDS), 0.35 * height * branching
    for i in range(SECONDS):
        rate[i] = min(usual + excited, 1.2 * height)
        sparks = rng.poisson(rate[i] / scale) * scale
        excited = excited * (1 - 1 / decay) + branching * sparks / decay
    return Drawn(rate)


def _lognormal(rng: Rng, height: float) -> Drawn:
    """Slow and fast correlated noise, in proportion."""
    wave = ar(rng, log_uniform(rng, 120, 1500), rng.uniform(0.3, 0.8))
    wave += ar(rng, log_uniform(rng, 5, 60), rng.uniform(0.05, 0.3))
    return Drawn(np.minimum(0.35 * height * np.exp(wave), 1.2 * height))


def _day(rng: Rng, height: float) -> Drawn:
    """A day in an hour: two humps, noise, a dip at noon."""
    phase = 2 * np.pi * (time() / SECONDS + rng.uniform())
    wave = 1 - 0.7 * np.cos(phase) + rng.uniform(0.1, 0.4) * np.sin(2 * phase + rng.uniform(0, 6))
    wave = np.maximum(0.05, wave) * np.exp(ar(rng, 60, rng.uniform(0.02, 0.12)))
    return Drawn(height * wave / wave.max())


def _campaign(rng: Rng, height: float) -> Drawn:
    """Mailings: a jump at a round time and an exponential decay, again and again."""
    every, fall = float(rng.choice([300, 600, 900, 1200])), rng.uniform(30, 240)
    since = (time() - rng.uniform(0, every)) % every
    low = rng.uniform(0.05, 0.3)
    return Drawn(height * (low + (1 - low) * np.exp(-since / fall)))


def _trickle(rng: Rng, height: float) -> Drawn:
    """Little, and rare bursts."""
    usual = height * rng.uniform(0.02, 0.1)
    rate = np.full(SECONDS, usual)
    for at in rng.integers(100, 3500, int(rng.integers(2, 7))):
        length = int(rng.uniform(1, 20))
        rate[at : at + length] += height * rng.uniform(1, 10) / length
    return Drawn(rate)


def _hot_keys(rng: Rng, height: float) -> Drawn:
    """Keys that are hot for some minutes, within what one replica reads or beyond."""
    rate = height * 0.5 * np.exp(ar(rng, 400, 0.2))
    hot, at = [], int(rng.uniform(200, 900))
    while at < 3300:
        length = int(rng.uniform(120, 600))
        hot.append((at, at + length, float(rng.uniform(0.08, 0.3))))
        at += length + int(rng.uniform(120, 900))
    return Drawn(rate, hot=tuple(hot))


def _length(rng: Rng, height: float) -> Drawn:
    """Texts whose length drifts, and with it the speed of a replica."""
    speed = np.exp(ar(rng, log_uniform(rng, 300, 1800), rng.uniform(0.1, 0.3)))
    rate = height * 0.5 * (1 + rng.uniform(0, 0.6) * np.sin(time() / rng.uniform(60, 600)))
    deaths = (int(rng.uniform(600, 3000)),) if rng.uniform() < 0.3 else ()
    return Drawn(rate, speed=np.clip(speed, 0.5, 1.8), deaths=deaths)


TEST: dict[str, Family] = {
    "viral": _viral,
    "sources": _sources,
    "outage": _outage,
    "stairs": _stairs,
    "peaks": _peaks,
    "hawkes": _hawkes,
    "lognormal": _lognormal,
    "day": _day,
    "campaign": _campaign,
    "trickle": _trickle,
    "hot keys": _hot_keys,
    "text length": _length,
}


FAMILIES = {"train": TRAIN, "test": TEST, "held-out": held_out.HELD_OUT}


# --- Traces -------------------------------------------------------------------------------------


def stream(kind: str, family: str, seed: int, place: Place) -> Trace:
    """The stream of a family as it comes to a place.

    Args:
        kind: `train`, `test`, `held-out` or `shape`.
        seed: of the parameters (a shape has none: it only deals to partitions by it).
    """
    rng = np.random.default_rng([seed, zlib.crc32(f"{kind} {family}".encode())])
    if kind == "shape":
        drawn = Drawn(SHAPES[family]())
    else:
        # As a part of what the place allows, so that the same stream is as large everywhere.
        height = place.most * log_uniform(rng, 0.02, 0.85)
        drawn = FAMILIES[kind][family](rng, height)
    weights = rng.lognormal(0, 0.1, place.partitions)
    share = np.tile(weights / weights.sum(), (SECONDS, 1))
    for start, end, part in drawn.hot:
        share[start:end, 1:] *= (1 - part) / share[start:end, 1:].sum(1, keepdims=True)
        share[start:end, 0] = part
    arrivals = rng.poisson(drawn.rate[:, None] * share).astype(np.float64)
    return Trace(
        f"{kind} {family} {seed}", arrivals, drawn.unknown, drawn.deaths, seed, drawn.speed
    )
