"""A cache of the analyzed chunks of text."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate, chain, repeat
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.analyzer import Analyzer, Known, counts_of_marks
from textmod_model.scoring.compiled import UNKNOWN, Compiled, Memory
from textmod_model.scoring.judged import UNSURE
from textmod_model.text import features
from textmod_model.text.cleaning import FIRST_WORD, LAST_WORD, MAX_CHUNK

BREAK: Final = "\0"
"""The chunk put behind each text; ends with a token that no n-gram knows. Tidy text has no NUL."""
BREAK_INDEX: Final = 0
BEGIN: Final = "\0\0"
"""The chunk put before each text by models with edges."""
BEGIN_INDEX: Final = 1
_FIXED: Final = 2  # entries before the artifact's
_LETTERS_PER_CHUNK: Final = 16
"""Characters, and word ids, remembered for each chunk of the limit; on average a chunk has half."""


_AT_ONCE: Final = 512
"""How many suspicions that take long are computed in one look-up. Few batches need more. A text
made of such chunks does: the suspicion of its others stays UNSURE and is computed if the text's
depends on it."""


class Columns(NamedTuple):
    """What is known, by chunk index. Views: valid until the next look-up."""

    start: NDArray[np.int32]
    """Where a chunk's ids begin in `tokens`."""
    size: NDArray[np.int32]
    tokens: NDArray[np.int32]
    weight: NDArray[np.float64]
    """Sum over the chunk's character n-grams of count · idf · coefficient; of several labels shape
    (number of chunks, labels)."""
    mass: NDArray[np.float64]
    """Sum over the chunk's character n-grams of count · idf."""
    marks: NDArray[np.int16]
    """Shape (number of chunks, number of marks)."""
    chunks: NDArray[np.int32]
    notes: NDArray[np.int8]
    """`Known.notes`."""


class Words(NamedTuple):
    """What is known of chunks that are one word between marks, many at once: parallel."""

    letters: Sequence[str]
    """As `Known.letters`."""
    tokens: NDArray[np.int32]
    """The words' ids, of all that have one."""
    sizes: NDArray[np.int32]
    """How many ids each chunk has."""
    marks: NDArray[np.int16]
    """Shape (number of chunks, number of marks)."""
    notes: NDArray[np.int8]
    """`Known.notes`."""


class Memo(dict[str, int]):
    """Index of every chunk met; `find` analyzes those that were not.

    Holds the artifact's chunks for good and up to `limit` others. Once those are full, further
    chunks are worked out for the batch at hand only, and the next `trim` forgets them all: a
    stream of ever new chunks takes bounded memory, and the words that everybody writes are back
    within a few texts. Very long chunks, which hardly come twice, are never remembered.
    """

    def __init__(self, compiled: Compiled, *, limit: int, analyzer: Analyzer | None = None) -> None:
        """Remember `limit` chunks beyond the model's own; an analyzer can be shared."""
        super().__init__()
        self.lasting = [BREAK, BEGIN, *compiled.memory.chunks]
        """The chunks held for good, by their indices."""
        words = compiled.words
        begin, end = [words.get(FIRST_WORD, UNKNOWN)], [words.get(LAST_WORD, UNKNOWN), UNKNOWN]
        self._table = _Table(compiled.memory, end if compiled.edges else [UNKNOWN], begin)
        self.analyzer = analyzer or Analyzer(compiled)
        # Not in the table yet; the words come first.
        self._words: Words | None = None
        self._new: list[Known] = []
        self._limit = len(self.lasting) + limit
        self._letters_limit = limit * _LETTERS_PER_CHUNK
        self._letters = 0
        self.generation = 0
        """Changes whenever the indices given out before are void."""
        self.shares = not (compiled.grams or self.analyzer.has_shape)
        """Without letters and marks, chunks of the same words are one entry."""
        self._same: dict[tuple[tuple[int, ...], int, bool], int] = {}
        self._unfinished = False
        """An error came in the middle of forgetting."""
        self._at_once = 0
        """How many more suspicions that take long are computed in this look-up."""
        self._name()
        self.misses = 0

    def _name(self) -> None:
        self.update(zip(self.lasting, range(len(self.lasting)), strict=True))

    def find(self, chunks: Sequence[str], said: Sequence[int] | None = None) -> list[int]:
        """Return the index of each chunk; those not met before are analyzed.

        `said` are their suspicions, UNSURE where they are not known.
        """
        suspicions = dict(zip(chunks, said or repeat(UNSURE), strict=False))
        new = [chunk for chunk in suspicions if chunk not in self]
        self.misses += len(new)
        self._at_once = _AT_ONCE
        found = {chunk: self._analyzed(chunk, suspicions[chunk]) for chunk in new}
        self._remember(found)
        return [found[chunk] if chunk in found else self[chunk] for chunk in chunks]

    def _analyzed(self, chunk: str, said: int) -> int:
        """Make an entry of a chunk not met before, or find one that says the same."""
        if said == UNSURE:
            said = self.analyzer.quick_suspicion(chunk)
            if said == UNSURE and self._at_once:
                self._at_once -= 1
                said = self.analyzer.suspicion(chunk)
        if not self.shares or len(chunk) > MAX_CHUNK or said == UNSURE:
            return self.add(self.analyzer.chunk(chunk, said))
        tokens, fragile = self.analyzer.ids(chunk)
        return self.of_words(tokens, said, fragile=fragile)

    def suspicion(self, index: int, chunk: str) -> int:
        """Return the suspicion of a chunk that is in the table, worked out if it was UNSURE."""
        notes = self._table.notes
        said = notes[index] >> 1
        if said == UNSURE:
            said = self.analyzer.suspicion(chunk)
            notes[index] = notes[index] & 1 | said << 1
        return said

    def of_words(
        self, tokens: tuple[int, ...], suspicion: int = 0, *, fragile: bool = False
    ) -> int:
        """Return the entry of chunks of which this is known and nothing else."""
        key = (tokens, suspicion, fragile)
        index = self._same.get(key)
        if index is None:
            known = Known(tokens, fragile=fragile, suspicion=suspicion)
            index = self._same[key] = self.add(known)
        return index

    def find_words(
        self, names: Sequence[str], know: Callable[[list[int]], Words]
    ) -> tuple[list[int], int]:
        """Return the index of each chunk that is a word between marks, and how many are new.

        `know` returns what is known of those at some places of `names`.
        """
        new = {name: at for at, name in enumerate(names) if name not in self}
        if not new:
            return [self[name] for name in names], 0
        self._write()
        begin = len(self._table)
        self._words = know(list(new.values()))
        found = dict(zip(new, range(begin, begin + len(new)), strict=True))
        self._remember(found)
        return [found[name] if name in found else self[name] for name in names], len(new)

    def _remember(self, found: dict[str, int]) -> None:
        """Take as many of these chunks as there is room for."""
        short = [chunk for chunk in found if len(chunk) <= MAX_CHUNK]
        letters = list(accumulate(map(len, short), initial=self._letters))
        room = min(self._limit - len(self), bisect_left(letters, self._letters_limit))
        del short[max(room, 0) :]
        self._letters = letters[len(short)]
        self.update(zip(short, map(found.__getitem__, short), strict=True))

    def _full(self) -> bool:
        return len(self) >= self._limit or self._letters >= self._letters_limit

    def add(self, known: Known) -> int:
        """Add an entry without a name, for the batch at hand, and return its index."""
        self._new.append(known)
        return len(self._table) + self._pending() - 1

    def _pending(self) -> int:
        """Return how many entries are not in the table yet."""
        return len(self._new) + (0 if self._words is None else len(self._words.sizes))

    def columns(self) -> Columns:
        """Return views on all entries; they must be gone before the next call."""
        self._write()
        return self._table.columns()

    def _write(self) -> None:
        """Put all entries into the table."""
        words, letters = self._words, [entry.letters for entry in self._new]
        if words is not None:
            sums = self.analyzer.gram_sums([*words.letters, *letters])
            self._table.extend_words(words, sums[: len(words.sizes)])
            if self._new:
                self._table.extend(self._new, sums[len(words.sizes) :])
        elif self._new:
            self._table.extend(self._new, self.analyzer.gram_sums(letters))
        self._words = None
        self._new.clear()

    def trim(self) -> None:
        """Forget what does not fit. Call between batches: indices given out before are void."""
        if self._unfinished or self._full() or self._table_is_full():
            self.forget()

    def forget(self) -> None:
        """Be as new, whatever state an error left: all indices but the lasting ones are void."""
        self._unfinished = True
        self.generation += 1
        self._words = None
        self._new.clear()
        self._same.clear()
        self._letters = 0
        self.clear()
        self._table.truncate(len(self.lasting))
        self._name()
        self._unfinished = False

    def _table_is_full(self) -> bool:
        return (
            len(self._table) + self._pending() > self._limit
            or self._table.tokens_added > self._letters_limit
        )


class _Table:
    """The columns, growing. The break and the beginning come first, then the artifact's chunks."""

    def __init__(self, memory: Memory, at_break: Sequence[int], at_begin: Sequence[int]) -> None:
        sizes = np.concatenate(([len(at_break), len(at_begin)], memory.sizes))
        nothing = [0] * _FIXED
        self._start = array("i", (np.cumsum(sizes) - sizes).tolist())
        self._size = array("i", sizes.tolist())
        self._tokens = array("i", [*at_break, *at_begin, *memory.tokens.tolist()])
        self._labels = memory.weights.shape[1] if memory.weights.ndim == 2 else 1
        self._weight = array("d", nothing * self._labels)
        self._weight.frombytes(np.ascontiguousarray(memory.weights, np.float64).tobytes())
        self._mass = array("d", [*nothing, *memory.masses.tolist()])
        self._marks = array("h", nothing * len(features.MARKS))
        self._marks.frombytes(np.ascontiguousarray(memory.marks, np.int16).tobytes())
        self._chunks = array("i", [*nothing, *memory.counts.tolist()])
        self.notes: array[int] = array("b", [*nothing, *memory.fragile.tolist()])
        self._own_tokens = len(self._tokens)

    @property
    def tokens_added(self) -> int:
        """How many ids there are beyond the artifact's."""
        return len(self._tokens) - self._own_tokens

    def __len__(self) -> int:
        return len(self._start)

    def extend(self, entries: Sequence[Known], sums: NDArray[np.float64]) -> None:
        sizes = [len(entry.tokens) for entry in entries]
        self._start.extend(accumulate(sizes[:-1], initial=len(self._tokens)))
        self._size.extend(sizes)
        self._tokens.extend(chain.from_iterable(entry.tokens for entry in entries))
        self._weight.frombytes(np.ascontiguousarray(sums[:, :-1]).tobytes())
        self._mass.frombytes(np.ascontiguousarray(sums[:, -1]).tobytes())
        self._marks.frombytes(counts_of_marks(entries).tobytes())
        self._chunks.extend([entry.chunks for entry in entries])
        self.notes.extend([entry.notes for entry in entries])

    def extend_words(self, words: Words, sums: NDArray[np.float64]) -> None:
        sizes = words.sizes
        starts = np.cumsum(sizes, dtype=np.int32) - sizes + np.int32(len(self._tokens))
        self._start.frombytes(starts.tobytes())
        self._size.frombytes(sizes.tobytes())
        self._tokens.frombytes(words.tokens.tobytes())
        self._weight.frombytes(np.ascontiguousarray(sums[:, :-1]).tobytes())
        self._mass.frombytes(np.ascontiguousarray(sums[:, -1]).tobytes())
        self._marks.frombytes(words.marks.tobytes())
        self._chunks.frombytes(np.ones_like(sizes).tobytes())
        self.notes.frombytes(words.notes.tobytes())

    def columns(self) -> Columns:
        weight = np.frombuffer(self._weight, np.float64)
        return Columns(
            start=np.frombuffer(self._start, np.int32),
            size=np.frombuffer(self._size, np.int32),
            tokens=np.frombuffer(self._tokens, np.int32),
            weight=weight if self._labels == 1 else weight.reshape(-1, self._labels),
            mass=np.frombuffer(self._mass, np.float64),
            marks=np.frombuffer(self._marks, np.int16).reshape(-1, len(features.MARKS)),
            chunks=np.frombuffer(self._chunks, np.int32),
            notes=np.frombuffer(self.notes, np.int8),
        )

    def truncate(self, length: int) -> None:
        """Keep the first entries, in new arrays: an array that has views can't be cut.

        Views outlive a call that failed, in the traceback of its error.
        """
        self._tokens = self._tokens[: self._start[length - 1] + self._size[length - 1]]
        self._start, self._size = self._start[:length], self._size[:length]
        self._chunks, self.notes = self._chunks[:length], self.notes[:length]
        self._marks = self._marks[: length * len(features.MARKS)]
        self._weight, self._mass = self._weight[: length * self._labels], self._mass[:length]
