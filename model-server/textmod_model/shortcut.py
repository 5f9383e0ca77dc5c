"""Find a whole batch's chunks in the memo at once, without making a str of each.

Looking a chunk up in a dict costs more than all arithmetic on it: a str is made, hashed, compared
and thrown away, and each step waits for memory. Chunks of up to 15 bytes, nearly all there are, fit
into two integers exactly. Arrays with two places for each hash keep the artifact's chunks and the
last that came there; what is not found goes the long way, through the memo, and takes a place.
"""

from collections.abc import Sequence
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from textmod_model.lookup import Indices
from textmod_model.memo import Memo

_BITS: Final = 16
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

Halves = NDArray[np.uint64]
"""One of the two integers that say what a chunk is, of many chunks."""


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


class Shortcut:
    """The memo's indices of chunks, by arrays where it can be."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        # Of each hash, the last chunk that came in the first row, the one before it in the second.
        self._first = np.zeros((2, 1 << _BITS), np.uint64)
        self._second = np.zeros((2, 1 << _BITS), np.uint64)  # 0 is no chunk's: it holds the size
        self._index = np.zeros((2, 1 << _BITS), np.int32)
        self._generation = -1

    def find(self, chunks: Chunks) -> Indices:
        """Return each chunk's index in the memo."""
        if self._generation != self._memo.generation:
            self._start_again()
        first, second = _integers(chunks)
        slots = _slots(first, second)
        indices: Indices = self._index[0][slots].astype(np.int64)
        missing = np.flatnonzero(~self._holds(0, slots, first, second))
        earlier = self._holds(1, slots[missing], first[missing], second[missing])
        known = missing[earlier]
        indices[known] = self._index[1][slots[known]]
        missing = missing[~earlier]
        if len(missing):
            indices[missing] = self._memo.find(chunks.at(missing))
            short = missing[second[missing] != 0]
            taken = slots[short]
            for row in (self._first, self._second, self._index):
                row[1][taken] = row[0][taken]
            self._put(0, taken, first[short], second[short], indices[short])
        return indices

    def _start_again(self) -> None:
        """Hold the chunks that the memo holds for good, and nothing else."""
        self._generation = self._memo.generation
        self._second.fill(0)
        # Of several with one hash the last put in stays, so the most frequent come last.
        names = Chunks(" ".join(reversed(self._memo.lasting)))
        first, second = _integers(names)
        indices = np.arange(len(names))[::-1]
        for row in range(2):
            short = np.flatnonzero(second)
            first, second, indices = first[short], second[short], indices[short]
            slots = _slots(first, second)
            self._put(row, slots, first, second, indices)
            second[self._holds(row, slots, first, second)] = 0  # the second row has the others

    def _holds(
        self, row: int, slots: NDArray[np.uint64], first: Halves, second: Halves
    ) -> NDArray[np.bool_]:
        """Tell which chunks are in their slots' places of one row."""
        held: NDArray[np.bool_] = self._second[row][slots] == second
        held &= self._first[row][slots] == first
        return held

    def _put(
        self, row: int, slots: NDArray[np.uint64], first: Halves, second: Halves, indices: Indices
    ) -> None:
        self._first[row][slots] = first
        self._second[row][slots] = second
        self._index[row][slots] = indices


def _slots(first: Halves, second: Halves) -> NDArray[np.uint64]:
    slots: NDArray[np.uint64] = ((first ^ (second * _MIX)) * _MULTIPLIER) >> _SHIFT
    return slots


def _integers(chunks: Chunks) -> tuple[Halves, Halves]:
    """Return two integers that say what each chunk is; the second is 0 if it is too long."""
    data = chunks.data
    eights: NDArray[np.uint64] = np.ndarray((len(data) - 7,), "<u8", data, strides=(1,))
    sizes = np.minimum(chunks.ends - chunks.starts, _LONGEST + 1)
    first = eights[chunks.starts] & _FIRST[sizes]
    second = eights[np.minimum(chunks.starts + 8, len(eights) - 1)] & _SECOND[sizes]
    second |= _SIZES[sizes]
    second[sizes > _LONGEST] = 0
    return first, second
