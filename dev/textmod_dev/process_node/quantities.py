"""Kubernetes' quantities, such as 250m and 64Mi, as numbers."""

from __future__ import annotations

import math
from decimal import Decimal

_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


def parse(quantity: str | float) -> Decimal:
    """``"250m"`` → 0.25, ``"64Mi"`` → 67108864.

    Raises:
        decimal.InvalidOperation: not a quantity.
    """
    text = str(quantity)
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if text.endswith(suffix):
            return Decimal(text.removesuffix(suffix)) * _SUFFIXES[suffix]
    return Decimal(text)


def divided(quantity: str | float, divisor: str | float) -> str:
    """What a ``resourceFieldRef`` gives: the quantity in units of `divisor`, rounded up."""
    by = parse(divisor)
    return str(math.ceil(parse(quantity) / (by or Decimal(1))))
