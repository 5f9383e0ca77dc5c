"""The marks of chunks (`text.features.marks`), counted by arrays for words between marks."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.framed import Frame, Framed
from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.words import ABSENT, WordTable
from textmod_model.text.features import (
    LONG_CHUNK,
    MARKS,
    PERSONS,
    SHORT_CHUNK,
    marks,
)

_LONG, _SHORT, _CAPITAL, _SHOUTED = map(MARKS.index, ("long", "short", "capital", "shouted"))
_ADDRESSES: Final = ("http", "www.")
_A_WORD: Final = "qqqqq"
"""Small letters that have no mark themselves."""


def marks_around(frame: Frame) -> NDArray[np.int16]:
    """Return how often a word between these has each mark, whatever the word."""
    counts = counted(f"{frame.before}{_A_WORD}{frame.behind}")
    counts[[_LONG, _SHORT]] = 0
    return counts


def counted(chunk: str) -> NDArray[np.int16]:
    """Return how often a chunk has each mark."""
    return np.bincount(marks(chunk), minlength=len(MARKS)).astype(np.int16)


class Shapes:
    """The marks that depend on the word."""

    def __init__(self) -> None:
        self._persons = WordTable(PERSONS)

    def add(
        self, counts: NDArray[np.int16], words: Framed, at: Indices, names: Sequence[str]
    ) -> None:
        """Add to `counts`, which have those of the words' frames.

        `at` are the words' places, `names` their chunks.
        """
        sizes = words.sizes[at]
        counts[:, _LONG] += sizes >= LONG_CHUNK
        counts[:, _SHORT] += sizes <= SHORT_CHUNK
        begins = words.frames[at] & np.uint64(0xFF) == 0  # with a letter
        capital = begins & ~words.begins_small[at]
        shouted = capital & words.capitals[at] & (sizes > 1)
        counts[:, _SHOUTED] += shouted
        counts[:, _CAPITAL] += capital & ~shouted
        alone = np.flatnonzero(sizes == words.lengths[at])
        persons = self._persons.find(*(half[at[alone]] for half in words.lower))
        found = np.flatnonzero(persons != ABSENT)
        counts[alone[found], persons[found]] += 1
        together = " ".join(names)
        if any(part in together for part in _ADDRESSES):
            for row, name in enumerate(names):
                if any(part in name for part in _ADDRESSES):
                    counts[row] = counted(name)
