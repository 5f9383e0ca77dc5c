"""The texts of a training, read once: what every fold's features are counted from.

A recipe's pipeline would clean and tokenize all texts again for each of its parts and folds. Here
that happens once; a fold chooses its vocabulary and weighs it, by sums over sparse arrays. What a
fold gets is what its pipeline would have (tests hold it to that), in single precision.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from textmod_model.pipeline import VectorTransformer
from textmod_model.scoring import vectors
from textmod_model.text import features

_BLOCK: Final = 4096
"""Texts that are tokenized together, and rows whose n-grams are counted together."""

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class NothingToLearn(ValueError):  # noqa: N818  # the message says it
    """Texts without anything that the recipe sees."""


@dataclass(frozen=True)
class Features:
    """A fold's features: `union` makes of a text what `sparse` and `aside` hold of the rows."""

    union: FeatureUnion
    terms: Indices
    """Which words and pairs of words the fold chose, in the order of its columns."""
    grams: csr_matrix
    """The character n-grams that it chose, of each chunk."""
    sparse: tuple[csr_matrix, ...]
    aside: Floats


class Corpus:
    """The words and the chunks of all texts, as numbers.

    `advance` is called with the share of the texts that has been read.
    """

    def __init__(
        self,
        texts: Sequence[str],
        unfitted: Pipeline,
        advance: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._unfitted: FeatureUnion = unfitted.named_steps["features"]
        parts = {name: part.named_steps for name, part in self._unfitted.transformer_list}
        self._words: TfidfVectorizer = parts["words"]["tfidf"]
        self._grams: TfidfVectorizer = parts["grams"]["counts"]
        self._gram_weight = self._unfitted.transformer_weights["grams"]
        self._vectors = VectorTransformer().fit([])
        chunks, words = _Numbers(), _Numbers()
        cleaner = unfitted.named_steps["clean"]
        tokenizer = parts["words"]["tokens"]
        for start in range(0, len(texts), _BLOCK):
            cleaned = cleaner.transform(texts[start : start + _BLOCK])
            chunks.add(text.split() for text in cleaned)
            words.add(tokenizer.transform(cleaned))
            advance(min(start + _BLOCK, len(texts)) / len(texts))
        self._count_words(words)
        self._count_chunks(chunks)

    def __len__(self) -> int:
        return int(self._word_counts.shape[0])

    def _count_words(self, words: "_Numbers") -> None:
        ends = np.cumsum(words.sizes_array())
        tokens = words.array()
        unigrams = _counts(tokens, words.sizes_array(), len(words.names))
        self._meaning = self._sums_of_vectors(unigrams, words.names)
        # A pair of words is a number: first · (number of words) + second. No pair lies across two
        # texts; each text has a pair, since it has a word at either end.
        inside = np.ones(len(tokens) - 1, np.bool_)
        inside[ends[:-1] - 1] = False
        pairs = tokens[:-1].astype(np.int64) * len(words.names) + tokens[1:]
        keys, numbers = np.unique(pairs[inside], return_inverse=True)
        bigrams = _counts(numbers, words.sizes_array() - 1, len(keys))
        self._word_names = words.names
        self._word_counts, self._pair_counts, self._pair_keys = self._without_rare(
            unigrams, bigrams, keys
        )

    def _without_rare(
        self, unigrams: csr_matrix, bigrams: csr_matrix, keys: Indices
    ) -> tuple[csr_matrix, csr_matrix, Indices]:
        """Leave out the pairs of words that no fold can choose.

        A fold sees 80 % of the rows. Where twice as many terms as it chooses come at least t times,
        it does not choose one that comes less than t / 2 times.
        """
        of_pairs = np.asarray(bigrams.sum(axis=0)).ravel()
        totals = np.concatenate((np.asarray(unigrams.sum(axis=0)).ravel(), of_pairs))
        most = 2 * self._words.max_features
        if len(totals) <= most:
            return unigrams, bigrams, keys
        enough = np.partition(totals, len(totals) - most)[len(totals) - most] / 2
        kept = np.flatnonzero(of_pairs >= enough)
        return unigrams, csr_matrix(bigrams[:, kept]), keys[kept]

    def _sums_of_vectors(self, counts: csr_matrix, names: Sequence[str]) -> Floats:
        places = {word: at for at, word in enumerate(self._vectors.words_.tolist())}
        found = [(number, places[name]) for number, name in enumerate(names) if name in places]
        if not found:
            return np.zeros((counts.shape[0], vectors.DIMENSIONS))
        numbers, at = np.array(found).T
        table = np.ones((len(at), vectors.DIMENSIONS + 1))
        table[:, :-1] = self._vectors.vectors_[at]
        return vectors.mean_of_root(csr_matrix(counts[:, numbers]).astype(np.float64) @ table)

    def _count_chunks(self, chunks: "_Numbers") -> None:
        names = chunks.names
        self._chunk_counts = _counts(chunks.array(), chunks.sizes_array(), len(names))
        marks = np.zeros((len(names), len(features.MARKS)))
        grams = _Numbers()
        for row, chunk in enumerate(names):
            marks[row, features.marks(chunk)] = 1
        for start in range(0, len(names), _BLOCK):
            grams.add(features.grams(chunk) for chunk in names[start : start + _BLOCK])
        lengths = np.asarray(self._chunk_counts.sum(axis=1), np.float64).ravel()
        self._shape = features.shape(self._chunk_counts @ marks, lengths)
        self._gram_names = grams.names
        self._chunk_grams = _counts(grams.array(), grams.sizes_array(), len(grams.names))

    # --- what a fold gets ---------------------------------------------------------------------

    def fit(self, rows: Indices) -> Features:
        """Choose and weigh the features by some rows. Raises NothingToLearn."""
        words, terms = self._fit_words(rows)
        grams, of_chunks = self._fit_grams(rows)
        meaning, shape = (
            StandardScaler().fit(found[rows]) for found in (self._meaning, self._shape)
        )
        steps = {"tfidf": words, "counts": grams, "vectors": self._vectors}
        fitted = _fitted_union(self._unfitted, steps, {"meaning": meaning, "shape": shape})
        sparse = (self._word_matrix(words, terms, rows), self._gram_matrix(grams, of_chunks, rows))
        return Features(fitted, terms, of_chunks, sparse, self._aside(meaning, shape, rows))

    def transform(self, fitted: Features, rows: Indices) -> csr_matrix:
        """Return the features of other rows, shape (len(rows), d)."""
        from scipy.sparse import hstack

        parts = {name: part.named_steps for name, part in fitted.union.transformer_list}
        words = self._word_matrix(parts["words"]["tfidf"], fitted.terms, rows)
        grams = self._gram_matrix(parts["grams"]["counts"], fitted.grams, rows)
        aside = self._aside(parts["meaning"]["scale"], parts["shape"]["scale"], rows)
        return csr_matrix(hstack([words, grams, csr_matrix(aside.astype(np.float32))]))

    def _aside(self, meaning: StandardScaler, shape: StandardScaler, rows: Indices) -> Floats:
        return np.concatenate(
            (meaning.transform(self._meaning[rows]), shape.transform(self._shape[rows])), axis=1
        )

    def _fit_words(self, rows: Indices) -> tuple[TfidfVectorizer, Indices]:
        counts = [_rows(found, rows) for found in (self._word_counts, self._pair_counts)]
        totals = np.concatenate([np.asarray(part.sum(axis=0)).ravel() for part in counts])
        chosen = _most_frequent(totals, self._words.max_features)
        names = [self._term(at) for at in chosen.tolist()]
        order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
        if not len(order):
            raise NothingToLearn("no text has a word")
        terms = chosen[order]
        frequencies = np.concatenate(
            [np.bincount(part.indices, minlength=part.shape[1]) for part in counts]
        )[terms]
        vectorizer = _with_vocabulary(
            self._words, [names[at] for at in order.tolist()], frequencies, len(rows)
        )
        return vectorizer, terms

    def _term(self, at: int) -> str:
        if at < len(self._word_names):
            return self._word_names[at]
        first, second = divmod(
            int(self._pair_keys[at - len(self._word_names)]), len(self._word_names)
        )
        return f"{self._word_names[first]} {self._word_names[second]}"

    def _word_matrix(
        self, vectorizer: TfidfVectorizer, terms: Indices, rows: Indices
    ) -> csr_matrix:
        """Return the TF-IDF of some terms."""
        width = len(self._word_names)
        of_words = terms < width
        found = csr_matrix((len(rows), len(terms)), dtype=np.float32)
        for counts, chosen, first in (
            (self._word_counts, of_words, 0),
            (self._pair_counts, ~of_words, width),
        ):
            places = np.full(counts.shape[1], -1)
            places[terms[chosen] - first] = np.flatnonzero(chosen)
            found = found + _renumbered(_rows(counts, rows), places, len(terms))
        found = csr_matrix(found, dtype=np.float32)
        np.log(found.data, out=found.data)
        found.data += 1
        found.data *= vectorizer.idf_.astype(np.float32)[found.indices]
        norms = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
        return csr_matrix(diags(1 / np.where(norms > 0, norms, 1).astype(np.float32)) @ found)

    def _fit_grams(self, rows: Indices) -> tuple[TfidfVectorizer, csr_matrix]:
        width = len(self._gram_names)
        frequencies = np.zeros(width, np.int64)
        for start in range(0, len(rows), _BLOCK):
            part = _rows(self._chunk_counts, rows[start : start + _BLOCK]) @ self._chunk_grams
            frequencies += np.bincount(part.indices, minlength=width)
        totals = np.asarray(_rows(self._chunk_counts, rows).sum(axis=0) @ self._chunk_grams).ravel()
        enough = frequencies >= self._grams.min_df
        if not enough.any():
            enough = frequencies > 0
        if not enough.any():
            raise NothingToLearn("all texts are empty once they are cleaned")
        able = np.flatnonzero(enough)
        chosen = able[_most_frequent(totals[able], self._grams.max_features)]
        names = sorted((self._gram_names[at], at) for at in chosen.tolist())
        order = np.array([at for _, at in names])
        vectorizer = _with_vocabulary(
            self._grams, [name for name, _ in names], frequencies[order], len(rows)
        )
        return vectorizer, csr_matrix(self._chunk_grams[:, order], dtype=np.float32)

    def _gram_matrix(
        self, vectorizer: TfidfVectorizer, of_chunks: csr_matrix, rows: Indices
    ) -> csr_matrix:
        """Return the weighed n-grams of some rows, divided and scaled."""
        idf = vectorizer.idf_.astype(np.float32)
        parts = []
        for start in range(0, len(rows), _BLOCK):
            counts = _rows(self._chunk_counts, rows[start : start + _BLOCK]).astype(np.float32)
            part = csr_matrix(counts @ of_chunks)
            part.sort_indices()
            part.data *= idf[part.indices]
            sums = np.asarray(part.sum(axis=1), np.float64).ravel()
            scale = self._gram_weight / np.sqrt(np.where(sums > 0, sums, 1))
            part.data *= np.repeat(scale, np.diff(part.indptr)).astype(np.float32)
            parts.append(part)
        return _stacked(parts, len(idf))


class _Numbers:
    """Lists of names as lists of numbers, each name's given when it first comes."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._parts: list[NDArray[np.int32]] = []
        self._sizes: list[NDArray[np.int32]] = []

    def add(self, lists: Iterable[Sequence[str]]) -> None:
        """Number the names of some lists."""
        numbers = self._numbers
        held = list(lists)
        self._sizes.append(np.fromiter(map(len, held), np.int32, len(held)))
        self._parts.append(
            np.fromiter(
                (numbers.setdefault(name, len(numbers)) for name in chain.from_iterable(held)),
                np.int32,
            )
        )

    @property
    def names(self) -> list[str]:
        return list(self._numbers)

    def array(self) -> NDArray[np.int32]:
        return np.concatenate([np.zeros(0, np.int32), *self._parts])

    def sizes_array(self) -> NDArray[np.int32]:
        return np.concatenate([np.zeros(0, np.int32), *self._sizes])


def _counts(numbers: NDArray[np.integer], sizes: NDArray[np.integer], width: int) -> csr_matrix:
    """Count the numbers of each row, whose sizes are given, shape (rows, width)."""
    ends = np.concatenate(([0], np.cumsum(sizes)))
    ones = np.ones(len(numbers), np.int32)
    matrix = csr_matrix((ones, numbers.astype(np.int32), ends), shape=(len(sizes), width))
    matrix.sum_duplicates()
    return matrix


def _rows(matrix: csr_matrix, rows: Indices) -> csr_matrix:
    if len(rows) == matrix.shape[0] and len(rows) and rows[-1] == len(rows) - 1:
        return matrix  # all of them, in order
    return csr_matrix(matrix[rows])


def _renumbered(matrix: csr_matrix, places: Indices, width: int) -> csr_matrix:
    """Move columns to other places, those at -1 left out."""
    kept = np.flatnonzero(places >= 0)
    part = csr_matrix(matrix[:, kept], dtype=np.float32)
    moved = csr_matrix(
        (part.data, places[kept].astype(np.int32)[part.indices], part.indptr),
        shape=(matrix.shape[0], width),
    )
    moved.sort_indices()
    return moved


def _stacked(parts: Sequence[csr_matrix], width: int) -> csr_matrix:
    """Stack blocks of rows, without a copy more than needed."""
    if len(parts) == 1:
        return parts[0]
    sizes = np.concatenate([np.diff(part.indptr) for part in parts])
    indptr = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
    indices = np.concatenate([part.indices.astype(np.int32, copy=False) for part in parts])
    data = np.concatenate([part.data for part in parts])
    if indptr[-1] < 2**31:
        indptr = indptr.astype(np.int32)
    return csr_matrix((data, indices, indptr), shape=(len(sizes), width))


def _most_frequent(totals: NDArray[np.integer], most: int) -> Indices:
    """Return the places of the largest totals, the earlier ones first where they are equal."""
    found = np.flatnonzero(totals > 0)
    if len(found) <= most:
        return found
    return np.sort(found[np.argsort(-totals[found], kind="stable")[:most]])


def _with_vocabulary(
    unfitted: TfidfVectorizer, names: Sequence[str], frequencies: Indices, rows: int
) -> TfidfVectorizer:
    """Return a vectorizer that is fitted: these terms, each in so many of the rows."""
    fitted = TfidfVectorizer(**unfitted.get_params())
    fitted.vocabulary_ = {name: at for at, name in enumerate(names)}
    fitted.fixed_vocabulary_ = False
    transformer = TfidfTransformer(
        norm=unfitted.norm,
        use_idf=unfitted.use_idf,
        smooth_idf=unfitted.smooth_idf,
        sublinear_tf=unfitted.sublinear_tf,
    )
    transformer.idf_ = np.log((1 + rows) / (1 + frequencies.astype(np.float64))) + 1
    transformer.n_features_in_ = len(names)
    fitted._tfidf = transformer  # noqa: SLF001  # where a vectorizer keeps what it has fitted
    return fitted


def _fitted_union(
    unfitted: FeatureUnion, fitted: Mapping[str, object], scalers: Mapping[str, StandardScaler]
) -> FeatureUnion:
    """Return the union with its fitted steps, and each part's scaler, in place of the unfitted."""
    parts = [
        (
            name,
            Pipeline(
                [
                    (step, scalers[name] if step == "scale" else fitted.get(step, transformer))
                    for step, transformer in part.steps
                ]
            ),
        )
        for name, part in unfitted.transformer_list
    ]
    return FeatureUnion(parts, transformer_weights=unfitted.transformer_weights)
