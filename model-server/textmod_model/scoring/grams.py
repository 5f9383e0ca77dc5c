"""Sums over the character n-grams of many chunks at once."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.lookup import Lookup

LONGEST: Final = 4
_BITS: Final = 16  # of a character's number within the alphabet: four of them make a 64-bit key


class GramSums:
    """Sum values of known n-grams over chunks.

    An n-gram becomes one number, exactly, by numbering the characters that known n-grams have;
    all n-grams of all chunks are then looked up together. Raises ValueError for n-grams longer
    than `LONGEST` or of more than 65,535 different characters.
    """

    def __init__(self, grams: Sequence[str], values: NDArray[np.float64]) -> None:
        """Take n-grams and their values, shape (len(grams), k)."""
        sizes = np.array([len(gram) for gram in grams], dtype=np.int64)
        alphabet = np.unique(_code_points("".join(grams)))
        if sizes.max(initial=0) > LONGEST or len(alphabet) >= 1 << _BITS:
            raise ValueError(f"n-grams of more than {LONGEST} or too many different characters")
        self._numbers = np.zeros(int(alphabet.max(initial=0)) + 2, dtype=np.uint64)
        self._numbers[alphabet] = np.arange(1, len(alphabet) + 1)
        self._width = values.shape[1]
        self._by_size: list[tuple[int, Lookup, NDArray[np.float64]]] = []
        for size in np.unique(sizes).tolist():
            chosen = np.flatnonzero(sizes == size)
            numbers = self._characters("".join(grams[at] for at in chosen.tolist()))
            keys = _keys(numbers, size)[::size]
            order = np.argsort(keys)
            self._by_size.append((size, Lookup(keys[order]), values[chosen[order]]))

    def sums(self, letters: Sequence[str]) -> NDArray[np.float64]:
        """Return the sums for each chunk's `features.padded` letters, shape (len(letters), k)."""
        result = np.zeros((len(letters), self._width))
        # Padded chunks meet in two spaces. No n-gram has two, so none is found across chunks.
        numbers = self._characters("".join(letters))
        owners = np.repeat(np.arange(len(letters)), [len(chunk) for chunk in letters])
        for size, lookup, values in self._by_size:
            places, found = lookup.find(_keys(numbers, size))
            for column in range(self._width):
                result[:, column] += np.bincount(
                    owners[places], weights=values[found, column], minlength=len(letters)
                )
        return result

    def _characters(self, text: str) -> NDArray[np.uint64]:
        """Number the characters of a text; 0 is one that no known n-gram has."""
        return self._numbers[np.minimum(_code_points(text), len(self._numbers) - 1)]


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _keys(numbers: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Return the key of the n-gram that begins at each place where one of `size` fits."""
    count = max(len(numbers) - size + 1, 0)
    keys = np.zeros(count, dtype=np.uint64)
    for offset in range(size):
        keys = (keys << np.uint64(_BITS)) | numbers[offset : offset + count]
    return keys
