"""Analyzes a single chunk of text: its words, letters, marks and suspicion."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.compiled import LEFT_OUT, UNKNOWN, Compiled
from textmod_model.scoring.framed import Frame
from textmod_model.scoring.grams import GramSums
from textmod_model.scoring.judged import UNSURE
from textmod_model.text import features
from textmod_model.text.chunks import ChunkTokenizer
from textmod_model.text.cleaning import MAX_CHUNK, URL_WORD, cut, pieces, word
from textmod_model.text.evasion import quick_suspicion, suspicion


class Known(NamedTuple):
    """What is known of one chunk."""

    tokens: tuple[int, ...]
    """Ids of the words."""
    letters: str = ""
    """What its character n-grams are cut from, `features.padded`; empty for a recipe without."""
    marks: Sequence[int] = ()
    """Places in `features.MARKS`, one as often as it has that mark."""
    chunks: int = 1
    fragile: bool = False
    """Holds beside these neighbours only (`chunks.Tokenized.fragile`)."""
    suspicion: int = 0
    """How strongly the chunk suggests evasion (`evasion.suspicion`); UNSURE until it is needed."""

    @property
    def notes(self) -> int:
        """Suspicion and fragility in one number, needed before a text is scored; mostly 0."""
        return self.fragile | self.suspicion << 1


class Marks(NamedTuple):
    """What is known of the marks around letters."""

    before: tuple[int, ...]
    """Ids of the words that they are, if they are any."""
    behind: tuple[int, ...]
    fragile: bool


class Analyzer:
    """Works out what is to be known of a chunk, from the compiled model."""

    def __init__(self, compiled: Compiled) -> None:
        self._tokenizer = ChunkTokenizer(compiled.rules)
        self._words = compiled.words
        self._forms = compiled.forms
        self._url = compiled.words.get(URL_WORD, UNKNOWN)
        weights = [compiled.gram_idf * head.gram_weights for head in compiled.heads()]
        values = np.column_stack((*weights, compiled.gram_idf))
        self._labels = compiled.labels
        self._grams = GramSums(list(compiled.grams), values) if compiled.grams else None
        self.has_shape = len(compiled.means) > 0
        self.undisguises = compiled.undisguises

    def chunk(self, chunk: str, said: int) -> Known:
        """Analyze one chunk of any length; `said` is its suspicion or UNSURE."""
        known = self._parts(chunk)
        return known._replace(suspicion=said) if said else known

    def suspicion(self, chunk: str) -> int:
        """Return how strongly a chunk suggests evasion."""
        return suspicion(chunk) if self.undisguises else 0

    def quick_suspicion(self, chunk: str) -> int:
        """Return what `suspicion` does if that takes little time, otherwise UNSURE."""
        said = quick_suspicion(chunk) if self.undisguises else 0
        return UNSURE if said is None else said

    def _parts(self, chunk: str) -> Known:
        if len(chunk) > MAX_CHUNK:
            cut = pieces(chunk)
            known = {piece: self._parts(piece) for piece in set(cut)}  # often one and the same
            return _joined([known[piece] for piece in cut])
        tokens, fragile = self.ids(chunk)
        letters = features.padded(chunk) if self._grams is not None else ""
        marks = features.marks(chunk) if self.has_shape else ()
        return Known(tokens, letters, marks, 1, fragile)

    def ids(self, chunk: str) -> tuple[tuple[int, ...], bool]:
        """Return the words' ids of a chunk of up to MAX_CHUNK characters, and if it is fragile."""
        fragile = False
        tokens: Sequence[str] | None = self._tokenizer.plain(chunk)
        if tokens is None:
            tokens, fragile = self._tokenizer.marked(chunk)
        return self.token_ids(tokens), fragile

    def tokenized_with(self, chunks: Sequence[str], at: int, within: range) -> range:
        """Return the run of chunks within which a fragile one is to be tokenized."""
        return self._tokenizer.tokenized_with(chunks, at, within)

    def words(self, text: str) -> Known:
        """Take the words of a part of a tidy text, or all of it, as if it were one chunk."""
        tokens = self.token_ids(self._tokenizer.text(cut(text)))
        return Known(tokens, chunks=0)

    def words_of_chunks(self, text: str) -> tuple[list[int], list[int]]:
        """Return the ids of a whole tidy text's words, and which of its chunks each is in.

        No token reaches across white space, and all of a chunk's joined are the chunk.
        """
        ends = list(accumulate(map(len, text.split())))
        ids: list[int] = []
        owners: list[int] = []
        chunk = done = 0
        for token in self._tokenizer.text(cut(text)):
            found = self.token_ids((token,))
            ids += found
            owners += [chunk] * len(found)
            done += len(token)
            chunk += done >= ends[chunk]
        return ids, owners

    def gram_sums(self, letters: Sequence[str]) -> NDArray[np.float64]:
        """Return each label's weight and the mass of chunks, shape (len(letters), labels + 1)."""
        if self._grams is None:
            return np.zeros((len(letters), self._labels + 1))
        return self._grams.sums(letters)

    def special_words(self) -> set[str]:
        """Return the letters between marks to which `marks` does not apply."""
        return self._tokenizer.words_of_cases()

    def marks(self, frame: Frame) -> Marks | None:
        """Return what comes of the marks around letters, None if the letters matter too."""
        first = "small" if frame.begins_small else "capital"
        last = "small" if frame.ends_small else "capitals" if frame.ends_in_capitals else "capital"
        split = self._tokenizer.around(frame.before, frame.behind, first=first, last=last)
        if split is None:
            return None
        front, back = split
        return Marks(
            self.token_ids(front.tokens), self.token_ids(back.tokens), front.fragile | back.fragile
        )

    def word_ids(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Return the ids of tokens as they are written, and of others by their lower case."""
        return self._forms, self._words

    def token_ids(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Return the words' ids of tokens; those that are no words are left out."""
        forms, words = self._forms, self._words
        ids = []
        for token in tokens:
            number = forms.get(token)
            if number is None:  # letters alone are no symbol and no address
                number = words.get(token.lower(), UNKNOWN) if token.isalpha() else self._id(token)
            if number != LEFT_OUT:
                ids.append(number)
        return tuple(ids)

    def _id(self, token: str) -> int:
        """Return the id of a token that is no form and not letters alone."""
        if ("." in token or token.startswith("http")) and self._tokenizer.like_url(token):
            return self._url
        lowered = word(token)
        return self._words.get(lowered, UNKNOWN) if lowered else LEFT_OUT


def counts_of_marks(entries: Sequence[Known]) -> NDArray[np.int16]:
    """Return how often each entry has each mark, shape (len(entries), number of marks)."""
    width = len(features.MARKS)
    rows = np.repeat(np.arange(len(entries)), [len(entry.marks) for entry in entries])
    marks = np.fromiter(chain.from_iterable(entry.marks for entry in entries), np.int64)
    counts = np.bincount(rows * width + marks, minlength=len(entries) * width)
    return counts.astype(np.int16).reshape(-1, width)


def _joined(parts: Sequence[Known]) -> Known:
    return Known(
        tuple(token for part in parts for token in part.tokens),
        letters="".join(part.letters for part in parts),
        marks=[mark for part in parts for mark in part.marks],
        chunks=len(parts),
        fragile=any(part.fragile for part in parts),
    )
