"""What a label's held-out scores say of a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final

MINIMUM_ROWS: Final = 50
"""Fewest held-out rows at or above a threshold that a precision is promised from. Fifty rows of
which none is wrong leave, at 95 % confidence, a precision of 0.94; ten leave 0.74."""


@dataclass(frozen=True)
class Expected:
    """What is expected at a threshold. All but `rows` are shares from 0 to 1, None where no row
    says it."""

    precision: float | None
    """Of the texts at or above it, those with the label."""
    recall: float | None
    """Of the texts with the label, those at or above it."""
    share: float | None
    """Of all texts, those at or above it."""
    rows: float
    """Held-out rows at or above it."""


@dataclass(frozen=True)
class Histogram:
    """Counts of rows by score, in bins of equal width from 0 to 1.

    Args:
        without: rows without the label, by bin.
        having: rows with the label, by bin. Counts may be weighted, so fractions.
    """

    without: tuple[float, ...]
    having: tuple[float, ...]

    @property
    def bins(self) -> int:
        return len(self.having)

    def threshold(self, edge: int) -> float:
        """The score at which a bin begins."""
        return edge / self.bins

    def edge(self, threshold: float) -> int:
        """The first bin of which every score is at or above a threshold."""
        return min(self.bins, math.ceil(threshold * self.bins - 1e-9))

    def at(self, edge: int) -> Expected:
        """What is expected of the texts in this bin and above."""
        with_label, rows = self._having_from[edge], self._rows_from[edge]
        all_with_label, all_rows = self._having_from[0], self._rows_from[0]
        return Expected(
            precision=with_label / rows if rows else None,
            recall=with_label / all_with_label if all_with_label else None,
            share=rows / all_rows if all_rows else None,
            rows=rows,
        )

    def between(self, low: int, high: int) -> float | None:
        """Share of all texts in the bins from `low` on and below `high`; None without rows."""
        total = self._rows_from[0]
        return max(0.0, self._rows_from[low] - self._rows_from[high]) / total if total else None

    def lowest_with_precision(self, asked: float) -> int | None:
        """The lowest bin from which on at least `asked` of the rows have the label, or None.

        It is the point estimate over all rows from there on, among bins with `MINIMUM_ROWS` rows:
        so it takes as many texts as the precision allows, and a lucky handful at the upper end
        promises nothing. A higher precision never has a lower threshold: what reaches it reaches
        the lower one too.
        """
        for edge in range(self.bins):
            expected = self.at(edge)
            if expected.rows < MINIMUM_ROWS:
                return None
            if expected.precision is not None and expected.precision >= asked:
                return edge
        return None

    def best(self) -> int | None:
        """The bin from which on precision is highest, the lowest of several; None without enough
        rows."""
        enough = [edge for edge in range(self.bins) if self.at(edge).rows >= MINIMUM_ROWS]
        return max(enough, key=lambda edge: (self.at(edge).precision or 0.0, -edge), default=None)

    def lowest_within(self, share: float, below: int) -> int:
        """The lowest bin for which at most `share` of all texts are in it or above it and below bin
        `below`.

        Where not even one row fits, the highest bin that has any: the budget is then kept by those
        who spend it.
        """
        total = self._rows_from[0]
        populated = [
            edge for edge in range(below) if self._rows_from[edge] > self._rows_from[below]
        ]
        if not total or not populated:
            return min(below, self.bins - 1)
        for edge in range(below):
            rows = self._rows_from[edge] - self._rows_from[below]
            if rows <= share * total:
                return edge if rows > 0 else populated[-1]
        return populated[-1]

    @cached_property
    def _rows_from(self) -> tuple[float, ...]:
        pairs = zip(self.without, self.having, strict=True)
        return _from_each(tuple(a + b for a, b in pairs))

    @cached_property
    def _having_from(self) -> tuple[float, ...]:
        return _from_each(self.having)


def _from_each(counts: tuple[float, ...]) -> tuple[float, ...]:
    """Of each bin the sum from it on; 0 after the last."""
    sums = list(accumulate(reversed(counts)))
    return (*reversed(sums), 0.0)
