"""From a threshold of one score to that of another which flags as many texts. Pure, but for `read`.

Both scores were recorded for the same texts. The new threshold is the quantile of the new score at
which as many texts are flagged as by the old threshold, so a higher old threshold never has a lower
new one. Where the two scores disagree about a text, chance decided on which side it fell, so the
number flagged is uncertain by the square root of the number of such texts (as in McNemar's test).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textmod_model.training import files
from textmod_model.training.files import DatasetError, printable

Floats = NDArray[np.float64]

FEW = 30
"""With fewer texts at the old threshold the new one is a guess."""

_Z = 1.96  # 95 %


@dataclass(frozen=True)
class Pairs:
    """Two scores of each of several texts, from 0 to 1."""

    old: Floats
    new: Floats
    blank: int = 0
    """Lines that lack one of the scores."""


@dataclass(frozen=True)
class Mapped:
    """A threshold of the old score, and what it becomes."""

    old: float
    new: float | None
    """None: no text reached the old threshold, so nothing is known."""
    low: float
    """With `high`, a range that holds the right threshold in 95 of 100 such recordings."""
    high: float
    flagged_before: int
    flagged_after: int
    dropped: int
    """Texts that were flagged and no longer are."""
    added: int
    """Texts that were not flagged and are now."""

    @property
    def hint(self) -> str:
        """How much the figure can be trusted, in a sentence; "" for well enough."""
        if self.new is None:
            return f"no text reached {self.old:g}: record for longer"
        if self.flagged_before < FEW:
            return f"only {self.flagged_before} texts reached {self.old:g}: record for longer"
        if self.dropped + self.added > self.flagged_before:
            return "the two scores disagree about most of these texts: read some before you decide"
        return ""


def mapped(pairs: Pairs, old: float) -> Mapped:
    """Map one threshold."""
    before = pairs.old >= old
    count = int(before.sum())
    if count == 0:
        return Mapped(old, None, 0.0, 1.0, 0, 0, 0, 0)
    falling = np.sort(pairs.new)[::-1]
    new = _cut(falling, count)
    after = pairs.new >= new
    dropped, added = int((before & ~after).sum()), int((after & ~before).sum())
    off = math.ceil(_Z * math.sqrt(max(dropped + added, 1)))
    low, high = _cut(falling, count + off), _cut(falling, count - off)
    return Mapped(old, new, low, high, count, int(after.sum()), dropped, added)


def _cut(falling: Floats, count: int) -> float:
    """Return a threshold that `count` scores reach, or as near to it as equal ones allow."""
    if count <= 0:
        return 1.0
    if count >= len(falling):
        return float(falling[-1])
    at, below = falling[count - 1], falling[count]
    if at != below:
        return float((at + below) / 2)
    # Equal scores on both sides: all of them or none.
    none = int(np.searchsorted(-falling, -at, side="left"))
    everyone = int(np.searchsorted(-falling, -at, side="right"))
    if none and count - none < everyone - count:
        return float((falling[none - 1] + at) / 2)
    return float(at)


def read(path: Path, old: str, new: str) -> Pairs:
    """Read two columns of a file, of any kind that a training reads.

    Raises DatasetError, with the line, for what is not a score from 0 to 1.
    """
    recorded = files.read(path)
    places = [_place(path, recorded.columns, name) for name in (old, new)]
    found: list[list[float]] = []
    blank = 0
    for row in recorded.rows:
        if row.blank():
            continue
        cells = ["" if row.values[at] is None else str(row.values[at]).strip() for at in places]
        if "" in cells:
            blank += 1
            continue
        found.append(
            [
                _score(f"{path}, {row.place(at)}", cell)
                for at, cell in zip(places, cells, strict=True)
            ]
        )
    if not found:
        message = f"{path} has no line with both scores: record some."
        raise DatasetError(message)
    columns = np.array(found)
    return Pairs(columns[:, 0], columns[:, 1], blank)


def _place(path: Path, columns: list[str], name: str) -> int:
    if name not in columns:
        names = printable(", ".join(columns), 200)
        message = f"{path} has no column {name!r}; it has {names or 'none'}."
        raise DatasetError(message)
    if columns.count(name) > 1:
        message = f"{path} has {columns.count(name)} columns named {name}."
        raise DatasetError(message)
    return columns.index(name)


def _score(place: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        message = f"{place}: '{printable(cell, 40)}' is not a score from 0 to 1."
        raise DatasetError(message)
    return value


def table(pairs: Pairs, mapping: Sequence[Mapped], old: str, new: str) -> str:
    """Return the mapping for people."""
    texts = len(pairs.old)
    left = f", {pairs.blank} lines with one score left out" if pairs.blank else ""
    lines = [f"{texts} texts{left}.", ""]
    head = (old, new, "95 % range", "flagged", "no longer", "newly")
    cells = [head, *(_row(one, pairs) for one in mapping)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    hints = [one.hint for one in mapping if one.hint]
    return "\n".join([*lines, *([""] if hints else []), *hints])


def _row(one: Mapped, pairs: Pairs) -> tuple[str, ...]:
    if one.new is None:
        return f"{one.old:g}", "unknown", "", "0", "", ""
    share = 100 * one.flagged_after / len(pairs.new)
    return (
        f"{one.old:g}",
        _written(one.new, pairs.new),
        f"{one.low:.4f} to {one.high:.4f}",
        f"{one.flagged_after} ({share:.2f} %)",
        str(one.dropped),
        str(one.added),
    )


def _written(threshold: float, scores: Floats) -> str:
    """Return a threshold in four digits, or in as many more as flag the same texts."""
    flagged = np.count_nonzero(scores >= threshold)
    shorter = (f"{threshold:.{digits}f}" for digits in range(4, 17))
    alike = (one for one in shorter if np.count_nonzero(scores >= float(one)) == flagged)
    return next(alike, repr(threshold))
