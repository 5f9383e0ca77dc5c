"""Find a whole batch's chunks in the memo at once, without making a str of each.

Looking a chunk up in a dict costs more than all arithmetic on it: a str is made, hashed, compared
and thrown away, and each step waits for memory. Chunks of up to 15 bytes, nearly all there are, fit
into two integers exactly. An array with one place for each hash keeps the last chunk that came
there; what is not found goes the long way, through the memo, and takes the place.
"""

from collections.abc import Sequence
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from textmod_model.lookup import Indices
from textmod_model.memo import Memo

_BITS: Final = 17
_LONGEST: Final = 15
_SPACES: Final = np.zeros(256, np.bool_)
_SPACES[[9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = True  # what str.split takes for white space
# What is kept of the eight bytes at a chunk's beginning, and of the eight behind them.
_FIRST: Final = np.array([(1 << 8 * min(size, 8)) - 1 for size in range(17)], np.uint64)
_SECOND: Final = np.array([(1 << 8 * max(size - 8, 0)) - 1 for size in range(17)], np.uint64)
_SIZES: Final = np.arange(17, dtype=np.uint64) << np.uint64(56)
_MIX: Final = np.uint64(0xD6E8FEB86659FD93)
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(64 - _BITS)
_PADDING: Final = b" " * 16


class Chunks(Sequence[str]):
    """The chunks of a text; a str is made of those that are asked for."""

    def __init__(self, text: str) -> None:
        """Take a text that encodes to UTF-8 and has no white space beyond ASCII's."""
        self.data = text.encode() + _PADDING
        spaces = np.concatenate(([True], _SPACES[np.frombuffer(self.data, np.uint8)]))
        edges = np.flatnonzero(spaces[1:] != spaces[:-1])
        self.starts = edges[0::2]
        self.ends = edges[1::2]

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        return self.data[self.starts[at] : self.ends[at]].decode()


class Shortcut:
    """The memo's indices of chunks, by arrays where it can be."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._first = np.zeros(1 << _BITS, np.uint64)
        self._second = np.zeros(1 << _BITS, np.uint64)  # 0 is no chunk's: it holds the size
        self._index = np.zeros(1 << _BITS, np.int32)
        self._generation = memo.generation

    def find(self, chunks: Chunks) -> Indices:
        """Return each chunk's index in the memo."""
        if self._generation != self._memo.generation:
            self._second.fill(0)
            self._generation = self._memo.generation
        first, second = _integers(chunks)
        slots = ((first ^ (second * _MIX)) * _MULTIPLIER) >> _SHIFT
        indices: Indices = self._index[slots].astype(np.int64)
        missing = (self._second[slots] != second) | (self._first[slots] != first)
        places = np.flatnonzero(missing)
        if len(places):
            found = [self._memo[chunks[at]] for at in places.tolist()]
            indices[places] = found
            short = places[second[places] != 0]
            taken = slots[short]
            self._first[taken] = first[short]
            self._second[taken] = second[short]
            self._index[taken] = indices[short]
        return indices


def _integers(chunks: Chunks) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return two integers that say what each chunk is; the second is 0 if it is too long."""
    data = chunks.data
    eights: NDArray[np.uint64] = np.ndarray((len(data) - 7,), "<u8", data, strides=(1,))
    sizes = np.minimum(chunks.ends - chunks.starts, _LONGEST + 1)
    first = eights[chunks.starts] & _FIRST[sizes]
    second = eights[np.minimum(chunks.starts + 8, len(eights) - 1)] & _SECOND[sizes]
    second |= _SIZES[sizes]
    second[sizes > _LONGEST] = 0
    return first, second
