"""What each chunk of texts adds to their decision values: exact shares, for many texts at once.

Given the text, all norms are numbers and the decision value is a sum. What is shared, and how:

- A word n-gram's part is shared equally among its words. ``START`` and ``END`` are words too; their
  shares are those of the features "beginning of the text" and "end of the text".
- A character n-gram stands within one chunk.
- Of the quadratic form q(s) = s·Q·s + r·s, number i has s[i]·(Q·s + r)[i], which adds up to q. With
  the ratio s[i]/z[i] of a squashed number to what it was, between 0 and 1 and 1 at 0, that is z[i]
  times a finite slope, however small z[i] is. With the linear part's coefficient added, all that a
  number says is slope[i]·z[i].
- z[i] of the word vectors is a sum over the words that have one: each has its own vector over the
  root of their number, less an equal share of the mean over all texts. A text without such words
  has the mean alone, the feature "no known words".
- z[j] of the shape is told by name.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.compiled import Compiled, Floats, Integers
from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import Columns
from textmod_model.scoring.vectors import product, squashed
from textmod_model.text.features import MARKS, SHAPE

_SAID: Final = {
    "long": "long words",
    "short": "short words",
    "capital": "words with a capital",
    "shouted": "words in capitals",
    "address": "links",
    "digit": "numbers",
    "not ASCII": "characters beyond ASCII",
    "bracket": "square brackets",
    "list or quote": "list and quote marks",
    "opens quotation": "opening quotation marks and brackets",
    "ends ?": "question marks",
    "ends !": "exclamation marks",
    "ends .": "full stops",
    "ends ,": "commas",
    "I": "first person (I, me, my)",
    "you": "you, we and they",
}
"""The marks as a person would say them."""
NAMES: Final = (
    *(_SAID[mark] for mark in MARKS),
    "length of the text",
    "no known words",
    "beginning of the text",
    "end of the text",
)
"""The features, in order of their columns."""
_LENGTH: Final = len(MARKS)
_NO_WORDS, _BEGINNING, _END = range(_LENGTH + 1, len(NAMES))
# The shape has two columns of each mark, then those of the length.
_NAME_OF_SHAPE: Final = np.eye(_LENGTH + 1)[
    [*range(len(MARKS)), *range(len(MARKS)), *[_LENGTH] * (len(SHAPE) - 2 * len(MARKS))]
]
"""1 where a column of the shape belongs to a feature."""
Singles = NDArray[np.float32]
_BLOCK: Final = (
    1 << 10
)  # tokens whose vectors are looked at together, so that they stay in the cache
_FEW: Final = 128  # tokens whose product with a slope is too small for threads, see `product`


class Grams(Protocol):
    """Finds n-grams in a row of tokens."""

    def find(self, tokens: Integers) -> tuple[Integers, Indices]: ...
    def by_size(self, tokens: Integers) -> list[tuple[Integers, Indices]]: ...


class Tokens(NamedTuple):
    """The words of several texts."""

    ids: Integers
    chunks: Indices
    """Of each token, the place of its chunk among the texts' chunks."""


class Batch(NamedTuple):
    """Texts, as their scoring found them."""

    indices: Indices
    """Their chunks', the break behind each text included."""
    starts: Indices
    """The place of each text's first chunk."""
    numbers: Floats
    """z of each text, see above; without columns for a model without vectors and shape."""
    having: Floats
    """How many words of each text have a vector."""


class Shares(NamedTuple):
    """What adds up to the decision values of texts, but for the intercept."""

    chunks: Floats
    """Of each chunk, shape (number of chunks,); 0 of those that part the texts."""
    features: Floats
    """Shape (number of texts, len(NAMES)); without columns for a model that has none of them."""


class Contributions:
    """Share out a compiled model's decision values."""

    def __init__(self, compiled: Compiled, grams: Grams, table: Singles) -> None:
        """Take a model, what finds its n-grams, and its word vectors, as `Compiled.vectors`."""
        self._model = compiled
        self._grams = grams
        self._table = table
        self._heads = compiled.heads()
        self._dimensions = max(table.shape[1] - 1, 0)
        self.names = NAMES if len(compiled.means) or compiled.edges else ()
        """Names of the features that this model has."""

    def shares(
        self, known: Columns, batch: Batch, label: int, tokens: Tokens | None = None
    ) -> Shares:
        """Share out the decision values of one label.

        Args:
            known: what is known of chunks.
            batch: the texts.
            label: index of the label.
            tokens: the texts' words, if they are not those of their chunks.
        """
        indices, starts = batch.indices, batch.starts
        tokens = tokens or words_of(known, indices)
        ends = np.append(starts[1:], len(indices))
        texts = np.repeat(np.arange(len(starts)), ends - starts)
        words = _Words(tokens.ids, tokens.chunks, texts[tokens.chunks])
        chunks = self._of_words(words, label, len(texts), len(starts))
        features = np.zeros((len(starts), len(self.names)))
        if self._model.grams:
            mass = np.add.reduceat(known.mass[indices], starts)
            roots = np.sqrt(np.where(mass > 0, mass, 1))
            weight = known.weight if known.weight.ndim == 1 else known.weight[:, label]
            chunks += weight[indices] / roots[texts]
        if len(self._model.means):
            self._share_curve(words, batch, label, Shares(chunks, features))
        if self._model.edges:
            features[:, _BEGINNING] = chunks[starts]
            features[:, _END] = chunks[ends - 1]
            chunks[starts] = chunks[ends - 1] = 0
        return Shares(chunks, features)

    def _of_words(self, words: "_Words", label: int, chunks: int, texts: int) -> Floats:
        """Return each chunk's share of the word n-grams."""
        model, weights = self._model, self._heads[label].weights
        found = self._grams.by_size(words.ids)
        features = np.concatenate([one for one, _ in found])
        places = np.concatenate([at for _, at in found])
        bits = len(model.idf).bit_length()
        count = len(places).bit_length()
        keys = ((words.texts[places] << bits) | features) << count
        keys += np.arange(len(places))  # sorting whole numbers is faster than finding their order
        keys.sort()
        order = keys & ((1 << count) - 1)
        keys >>= count
        is_first = np.concatenate(([True], keys[1:] != keys[:-1]))[: len(keys)]
        first = np.flatnonzero(is_first)
        counts = np.diff(first, append=len(keys)).astype(np.float64)
        rows, features = keys[first] >> bits, keys[first] & ((1 << bits) - 1)
        values = (np.log(counts) + 1 if model.sublinear else counts) * model.idf[features]
        norms = np.sqrt(np.bincount(rows, weights=values * values, minlength=texts))
        each = values * weights[features] / (norms[rows] * counts)
        shares = np.empty(len(keys))
        shares[order] = each[np.cumsum(is_first) - 1]
        # Each n-gram's share again for each of its words.
        owners, parts, done = [], [], 0
        for size, (_, at) in enumerate(found, start=1):
            part = shares[done : done + len(at)] / size
            done += len(at)
            owners += [words.chunks[at + offset] for offset in range(size)]
            parts += [part] * size
        owner = np.concatenate(owners)
        return np.bincount(owner, np.concatenate(parts), chunks).astype(np.float64, copy=False)

    def _share_curve(self, words: "_Words", batch: Batch, label: int, shares: Shares) -> None:
        """Add what word vectors and shape say to the shares."""
        model, head, size = self._model, self._heads[label], self._dimensions
        numbers, bent = batch.numbers, squashed(batch.numbers)
        ratio = np.divide(bent, numbers, out=np.ones_like(bent), where=numbers != 0)
        slopes = head.straight + ratio * (product(bent, head.quadratic) + head.bend)
        shares.features[:, : _LENGTH + 1] = product((slopes * numbers)[:, size:], _NAME_OF_SHAPE)
        slopes = slopes[:, :size] / model.deviations[:size]
        means = product(slopes, model.means[:size])
        shares.features[:, _NO_WORDS] = np.where(batch.having > 0, 0, -means)
        having = np.maximum(batch.having, 1)
        slopes /= np.sqrt(having)[:, None]
        means /= having
        for block in words.blocks():
            found = np.take(self._table, block.ids, axis=0).astype(np.float64)
            edges = np.flatnonzero(np.diff(block.texts, prepend=-1, append=-1)).tolist()
            said = np.empty(len(found))
            for begin, end in pairwise(edges):
                slope = slopes[block.texts[begin]]
                for cut in range(begin, end, _FEW):
                    few = slice(cut, min(cut + _FEW, end))
                    np.dot(found[few, :-1], slope, out=said[few])
            said -= found[:, -1] * means[block.texts]
            shares.chunks[:] += np.bincount(block.chunks, said, len(shares.chunks))


class _Words(NamedTuple):
    """Words of texts: parallel arrays."""

    ids: Integers
    chunks: Indices
    texts: Indices

    def blocks(self) -> "Iterator[_Words]":
        """Yield them in parts, since a text may be long."""
        for begin in range(0, len(self.ids), _BLOCK):
            part = slice(begin, begin + _BLOCK)
            yield _Words(self.ids[part], self.chunks[part], self.texts[part])


def words_of(known: Columns, indices: Indices) -> Tokens:
    """Return the words of chunks, as they are remembered."""
    sizes = known.size[indices]
    ends = np.cumsum(sizes)
    places = np.repeat(known.start[indices] - (ends - sizes), sizes)
    places += np.arange(len(places))
    return Tokens(known.tokens[places], np.repeat(np.arange(len(indices)), sizes))
