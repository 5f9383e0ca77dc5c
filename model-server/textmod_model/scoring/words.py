"""Numbers of words, found for many words at once."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.packed import LONGEST, Chunks, Halves, integers, slots

ABSENT: Final = -2
"""What is found instead of a number; LEFT_OUT is one."""


class WordTable:
    """The numbers of words of ASCII letters; exact, unlike a set of hashes.

    Words lie in the order of their hashes, and `_begin` says where those of each hash begin.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        """Take numbers by word; words of more than LONGEST or of other characters are left out."""
        words = [word for word in numbers if len(word) <= LONGEST and word.isascii()]
        words = [word for word in words if word.isalpha()]
        self._bits = max((2 * len(words)).bit_length(), 4)
        first, second = integers(Chunks(" ".join(words)))
        places = slots(first, second, self._bits).astype(np.int64)
        order = np.argsort(places)
        self._first, self._second = first[order], second[order]
        self._numbers = np.array([numbers[word] for word in words], np.int32)[order]
        counts = np.bincount(places, minlength=1 << self._bits)
        self._begin = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)

    def find(self, first: Halves, second: Halves) -> NDArray[np.int32]:
        """Return the number of each word, given as two integers; ABSENT for others."""
        hashes = slots(first, second, self._bits)
        place, end = self._begin[hashes], self._begin[hashes + np.uint64(1)]
        found = np.full(len(hashes), ABSENT, np.int32)
        left: Indices = np.flatnonzero(place < end)
        place, end = place[left], end[left]
        while len(left):
            same = (self._second[place] == second[left]) & (self._first[place] == first[left])
            found[left[same]] = self._numbers[place[same]]
            place += 1
            goes_on = ~same & (place < end)
            left, place, end = left[goes_on], place[goes_on], end[goes_on]
        return found
