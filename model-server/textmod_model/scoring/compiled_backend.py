"""Score texts by arrays, a batch as a whole.

Each text becomes chunks, each chunk an index into what is remembered of chunks (`memo`), and all
indices of the batch become word ids, n-gram features, and one sum a text. The result is the
scikit-learn pipeline's to 1e-9; tests hold it to that.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from textmod_model.scoring.compiled import Compiled, Floats, Integers, Memory
from textmod_model.scoring.contributions import Batch, Curve, Found
from textmod_model.scoring.explaining import Explainer, Pass
from textmod_model.scoring.explanation import Asked, Explanation
from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import BEGIN, BREAK, BREAK_INDEX, Memo
from textmod_model.scoring.neighbours import tokenized_again
from textmod_model.scoring.packed import Chunks
from textmod_model.scoring.shortcut import Shortcut
from textmod_model.scoring.suspects import Suspicions
from textmod_model.scoring.vectors import mean_of_root, product, squashed, sums
from textmod_model.scoring.word_grams import WordGrams
from textmod_model.text.cleaning import tidy
from textmod_model.text.evasion import undisguise
from textmod_model.text.features import shape

MEMO_LIMIT: Final = 100_000
"""Chunks remembered beyond the artifact's own, about 200 bytes each."""
SMALL_MEMO_LIMIT: Final = 10_000
"""The same of a backend beside another one."""
_SLICE_CHARACTERS: Final = 1 << 18
_SLICE_TEXTS: Final = 512
_KEPT_CHARACTERS: Final = 1 << 19
"""Of the batch scored last, what was found is kept so that explaining it is cheap: about 20 bytes a
character. Of a longer batch the beginning is kept; before anything is explained, nothing."""
_MOST_MARKS: Final = 1 << 16
"""Of a text with fewer chunks 16 bits hold how many have a mark, so that four are added at once."""

_Explained = TypeVar("_Explained")


class _Words(NamedTuple):
    """What comes of the words of each text; shapes (n,), of several labels (n, labels), and
    (n, k + 1)."""

    decisions: Floats
    """Their n-grams' part of the decision values."""
    vectors: Floats
    """The sum of their vectors, and how many have one."""
    found: Found


class CompiledBackend:
    """The compiled form: a memo of chunks and sums over arrays."""

    def __init__(self, compiled: Compiled, *, memo_limit: int = MEMO_LIMIT) -> None:
        self._model = compiled
        self._heads = compiled.heads()
        self._intercept = np.asarray(compiled.intercept)
        self._grams = WordGrams(compiled)
        self._table = compiled.vectors.astype(np.float32)  # adding up halves takes longer
        # Texts are split together: BEGIN text BREAK BEGIN text BREAK …, without the beginnings for
        # a model without edges.
        self._begin = f"{BEGIN} " if compiled.edges else ""
        self._end = f" {BREAK}"
        self._between = f"{self._end} {self._begin}"
        self.memo = Memo(compiled, limit=memo_limit)
        self.shortcut: Shortcut | None = Shortcut(self.memo)
        self._explains: Explainer | None = None
        self._last: list[tuple[Sequence[str], Pass]] = []
        self._last_characters = 0

    @property
    def new_chunks(self) -> int:
        """How many chunks had not been met before."""
        return self.memo.misses + (self.shortcut.plain_words if self.shortcut else 0)

    def score(self, texts: Sequence[str]) -> Floats:
        """Return the probability of each text; an error leaves the backend as good as new."""
        self._last.clear()
        self._last_characters = 0
        try:
            return np.concatenate([self._score(part) for part in _slices(texts)])
        except BaseException:
            self.forget()
            raise

    def another(self, *, memo_limit: int = SMALL_MEMO_LIMIT) -> "CompiledBackend":
        """Return a backend of the same model, for another thread: with memories of its own."""
        other = copy.copy(self)
        other.memo = Memo(self._model, limit=memo_limit, analyzer=self.memo.analyzer)
        other.shortcut = Shortcut(other.memo)
        other._explains, other._last = None, []  # noqa: SLF001  # its own kind
        return other

    def cold(self) -> "CompiledBackend":
        """Return a backend of the same model that remembers nothing from one call to the next.

        It finds each chunk by the analyzer, not by the memo's arrays nor by what the artifact holds
        of it: slower by far, and free of what memories could get wrong.
        """
        other = copy.copy(self)
        nothing = replace(self._model, memory=Memory.empty(self._model.labels))
        other.memo = Memo(nothing, limit=0, analyzer=self.memo.analyzer)
        other.shortcut = None
        other._explains, other._last = None, []  # noqa: SLF001  # its own kind
        return other

    def explain(self, texts: Sequence[str], label: int = 0) -> list[Explanation]:
        """Return each text's explanation."""
        explainer = self._explainer()
        return self._explained(
            texts, lambda done, rows, sent: explainer.explain(done, rows, sent, label)
        )

    def briefs(self, texts: Sequence[str], asked: Asked) -> list[dict[str, Any]]:
        """Return each text's brief explanation; those of the batch scored last cost the least."""
        explainer = self._explainer()
        return self._explained(
            texts, lambda done, rows, sent: explainer.briefs(done, rows, sent, asked)
        )

    def _explained(
        self,
        texts: Sequence[str],
        explain: Callable[[Pass, Sequence[int], Sequence[str]], Sequence[_Explained]],
    ) -> list[_Explained]:
        """Explain texts, given what explains those at some rows of a pass.

        An error leaves the backend as good as new.
        """
        found: dict[str, _Explained] = {}
        rest = texts
        try:
            for sent, done in self._last:
                rows = _rows_of(rest, sent) if done.generation == self.memo.generation else []
                if len(rows) == len(texts):
                    return list(explain(done, rows, texts))
                if rows:
                    own, rest = rest[: len(rows)], rest[len(rows) :]
                    found.update(zip(own, explain(done, rows, own), strict=True))
            missing = [text for text in dict.fromkeys(texts) if text not in found]
            for part in _slices(missing) if missing else ():
                done = self._pass(part)
                found.update(zip(part, explain(done, range(len(part)), part), strict=True))
        except BaseException:
            self.forget()
            raise
        return [found[text] for text in texts]

    def _explainer(self) -> Explainer:
        if self._explains is None:
            self._explains = Explainer(self._model, self.memo, self._grams, self._table)
        return self._explains

    def forget(self) -> None:
        """Drop all that was remembered."""
        self.memo.forget()

    def _find(self, chunks: Chunks) -> Indices:
        if self.shortcut is None:
            return np.array(self.memo.find(chunks))
        return self.shortcut.find(chunks)

    def _score(self, texts: Sequence[str]) -> Floats:
        done = self._pass(texts)
        if self._explains is not None:
            self._last_characters += sum(map(len, texts))
            if self._last_characters <= _KEPT_CHARACTERS:
                self._last.append((texts, done))
        with np.errstate(over="ignore"):  # exp(-x) beyond 1e308 is a probability of 0
            return 1 / (1 + np.exp(-done.decisions))

    def _pass(self, texts: Sequence[str]) -> Pass:
        """Go over texts as they were sent."""
        self.memo.trim()  # not within the pass, of which the indices must stay valid
        return self._tidy_pass(list(map(tidy, texts)), as_written=self._model.undisguises)

    def _tidy_pass(self, texts: Sequence[str], *, as_written: bool) -> Pass:
        """Go over tidy texts; `as_written`, some may be disguised."""
        chunks = Chunks(self._begin + self._between.join(map(_spaced, texts)) + self._end)
        indices = self._find(chunks)
        words = self._words(indices)
        breaks = np.flatnonzero(indices == BREAK_INDEX)
        bounds = np.concatenate(([0], breaks + 1))
        starts = bounds[:-1]
        notes = self.memo.columns().notes.take(indices)
        noted = np.flatnonzero(notes)
        corrected = self._correct(words, texts, chunks, indices, noted[notes[noted] & 1 == 1])
        decisions = self._intercept + words.decisions
        curve: Curve | None = None
        if self._model.grams:
            decisions += self._letters(indices, starts)
        if len(self._model.means):
            curve = self._curve(self._numbers(indices, starts, words.vectors))
            decisions += self._of_curve(curve)
        again: Pass | None = None
        rest: dict[int, str] = {}
        if as_written and len(noted):
            suspicions = notes[noted] >> 1
            saying = suspicions != 0
            suspects = Suspicions(self.memo, chunks, indices).suspects(
                noted[saying], suspicions[saying], bounds, edges=self._model.edges
            )
            rest = {
                row: instead
                for row in suspects
                if (instead := undisguise(texts[row])) != texts[row]
            }
            if rest:
                again = self._tidy_pass(list(rest.values()), as_written=False)
                decisions[list(rest)] = again.decisions
        reread = {row: at for at, row in enumerate(rest)}
        generation = self.memo.generation
        having = words.vectors[:, -1] if words.vectors.shape[1] else np.zeros(len(texts))
        batch = Batch(indices, words.found, curve, having)
        return Pass(texts, chunks, bounds, batch, decisions, corrected, reread, again, generation)

    def _correct(
        self,
        words: "_Words",
        texts: Sequence[str],
        chunks: Sequence[str],
        indices: Indices,
        fragile: Indices,
    ) -> AbstractSet[int]:
        """Replace what neighbours make of the tokens of fragile chunks (rare, see `neighbours`).

        Return the texts whose words were replaced.
        """
        changed = tokenized_again(
            self.memo, texts, chunks, indices, fragile, edges=self._model.edges
        )
        if changed:
            rows = list(changed)
            instead = self._words(np.concatenate(list(changed.values())))
            words.decisions[rows] = instead.decisions
            words.vectors[rows] = instead.vectors
        return changed.keys()

    def _letters(self, indices: Indices, starts: Indices) -> Floats:
        """Return the part of the decision values that comes from character n-grams.

        `indices` are chunk indices, `starts` the place of each text's first.
        """
        known = self.memo.columns()
        weight = np.add.reduceat(known.weight.take(indices, axis=0), starts)
        mass = np.add.reduceat(known.mass.take(indices), starts)
        roots = np.sqrt(np.where(mass > 0, mass, 1))
        return np.asarray(weight / (roots if weight.ndim == 1 else roots[:, None]))

    def _numbers(self, indices: Indices, starts: Indices, vectors: Floats) -> Floats:
        """Return the standardized numbers of each text that come from word vectors and shape."""
        known, model = self.memo.columns(), self._model
        chunks = np.add.reduceat(known.chunks.take(indices), starts)
        if chunks.max() < _MOST_MARKS:
            packed = known.marks.view(np.uint64).take(indices, axis=0)
            marks = np.add.reduceat(packed, starts).view(np.uint16)
        else:
            marks = np.add.reduceat(known.marks.take(indices, axis=0), starts, dtype=np.int32)
        raw = np.concatenate(
            (mean_of_root(vectors), shape(marks.astype(float), chunks.astype(float))), axis=1
        )
        return np.asarray((raw - model.means) / model.deviations)

    def _curve(self, numbers: Floats) -> Curve:
        """Bend the standardized numbers of texts."""
        bent = squashed(numbers)
        pulls = []
        for head in self._heads:
            pull = product(bent, head.quadratic)
            pull += head.bend
            pulls.append(pull)
        return Curve(numbers, bent, pulls)

    def _of_curve(self, curve: Curve) -> Floats:
        """Return the part of the decision values that comes from word vectors and shape."""
        return _beside(
            [
                product(curve.numbers, head.straight) + np.asarray((pull * curve.bent).sum(axis=1))
                for head, pull in zip(self._heads, curve.pulls, strict=True)
            ]
        )

    def _words(self, indices: Indices) -> "_Words":
        """Return what comes of the words of each text."""
        known = self.memo.columns()
        sizes = known.size.take(indices)
        ends = np.cumsum(sizes, dtype=np.int64)
        places = (known.start.take(indices) - (ends - sizes)).repeat(sizes)
        places += np.arange(len(places))
        tokens = known.tokens.take(places)
        is_break = indices == BREAK_INDEX
        rows = (is_break.cumsum() - is_break).repeat(sizes)
        texts = int(np.count_nonzero(is_break))
        grams = self._grams.by_size(tokens)
        features = np.concatenate([one for one, _ in grams])
        at = np.concatenate([places for _, places in grams])
        owners = rows.take(at)
        decisions, norms = self._dot(features, owners, texts)
        two = len(grams[0][0])
        cuts = two, two + len(grams[1][0])
        found = Found(tokens, sizes, ends, features, at, owners, cuts, norms)
        return _Words(decisions, sums(self._table, tokens, rows, texts), found)

    def _dot(self, features: Integers, rows: Indices, texts: int) -> tuple[Floats, Floats]:
        """Return the product of each text's normalised TF-IDF vector and the weights, and its norm.

        `features` holds one entry an occurrence, `rows` the text of each.
        """
        model = self._model
        bits = len(model.idf).bit_length()
        keys = (rows.astype(np.int32) << bits) | features
        keys.sort()
        first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))[: len(keys)])
        counts = np.empty(len(first))
        np.subtract(first[1:], first[:-1], out=counts[:-1])
        counts[-1:] = len(keys) - first[-1:]
        if model.sublinear:
            counts = np.log(counts) + 1
        keys = keys.take(first)
        rows, features = keys >> bits, keys & ((1 << bits) - 1)
        values = counts * model.idf.take(features)
        norms = np.sqrt(np.bincount(rows, weights=values * values, minlength=texts))
        norms[norms == 0] = 1
        products = [
            np.bincount(rows, weights=values * head.weights.take(features), minlength=texts) / norms
            for head in self._heads
        ]
        return _beside(products), norms


def _beside(labels: list[Floats]) -> Floats:
    """Return what there is of each label: one's as it is, several side by side."""
    return labels[0] if len(labels) == 1 else np.column_stack(labels)


def _rows_of(texts: Sequence[str], sent: Sequence[str]) -> list[int]:
    """Return where the first of `texts` are in a batch, as far as they are there in this order."""
    rows: list[int] = []
    begin = 0
    for text in texts:
        try:
            rows.append(sent.index(text, begin))  # mostly the same object, so comparing is quick
        except ValueError:
            break
        begin = rows[-1] + 1
    return rows


def _spaced(text: str) -> str:
    """Return a tidy text with no white space but ASCII's."""
    return text if text.isascii() else " ".join(text.split())


def _slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut a batch so that the arrays of one part stay small, whatever the texts' lengths."""
    start = characters = 0
    for at, text in enumerate(texts):
        if at > start and (
            characters + len(text) > _SLICE_CHARACTERS or at - start >= _SLICE_TEXTS
        ):
            yield texts[start:at]
            start, characters = at, 0
        characters += len(text)
    yield texts[start:]
