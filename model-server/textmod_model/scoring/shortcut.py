"""Find a whole batch's chunks in the memo at once, without making a str of each.

Looking a chunk up in a dict costs more than all arithmetic on it. Arrays with two places for each
hash keep the artifact's chunks and the last that came there. Of what is not found, arrays tell the
plain words (`plain`); the rest goes the long way, through the memo. All take a place.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import Memo
from textmod_model.scoring.packed import Chunks, Halves, integers, slots
from textmod_model.scoring.plain import PlainWords

_BITS: Final = 16
_EMPTY: Final = np.uint64(2**64 - 1)
"""Second integer of a free place. No chunk has it: its highest byte is a size, at most 16. It must
not be 0 either, which is what every chunk too long for two integers has."""


class Shortcut:
    """The memo's indices of chunks, by arrays where it can be."""

    def __init__(self, memo: Memo, *, bits: int = _BITS) -> None:
        """Take a memo; each row has 2 to the power of `bits` places."""
        self._memo = memo
        self._bits = bits
        # Of each hash, the last chunk that came in the first row, the one before it in the second.
        self._first = np.zeros((2, 1 << bits), np.uint64)
        self._second = np.full((2, 1 << bits), _EMPTY)
        self._index = np.zeros((2, 1 << bits), np.int32)
        self._generation = -1
        self._plain = PlainWords(memo)

    @property
    def plain_words(self) -> int:
        """How many chunks that no array held were plain words."""
        return self._plain.found

    def find(self, chunks: Chunks) -> Indices:
        """Return each chunk's index in the memo."""
        if self._generation != self._memo.generation:
            self._start_again()
        first, second = integers(chunks)
        slots = self._slots(first, second)
        indices: Indices = self._index[0].take(slots).astype(np.int64)
        missing = np.flatnonzero(~self._holds(0, slots, first, second))
        earlier = self._holds(1, slots[missing], first[missing], second[missing])
        known = missing[earlier]
        indices[known] = self._index[1][slots[known]]
        missing = missing[~earlier]
        is_short = second[missing] != 0
        long, short = missing[~is_short], missing[is_short]
        if len(short):
            indices[short] = self._new(chunks, short)
            taken = slots[short]
            for row in (self._first, self._second, self._index):
                row[1][taken] = row[0][taken]
            self._put(0, taken, first[short], second[short], indices[short])
        if len(long):
            indices[long] = self._memo.find(chunks.at(long))
        return indices

    def _new(self, chunks: Chunks, places: Indices) -> Indices:
        """Return the indices of chunks that no array holds."""
        indices, said = self._plain.find(chunks, places)
        others = np.flatnonzero(indices < 0)
        indices[others] = self._memo.find(chunks.at(places[others]), said[others].tolist())
        return indices

    def _start_again(self) -> None:
        """Hold the chunks that the memo holds for good, and nothing else."""
        self._plain.start_again()
        self._second.fill(_EMPTY)
        # Of several with one hash the last put in stays, so the most frequent come last.
        names = Chunks(" ".join(reversed(self._memo.lasting)))
        first, second = integers(names)
        indices = np.arange(len(names))[::-1]
        for row in range(2):
            short = np.flatnonzero(second)
            first, second, indices = first[short], second[short], indices[short]
            slots = self._slots(first, second)
            self._put(row, slots, first, second, indices)
            second[self._holds(row, slots, first, second)] = 0  # the second row has the others
        self._generation = self._memo.generation  # last: an error on the way starts it once more

    def _holds(self, row: int, slots: Indices, first: Halves, second: Halves) -> NDArray[np.bool_]:
        """Tell which chunks are in their slots' places of one row."""
        held: NDArray[np.bool_] = self._second[row].take(slots) == second
        held &= self._first[row].take(slots) == first
        return held

    def _put(
        self, row: int, slots: Indices, first: Halves, second: Halves, indices: Indices
    ) -> None:
        self._first[row][slots] = first
        self._second[row][slots] = second
        self._index[row][slots] = indices

    def _slots(self, first: Halves, second: Halves) -> Indices:
        return slots(first, second, self._bits).view(np.int64)
