"""Find plain words that the memo has not met, by arrays alone.

A plain word is ASCII letters with at most one mark behind them (`ChunkTokenizer.plain`). Most of
what is new in a text is one: a word that the model knows nothing of, or a known one with a mark.
Neither needs the tokenizer: the mark is left out, and the word's entry is held, or is the unknown
word's. Only for models to which the words of a chunk are all (`Memo.shares`).
"""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.compiled import UNKNOWN
from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import Memo
from textmod_model.scoring.packed import LONGEST, Chunks, Halves, integers, packed, slots
from textmod_model.text.apart import LONGEST_FRAGMENT
from textmod_model.text.chunks import PLAIN_SUFFIXES

_BITS: Final = 18
_BYTES: Final = np.arange(256)
_PLACES: Final = np.arange(16)
_SMALL: Final = (ord("a") <= _BYTES) & (ord("z") >= _BYTES)
_LETTER: Final = _SMALL | ((ord("A") <= _BYTES) & (ord("Z") >= _BYTES))
_LOWER: Final = np.where(_LETTER, _BYTES | 0x20, 0).astype(np.uint8)
_STOP: Final = ord(".")  # comes off a word that ends in a small letter
_NO_MARK: Final = 0


class PlainWords:
    """The memo's entries of plain words."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        # What may be another word than its letters say, by hash: rather too many than too few.
        self._special = _hashes(memo.analyzer.special_stems())
        self._known = _hashes(memo.analyzer.known_words())
        marks = [ord(mark) for mark in PLAIN_SUFFIXES]
        self._is_mark = np.zeros(256, np.bool_)
        self._is_mark[marks] = True
        self._words_of_mark = {
            mark: memo.analyzer.token_ids([chr(mark)]) for mark in (*marks, _STOP)
        } | {_NO_MARK: ()}
        self._left_out = np.zeros(256, np.bool_)
        self._left_out[[mark for mark, words in self._words_of_mark.items() if not words]] = True
        self._unknown = np.zeros(256, np.int64)
        self.found = 0
        """How many chunks have been found here."""

    def start_again(self) -> None:
        """Have entries of the memo's present generation."""
        for mark, words in self._words_of_mark.items():
            self._unknown[mark] = self._memo.of_words((UNKNOWN, *words))

    def find(
        self, chunks: Chunks, places: Indices, held: Callable[[Halves, Halves], Indices]
    ) -> Indices:
        """Return the index of each plain word at these places, -1 of any other chunk.

        Args:
            chunks: a text's.
            places: of the chunks that are looked for.
            held: the indices of chunks that an array holds, -1 for others.
        """
        starts = chunks.starts[places]
        sizes = np.minimum(chunks.ends[places] - starts, LONGEST + 1)
        letters = np.frombuffer(chunks.data, np.uint8)[starts[:, None] + _PLACES]
        rows = np.arange(len(places))
        last, before = letters[rows, sizes - 1], letters[rows, sizes - 2]
        marked = self._is_mark[last] | ((last == _STOP) & _SMALL[before])
        marks = np.where(marked, last, _NO_MARK)
        lengths = sizes - marked
        letters[lengths[:, None] <= _PLACES] = 0
        plain = _LETTER[letters].sum(axis=1) == lengths
        plain &= (lengths > 0) & (sizes <= LONGEST)
        if self._memo.analyzer.undisguises:
            plain &= _says_nothing(letters, lengths)
        at = np.flatnonzero(plain)
        indices = np.full(len(places), -1)
        indices[at] = self._entries(letters[at], lengths[at], marks[at], held)
        self.found += int(np.count_nonzero(indices >= 0))
        return indices

    def _entries(
        self,
        letters: NDArray[np.uint8],
        lengths: Indices,
        marks: NDArray[np.uint8],
        held: Callable[[Halves, Halves], Indices],
    ) -> Indices:
        """Return the entries of words, given by their letters, with these marks behind them."""
        first, second = packed(letters, lengths)
        known = self._known[slots(*packed(_LOWER[letters], lengths), _BITS)]
        indices = np.where(known, -1, self._unknown[marks])
        as_alone = known & self._left_out[marks] & ~self._special[slots(first, second, _BITS)]
        at = np.flatnonzero(as_alone & (marks != _NO_MARK))
        indices[at] = held(first[at], second[at])
        return indices


def _says_nothing(letters: NDArray[np.uint8], lengths: Indices) -> NDArray[np.bool_]:
    """Tell words that are not suspicious (`text.evasion`) by their letters alone.

    They are too long to be a fragment, small behind their first letter, and no letter comes three
    times in a row.
    """
    lower = _LOWER[letters]
    same = (lower[:, :-2] == lower[:, 1:-1]) & (lower[:, 1:-1] == lower[:, 2:]) & (lower[:, 2:] > 0)
    ordinary = _SMALL[letters[:, 1:]].sum(axis=1) == lengths - 1
    return np.asarray(ordinary & (lengths > LONGEST_FRAGMENT) & ~same.any(axis=1))


def _hashes(words: Iterable[str]) -> NDArray[np.bool_]:
    """Return which hashes are those of one of these words."""
    found = np.zeros(1 << _BITS, np.bool_)
    found[slots(*integers(Chunks(" ".join(sorted(words)))), _BITS)] = True
    return found
