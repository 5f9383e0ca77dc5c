"""Find words that the memo has not met, by arrays alone.

Most of what is new in a text is one word between marks (`framed`). Its letters are looked up among
all words at once, and the marks around them are the same few again and again.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.analyzer import Marks
from textmod_model.scoring.compiled import LEFT_OUT, UNKNOWN
from textmod_model.scoring.framed import Frame, Framed, framed
from textmod_model.scoring.judged import UNSURE, Judged, is_around, may_be_a_letter
from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import Memo, Words
from textmod_model.scoring.packed import Chunks, integers, slots
from textmod_model.scoring.shapes import Shapes, marks_around
from textmod_model.scoring.words import ABSENT, WordTable
from textmod_model.text.features import MARKS, padded

_BITS: Final = 18
_FRAME_BITS: Final = 12
_MOST_FRAMES: Final = 1 << 12
_NO_ENTRY: Final = -1
_NO_MARKS: Final = Marks((), (), fragile=False)


class PlainWords:
    """The memo's entries of words between marks, and what such chunks say of evasion."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        # What may be another word than its letters say, by hash: rather too many than too few.
        self._special = _hashes(memo.analyzer.special_words())
        self._judged = Judged() if memo.analyzer.undisguises else None
        self._frames = _Frames(memo)
        self.found = 0
        """How many chunks have been found here."""
        self._forms, self._words = map(WordTable, memo.analyzer.word_ids())
        self._alone = np.zeros(0, np.int64)
        self._shapes = Shapes()

    def start_again(self) -> None:
        """Have entries of the memo's present generation."""
        if self._memo.shares:
            most = max(chain.from_iterable(d.values() for d in self._memo.analyzer.word_ids()))
            self._alone = np.full(most + 2, _NO_ENTRY)  # the last is LEFT_OUT's

    def find(self, chunks: Chunks, places: Indices) -> tuple[Indices, NDArray[np.int8]]:
        """Return the index of each chunk, -1 of those not found here, and their suspicion.

        A suspicion is UNSURE where it is not known.
        """
        words = framed(chunks, places)
        frames = self._frames.find(words.frames)
        said = np.full(len(places), 0 if self._judged is None else UNSURE, np.int8)
        if self._judged is not None:
            table = self._frames
            said[words.places] = self._judged.find(
                words, table.around[frames], table.letter_like[frames]
            )
        indices = np.full(len(places), -1)
        comes_off = self._frames.splits if self._memo.shares else self._frames.silent
        plain = comes_off[frames] & (said[words.places] >= 0)
        plain &= ~self._special[slots(*words.letters, _BITS)]
        at = np.flatnonzero(plain)
        there = words.places[at]
        if self._memo.shares:
            indices[there] = self._entries(self._ids(words, at), frames[at], said[there])
            self.found += len(at)
        elif len(at):
            names = chunks.at(places[there])
            indices[there], new = self._memo.find_words(
                names,
                lambda chosen: self._known(
                    words, at[chosen], frames, said, [names[one] for one in chosen]
                ),
            )
            self.found += new
        return indices, said

    def _known(
        self,
        words: Framed,
        at: Indices,
        frames: Indices,
        said: NDArray[np.int8],
        names: Sequence[str],
    ) -> Words:
        """Return what is known of some words in frames that are silent."""
        ids = self._ids(words, at)
        is_word = ids != LEFT_OUT
        marks = np.zeros((len(at), len(MARKS)), np.int16)
        if self._memo.analyzer.has_shape:
            marks = self._frames.marked[frames[at]]
            self._shapes.add(marks, words, at, names)
        return Words(
            letters=list(map(padded, names)),
            tokens=ids[is_word],
            sizes=is_word.astype(np.int32),
            marks=marks,
            notes=said[words.places[at]] << 1,
        )

    def _ids(self, words: Framed, at: Indices) -> NDArray[np.int32]:
        """Return the word's id of some chunks."""
        ids = self._forms.find(*(half[at] for half in words.letters))
        other = np.flatnonzero(ids == ABSENT)
        ids[other] = self._words.find(*(half[at[other]] for half in words.lower))
        ids[ids == ABSENT] = UNKNOWN
        return ids

    def _entries(self, ids: NDArray[np.int32], frames: Indices, said: NDArray[np.int8]) -> Indices:
        """Return the entries of words in such frames that say so much."""
        entries = np.where(self._frames.silent[frames] & (said == 0), self._alone[ids], _NO_ENTRY)
        new = np.flatnonzero(entries == _NO_ENTRY)
        keys = (ids[new].astype(np.int64) << 32) | (frames[new] << 8) | said[new]
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        chosen = new[first]
        made = map(
            self._entry, ids[chosen].tolist(), frames[chosen].tolist(), said[chosen].tolist()
        )
        entries[new] = np.fromiter(made, np.int64, len(chosen))[which]
        return entries

    def _entry(self, word: int, frame: int, said: int) -> int:
        marks = self._frames.marks[frame]
        alone = () if word == LEFT_OUT else (word,)
        index = self._memo.of_words(
            (*marks.before, *alone, *marks.behind), said, fragile=marks.fragile
        )
        if not said and self._frames.silent[frame]:
            self._alone[word] = index
        return index


class _Frames:
    """What is known of the marks around words, by their place in arrays.

    The first place is that of marks of which nothing is known, because there is no room.
    """

    def __init__(self, memo: Memo) -> None:
        self._analyzer = memo.analyzer
        self._start_again()

    def _start_again(self) -> None:
        self._places: dict[int, int] = {}
        self._numbers = np.zeros(1 << _FRAME_BITS, np.uint64)
        self._found = np.zeros(1 << _FRAME_BITS, np.int64)
        self.marks = [_NO_MARKS]
        self.splits = np.zeros(_MOST_FRAMES, np.bool_)
        """They come off the word."""
        self.silent = np.zeros(_MOST_FRAMES, np.bool_)
        """They are no words, and nothing else depends on them."""
        self.around = np.zeros(_MOST_FRAMES, np.bool_)
        self.letter_like = np.zeros(_MOST_FRAMES, np.bool_)
        self.marked = np.zeros((_MOST_FRAMES, len(MARKS)), np.int16)
        """How often words between them have each mark, whatever the word."""

    def find(self, numbers: NDArray[np.uint64]) -> Indices:
        """Return the place of each frame, given as in `Framed.frames`."""
        if len(self.marks) == _MOST_FRAMES:
            self._start_again()
        slot = slots(numbers, np.zeros_like(numbers), _FRAME_BITS)
        found = self._found[slot]
        other = np.flatnonzero((found == 0) | (self._numbers[slot] != numbers))
        if len(other):
            get, add = self._places.get, self._add
            found[other] = [get(number) or add(number) for number in numbers[other].tolist()]
            self._numbers[slot[other]] = numbers[other]
            self._found[slot[other]] = found[other]
        return found

    def _add(self, number: int) -> int:
        place = len(self.marks)
        if place == _MOST_FRAMES:
            return 0
        frame = Frame.of(number)
        marks = self._analyzer.marks(frame)
        self.splits[place] = marks is not None
        self.silent[place] = marks is not None and not (
            marks.before or marks.behind or marks.fragile
        )
        self.around[place] = is_around(frame)
        self.letter_like[place] = may_be_a_letter(frame)
        if self._analyzer.has_shape:
            self.marked[place] = marks_around(frame)
        self.marks.append(marks or _NO_MARKS)
        self._places[number] = place
        return place


def _hashes(words: Iterable[str]) -> NDArray[np.bool_]:
    """Return which hashes are those of one of these words."""
    found = np.zeros(1 << _BITS, np.bool_)
    found[slots(*integers(Chunks(" ".join(sorted(words)))), _BITS)] = True
    return found
