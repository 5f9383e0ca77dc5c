"""Find many integers among sorted ones."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class Lookup:
    """The places of integers in a sorted array of distinct ones.

    A hash table says which key an integer may be. Of keys with one hash it has one; the others are
    searched for. Most of what is asked for is not there, and most slots are free to say so.
    """

    _SLOTS_PER_KEY: Final = 8
    # Knuth's multiplicative hash: the golden ratio's fraction, in 64 bits.
    _MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)

    def __init__(self, keys: NDArray[np.integer]) -> None:
        self._keys = keys
        bits = max((len(keys) * self._SLOTS_PER_KEY).bit_length(), 8)
        self._shift = np.uint64(64 - bits)
        self._place = np.full(1 << bits, -1, dtype=np.int32)
        self._place[self._slots(keys)] = np.arange(len(keys))

    def find(self, wanted: NDArray[np.integer]) -> tuple[Indices, Indices]:
        """Return which of `wanted` are keys, and which key each is: two arrays of one length."""
        maybe = self._place[self._slots(wanted)]
        at: Indices = np.flatnonzero(maybe >= 0)
        values = wanted[at]
        places: Indices = maybe[at].astype(np.int64)
        other = np.flatnonzero(self._keys[places] != values)
        searched = np.searchsorted(self._keys, values[other])
        np.minimum(searched, len(self._keys) - 1, out=searched)
        places[other] = np.where(self._keys[searched] == values[other], searched, -1)
        found = places >= 0
        return at[found], places[found]

    def _slots(self, keys: NDArray[np.integer]) -> NDArray[np.uint64]:
        return (keys.astype(np.uint64) * self._MULTIPLIER) >> self._shift
