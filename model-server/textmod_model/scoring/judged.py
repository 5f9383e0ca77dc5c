"""The suspicion of chunks (`text.evasion.suspicion`), computed by arrays for most of them.

Most of what is new in a text is a word between marks. `suspicion` rates such a chunk by a few
comparisons, but one chunk at a time.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.framed import Frame, Framed
from textmod_model.scoring.words import ABSENT, WordTable
from textmod_model.text.apart import LONGEST_FRAGMENT
from textmod_model.text.evasion import (
    AROUND,
    FRAGMENT,
    LEAST_SHOUTED,
    LETTER_LIKE,
    SHOUTED_WEIGHT,
)
from textmod_model.text.vocabulary import words

UNSURE: Final = -1
"""Not computed here: call `suspicion`."""
_SHORTEST_NAME: Final = 3


def is_around(frame: Frame) -> bool:
    """Tell whether `suspicion` takes the marks around letters for no part of the word."""
    return not (frame.before + frame.behind).strip(AROUND)


def may_be_a_letter(frame: Frame) -> bool:
    """Tell whether what stands before small letters may be the word's first."""
    return frame.begins_small and frame.before[:1] in LETTER_LIKE and bool(frame.before)


class Judged:
    """The suspicion of chunks that are letters between marks."""

    def __init__(self) -> None:
        self._words = WordTable(dict.fromkeys(words(), 0))

    def find(
        self, chunks: Framed, around: NDArray[np.bool_], letter_like: NDArray[np.bool_]
    ) -> NDArray[np.int8]:
        """Return `suspicion` of each chunk or UNSURE, as `evasion._quick_word` does.

        The other two arrays are `is_around` and `may_be_a_letter` of the chunks' frames.
        """
        lengths, capitals = chunks.lengths, chunks.capitals & (chunks.lengths > 1)
        ordinary = chunks.follows_small
        short = lengths <= LONGEST_FRAGMENT
        matters = np.flatnonzero(short | capitals | letter_like | chunks.doubles)
        is_word = np.zeros(len(lengths), np.bool_)
        is_word[matters] = self._words.find(*(half[matters] for half in chunks.lower)) != ABSENT
        is_name = ~chunks.begins_small & (lengths >= _SHORTEST_NAME)
        is_fragment = short & (lengths == chunks.sizes) & ~is_name
        shouted = np.where(is_word & (chunks.sizes >= LEAST_SHOUTED), SHOUTED_WEIGHT, 0)
        said = np.where(capitals, shouted, np.where(is_fragment, FRAGMENT, 0))
        repeats = chunks.repeats | (chunks.doubles & ~is_word)
        said[repeats | letter_like | ~(ordinary | capitals)] = UNSURE
        said[(lengths == 1) & (chunks.sizes == 2) & chunks.begins_small] = UNSURE  # "s. t."
        said[ordinary & is_word] = 0
        said[~around] = UNSURE
        return said.astype(np.int8)
