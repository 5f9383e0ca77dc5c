"""The chunks of a text as integers, two for each, so that arrays can hold and compare them.

A str of each would be made, hashed, compared and thrown away, and every step would wait for memory.
Chunks of up to LONGEST bytes, nearly all there are, fit into two integers exactly.
"""

from collections.abc import Sequence
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.lookup import Indices

LONGEST: Final = 15
"""Bytes of the longest chunk that two integers hold."""
PADDING: Final = b" " * 16
"""Stands behind the text, so that 16 bytes from a chunk's beginning can be read at once."""
_SPACES: Final = np.zeros(256, np.bool_)
_SPACES[[9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = True  # what str.split takes for white space
# What is kept of the eight bytes at a chunk's beginning, and of the eight behind them.
_FIRST: Final = np.array([(1 << 8 * min(size, 8)) - 1 for size in range(17)], np.uint64)
_SECOND: Final = np.array([(1 << 8 * max(size - 8, 0)) - 1 for size in range(17)], np.uint64)
_ALL: Final = np.uint64(64)
_SIZES: Final = np.arange(17, dtype=np.uint64) << np.uint64(56)
_MIX: Final = np.uint64(0xD6E8FEB86659FD93)
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)

Halves = NDArray[np.uint64]
"""One of the two integers that say what a chunk is, of many chunks."""


class Chunks(Sequence[str]):
    """The chunks of a text; a str is made of those that are asked for."""

    def __init__(self, text: str) -> None:
        """Take a text that encodes to UTF-8 and has no white space beyond ASCII's."""
        self.data = text.encode() + PADDING
        spaces = np.concatenate(([True], _SPACES[np.frombuffer(self.data, np.uint8)]))
        edges = np.flatnonzero(spaces[1:] != spaces[:-1])
        self.starts = edges[0::2]
        self.ends = edges[1::2]

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, places: Indices) -> list[str]:
        """Return the chunks at several places."""
        data = self.data
        edges = zip(self.starts[places].tolist(), self.ends[places].tolist(), strict=True)
        return [data[start:end].decode() for start, end in edges]

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return self.at(np.arange(*at.indices(len(self))))
        return self.data[self.starts[at] : self.ends[at]].decode()


def slots(first: Halves, second: Halves, bits: int) -> NDArray[np.uint64]:
    """Return a hash of each chunk, from 0 to 2 to the power of `bits`, exclusive."""
    found: NDArray[np.uint64] = ((first ^ (second * _MIX)) * _MULTIPLIER) >> np.uint64(64 - bits)
    return found


def integers(chunks: Chunks) -> tuple[Halves, Halves]:
    """Return two integers that say what each chunk is; the second is 0 if it is too long."""
    data = chunks.data
    eights: NDArray[np.uint64] = np.ndarray((len(data) - 7,), "<u8", data, strides=(1,))
    sizes = np.minimum(chunks.ends - chunks.starts, LONGEST + 1)
    first = eights[chunks.starts] & _FIRST[sizes]
    second = eights[np.minimum(chunks.starts + 8, len(eights) - 1)] & _SECOND[sizes]
    second |= _SIZES[sizes]
    second[sizes > LONGEST] = 0
    return first, second


def bytes_of(chunks: Chunks, places: Indices, sizes: NDArray[np.int64]) -> tuple[Halves, Halves]:
    """Return the first 16 bytes of some chunks, 0 behind their sizes, as two integers."""
    data, starts = chunks.data, chunks.starts[places]
    eights: NDArray[np.uint64] = np.ndarray((len(data) - 7,), "<u8", data, strides=(1,))
    first = eights[starts] & _FIRST[sizes]
    return first, eights[np.minimum(starts + 8, len(eights) - 1)] & _SECOND[sizes]


def shifted(
    first: Halves, second: Halves, begins: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[Halves, Halves]:
    """Return the integers of parts of 16 bytes: so many bytes from where each begins."""
    bits = (8 * begins).astype(np.uint64)
    # numpy shifts by 64 bits and more, which a difference below 0 is too, to 0.
    low = first >> bits | second << (_ALL - bits) | second >> (bits - _ALL)
    return low & _FIRST[sizes], second >> bits & _SECOND[sizes] | _SIZES[sizes]
