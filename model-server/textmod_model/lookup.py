"""Find many integers among sorted ones."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class Lookup:
    """The places of integers in a sorted array of distinct ones.

    Most of what is asked for is not there. A filter of one byte a slot, with few false positives
    and no false negatives, spares most of the searching.
    """

    _SLOTS_PER_KEY: Final = 16
    # Knuth's multiplicative hash: the golden ratio's fraction, in 64 bits.
    _MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)

    def __init__(self, keys: NDArray[np.integer]) -> None:
        self._keys = keys
        bits = max((len(keys) * self._SLOTS_PER_KEY).bit_length(), 8)
        self._shift = np.uint64(64 - bits)
        self._filter = np.zeros(1 << bits, dtype=np.bool_)
        self._filter[self._slots(keys)] = True

    def find(self, wanted: NDArray[np.integer]) -> tuple[Indices, Indices]:
        """Return which of `wanted` are keys, and which key each is: two arrays of one length."""
        if not len(self._keys):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        candidates = np.flatnonzero(self._filter[self._slots(wanted)])
        values = wanted[candidates]
        places = np.searchsorted(self._keys, values)
        found = np.flatnonzero(self._keys[np.minimum(places, len(self._keys) - 1)] == values)
        return candidates[found], places[found]

    def _slots(self, keys: NDArray[np.integer]) -> NDArray[np.uint64]:
        return (keys.astype(np.uint64) * self._MULTIPLIER) >> self._shift
