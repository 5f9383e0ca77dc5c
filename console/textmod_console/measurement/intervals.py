"""95 % intervals of shares and counts, by the score method, and their combination over strata.

Wilson (1927) for a share; Agresti and Coull (1998) on why not Wald. Combination by MOVER, the
method of variance estimates recovery (Zou, Huang and Zhang 2009; Donner and Zou 2012).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import hypot, sqrt
from typing import Final, NamedTuple

Z: Final = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""


class Interval(NamedTuple):
    """A value between its limits."""

    value: float
    low: float
    high: float


def wilson(share: float, size: float) -> Interval:
    """Return the score interval of a share among `size` equally weighted labels.

    Args:
        share: from 0 to 1.
        size: more than 0; an effective size, so a fraction is fine.
    """
    square = Z * Z / size
    middle = (share + square / 2) / (1 + square)
    half = sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return Interval(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def count(seen: float) -> Interval:
    """Return the score interval of a Poisson mean of which `seen` were seen, 0 or more."""
    half = Z * sqrt(seen + Z * Z / 4)
    middle = seen + Z * Z / 2
    return Interval(seen, max(0.0, middle - half), middle + half)


def sum_of(value: float, parts: Iterable[tuple[float, Interval]]) -> Interval:
    """Return the interval of a sum of independent parts, each factor × interval, around `value`.

    The distances from each part's value to its limits are added in squares, side by side; a
    negative factor swaps the sides.
    """
    down = up = 0.0
    for factor, part in parts:
        to_low, to_high = factor * (part.value - part.low), factor * (part.high - part.value)
        if factor < 0:
            to_low, to_high = -to_high, -to_low
        down, up = hypot(down, to_low), hypot(up, to_high)
    return Interval(value, max(0.0, value - down), min(1.0, value + up))


class Mass(NamedTuple):
    """An estimate of how many texts there are of a kind."""

    total: float
    """0 or more."""
    unit: float
    """Texts for which one seen text stands: the estimate's variance divided by the estimate. Where
    none was seen, the mean of those of which one could have been seen."""


def share_of(part: Mass, rest: Mass) -> tuple[Interval, float] | None:
    """Return part / (part + rest) with its interval and effective size; None: both are empty.

    Both masses are taken as independent scaled Poisson counts. With the variance at the tested
    value r, the score test's (part - r·D)² ≤ z²·r(1-r)·K, where D = part + rest and
    K = part·rest.unit + rest·part.unit, is exactly Wilson's interval of an effective size D²/K. The
    value has the ratio's bias of second order removed: part·rest·(rest.unit - part.unit)/D³.
    """
    whole = part.total + rest.total
    if whole <= 0:
        return None
    spread = part.total * rest.unit + rest.total * part.unit
    size = whole * whole / spread
    ratio = part.total / whole
    bias = ratio * (rest.total / whole) * (rest.unit - part.unit) / whole
    around = wilson(ratio, size)
    value = min(max(ratio - bias, around.low), around.high)
    return Interval(value, around.low, around.high), size
