"""Unseen streams: families of arrival patterns with parameters, drawn from a seed.

A family is a function of a generator and of a height, in messages a second; its parameters
(periods, tails, correlations, lengths) are drawn. The same arguments give the same stream. Three
sets are kept apart:

- `TRAIN`: what constants of the law may be chosen on;
- `TEST`: other families, run only to report;
- `SHAPES`: eight shapes as issue and incident reports describe them, at the rates given there.

Heights are drawn so that their logarithm is uniform: from a trickle that one replica hardly notices
to what nearly all the replicas read that a world allows; with replicas that read 25 to 400 messages
a second, four decades.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autoscaling.simulator import World
from autoscaling.traces import SECONDS, Floats, Trace

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
TRAIN_PLACES = (
    _place(24, 8, 30, None),
    _place(30, 25, 45, 15, 200.0),
    _place(20, 4, 12, None, 50.0),
    _place(32, 45, 150, 16),
    _place(28, 6, 10, None, 80.0),
    _place(40, 2, 18, 24, 40.0),
    _place(18, 12, 15, None, 150.0),
)


def _time() -> Floats:
    return np.arange(SECONDS, dtype=np.float64)


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _ar(rng: Rng, seconds: float, spread: float) -> Floats:
    """A correlated wave around 0: correlation time, standard deviation."""
    keep = np.exp(-1 / seconds)
    noise = rng.standard_normal(SECONDS) * np.sqrt(1 - keep**2)
    wave = np.empty(SECONDS)
    level = float(rng.standard_normal())
    for i, step in enumerate(noise.tolist()):
        level = keep * level + step
        wave[i] = level
    return spread * wave


# --- Families to choose constants on ------------------------------------------------------------


def _pieces(rng: Rng, height: float) -> Drawn:
    """Levels and slopes of one to ten minutes."""
    rate, at, level = np.empty(SECONDS), 0, height * rng.uniform(0.1, 0.6)
    while at < SECONDS:
        length = int(rng.uniform(60, 600))
        target = height * _log_uniform(rng, 0.05, 1)
        slope = rng.uniform() < 0.5
        part = rate[at : at + length]
        part[:] = np.linspace(level, target, length)[: len(part)] if slope else target
        level, at = target, at + length
    return Drawn(rate)


def _sine(rng: Rng, height: float) -> Drawn:
    period, depth = _log_uniform(rng, 180, 3600), rng.uniform(0.5, 0.95)
    wave = np.sin(2 * np.pi * (_time() / period + rng.uniform()))
    return Drawn(height * (1 - depth / 2 + depth / 2 * wave))


def _square(rng: Rng, height: float) -> Drawn:
    """On and off, by the clock."""
    period, duty = _log_uniform(rng, 60, 1500), rng.uniform(0.2, 0.7)
    on = (_time() / period + rng.uniform()) % 1 < duty
    return Drawn(height * np.where(on, 1.0, rng.uniform(0.02, 0.3)))


def _jobs(rng: Rng, height: float) -> Drawn:
    """A job that sends all at once, by the clock."""
    period, length = _log_uniform(rng, 30, 600), int(rng.uniform(1, 12))
    on = (_time() + int(rng.uniform(0, period))) % int(period) < length
    usual = height * rng.uniform(0.02, 0.2)
    each = height * rng.uniform(0.1, 0.6) * period / length
    return Drawn(usual + np.where(on, each, 0.0))


def _markov(rng: Rng, height: float) -> Drawn:
    """Jumps between three levels at random times."""
    stay = _log_uniform(rng, 40, 600)
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
        rate[at : at + length] += height * _log_uniform(rng, 2, 40) / length
    return Drawn(rate)


TRAIN: dict[str, Family] = {
    "pieces": _pieces,
    "sine": _sine,
    "square": _square,
    "jobs": _jobs,
    "markov": _markov,
    "batches": _batches,
}


# --- Families to report on ----------------------------------------------------------------------


def _viral(rng: Rng, height: float) -> Drawn:
    """Threads that go viral and decay by a power of time."""
    usual = height * rng.uniform(0.03, 0.3)
    rate = np.full(SECONDS, usual)
    for at in rng.integers(300, 3000, int(rng.integers(1, 4))):
        since = np.maximum(0.0, _time() - at)
        grown = 1 - np.exp(-since / rng.uniform(10, 120))
        fall = (1 + since / rng.uniform(120, 600)) ** -rng.uniform(1, 2.5)
        rate += np.where(_time() > at, (height - usual) * rng.uniform(0.3, 1) * grown * fall, 0)
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
    rate = np.full(SECONDS, usual) * np.exp(_ar(rng, 300, 0.1))
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
    return Drawn(height * way[(_time() * len(way) / SECONDS).astype(np.int64)])


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
    wave = _ar(rng, _log_uniform(rng, 120, 1500), rng.uniform(0.3, 0.8))
    wave += _ar(rng, _log_uniform(rng, 5, 60), rng.uniform(0.05, 0.3))
    return Drawn(np.minimum(0.35 * height * np.exp(wave), 1.2 * height))


def _day(rng: Rng, height: float) -> Drawn:
    """A day in an hour: two humps, noise, a dip at noon."""
    phase = 2 * np.pi * (_time() / SECONDS + rng.uniform())
    wave = 1 - 0.7 * np.cos(phase) + rng.uniform(0.1, 0.4) * np.sin(2 * phase + rng.uniform(0, 6))
    wave = np.maximum(0.05, wave) * np.exp(_ar(rng, 60, rng.uniform(0.02, 0.12)))
    return Drawn(height * wave / wave.max())


def _campaign(rng: Rng, height: float) -> Drawn:
    """Mailings: a jump at a round time and an exponential decay, again and again."""
    every, fall = float(rng.choice([300, 600, 900, 1200])), rng.uniform(30, 240)
    since = (_time() - rng.uniform(0, every)) % every
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
    rate = height * 0.5 * np.exp(_ar(rng, 400, 0.2))
    hot, at = [], int(rng.uniform(200, 900))
    while at < 3300:
        length = int(rng.uniform(120, 600))
        hot.append((at, at + length, float(rng.uniform(0.08, 0.3))))
        at += length + int(rng.uniform(120, 900))
    return Drawn(rate, hot=tuple(hot))


def _length(rng: Rng, height: float) -> Drawn:
    """Texts whose length drifts, and with it the speed of a replica."""
    speed = np.exp(_ar(rng, _log_uniform(rng, 300, 1800), rng.uniform(0.1, 0.3)))
    rate = height * 0.5 * (1 + rng.uniform(0, 0.6) * np.sin(_time() / rng.uniform(60, 600)))
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


# --- The eight shapes ---------------------------------------------------------------------------


def _shape_viral() -> Floats:
    """Quiet, then a minute's rise to 1,000/s, which is halved every five minutes."""
    since = _time() - 600
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
    return np.where(_time() % 60 < 2, 4500.0, 2.0)


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
    return np.where(_time() // 45 % 2 == 1, 700.0, 100.0)


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


# --- Traces -------------------------------------------------------------------------------------


def stream(kind: str, family: str, seed: int, place: Place) -> Trace:
    """The stream of a family as it comes to a place.

    Args:
        kind: `train`, `test` or `shape`.
        seed: of the parameters (a shape has none: it only deals to partitions by it).
    """
    rng = np.random.default_rng([seed, zlib.crc32(f"{kind} {family}".encode())])
    if kind == "shape":
        drawn = Drawn(SHAPES[family]())
    else:
        # As a part of what the place allows, so that the same stream is as large everywhere.
        height = place.most * _log_uniform(rng, 0.02, 0.85)
        drawn = (TRAIN if kind == "train" else TEST)[family](rng, height)
    weights = rng.lognormal(0, 0.1, place.partitions)
    share = np.tile(weights / weights.sum(), (SECONDS, 1))
    for start, end, part in drawn.hot:
        share[start:end, 1:] *= (1 - part) / share[start:end, 1:].sum(1, keepdims=True)
        share[start:end, 0] = part
    arrivals = rng.poisson(drawn.rate[:, None] * share).astype(np.float64)
    return Trace(
        f"{kind} {family} {seed}", arrivals, drawn.unknown, drawn.deaths, seed, drawn.speed
    )
