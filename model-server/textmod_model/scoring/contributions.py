"""What each chunk of texts adds to their decision values: exact shares, for many texts at once.

Given the text, all norms are numbers and the decision value is a sum. What is shared, and how:

- A word n-gram's part is shared equally among its words. ``START`` and ``END`` are words too; their
  shares are those of the features "beginning of the text" and "end of the text".
- A character n-gram stands within one chunk.
- Of the quadratic form q(s) = s·Q·s + r·s, number i has s[i]·(Q·s + r)[i], which adds up to q. With
  the ratio s[i]/z[i] of a squashed number to what it was, between 0 and 1 and 1 at 0, that is z[i]
  times a finite slope, however small z[i] is. With the linear part's coefficient added, a number
  contributes slope[i]·z[i] in all.
- z[i] of the word vectors is a sum over the words that have one: each has its own vector over the
  root of their number, less an equal share of the mean over all texts. A text without such words
  has the mean alone, the feature "no known words".
- Each z[j] of the shape belongs to a feature with a name.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textmod_model.scoring.compiled import Compiled, Floats, Integers
from textmod_model.scoring.lookup import Indices
from textmod_model.scoring.memo import Columns
from textmod_model.scoring.vectors import product
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
# Words are multiplied in lines of so many, of which no thread is started (see `product`), and so
# many lines together: few enough to stay in the cache, since a text may be long.
_LINE: Final = 16
_LINES: Final = 128


class Found(NamedTuple):
    """What scoring found of the words of texts."""

    tokens: Integers
    """The ids of all words, text after text."""
    sizes: Integers
    """How many words each chunk has."""
    ends: Indices
    """Of each chunk, the place behind its last word."""
    features: Integers
    """The word n-grams, one entry an occurrence: those of one word first, then of two, of three."""
    places: Indices
    """The place of each one's first word."""
    texts: Indices
    """The text of each one."""
    cuts: tuple[int, int]
    """Where those of two words, and of three, begin."""
    norms: Floats
    """Of each text's TF-IDF vector."""


class Curve(NamedTuple):
    """What scoring found of the numbers of texts, z and s above, each of shape (n, numbers)."""

    numbers: Floats
    bent: Floats
    """s, the squashed numbers."""
    pulls: list[Floats]
    """Of each label Q·s + r."""


class Batch(NamedTuple):
    """Texts as their scoring found them."""

    indices: Indices
    """Their chunks', the break behind each text included."""
    found: Found
    curve: Curve | None
    """None for a model without vectors and shape."""
    having: Floats
    """How many words of each text have a vector."""


class Texts(NamedTuple):
    """Some of the texts of a batch."""

    rows: Indices
    starts: Indices
    """The place of each text's first chunk among `places`."""
    sizes: Indices
    """How many chunks each has, those around it included."""
    owners: Indices
    """Of each of these chunks, which of these texts it is in."""
    places: Indices
    """Of their chunks in the batch, text after text."""


class Shares(NamedTuple):
    """What adds up to the decision values of texts, but for the intercept."""

    chunks: Floats
    """Of each of the texts' chunks; 0 of those that part the texts."""
    features: Floats
    """Shape (number of texts, len(names)); without columns for a model that has no features."""


class Contributions:
    """Share out a compiled model's decision values."""

    def __init__(self, compiled: Compiled, table: Singles) -> None:
        """Take a model, and its word vectors, as `Compiled.vectors`."""
        self._model = compiled
        self._table = table
        self._heads = compiled.heads()
        self._products = [compiled.idf * head.weights for head in self._heads]
        self._dimensions = max(table.shape[1] - 1, 0)
        self.names = NAMES if len(compiled.means) or compiled.edges else ()
        """Names of the features that this model has."""

    def shares(self, known: Columns, batch: Batch, texts: Texts, label: int) -> Shares:
        """Share out the decision values of one label, of some texts of a batch."""
        model, found = self._model, batch.found
        words = _words_of(found, texts)
        chunks = self._of_words(found, words, texts, label)
        features = np.zeros((len(texts.rows), len(self.names)))
        if batch.curve is not None:
            self._share_curve(batch, batch.curve, words, label, Shares(chunks, features))
        if model.grams:
            own = batch.indices[texts.places]
            mass = np.add.reduceat(known.mass.take(own), texts.starts)
            roots = np.sqrt(np.where(mass > 0, mass, 1))
            weight = known.weight if known.weight.ndim == 1 else known.weight[:, label]
            chunks += weight.take(own) / roots.take(texts.owners)
        if model.edges:
            first, last = texts.starts, texts.starts + texts.sizes - 1
            features[:, _BEGINNING] = chunks[first]
            features[:, _END] = chunks[last]
            chunks[first] = chunks[last] = 0
        return Shares(chunks, features)

    def norm(self, features: Integers) -> Floats:
        """Return the norm of one text's TF-IDF vector, shape (1,), by its n-grams' occurrences."""
        chosen, counts = np.unique(features, return_counts=True)
        values = (np.log(counts) + 1 if self._model.sublinear else counts) * self._model.idf[chosen]
        return np.array([np.sqrt(values @ values) or 1.0])

    def _of_words(self, found: Found, words: "_Words", texts: Texts, label: int) -> Floats:
        """Return the word n-grams' share of each of the texts' chunks."""
        chosen: Indices | slice = slice(None)
        cuts = list(found.cuts)
        if len(texts.rows) < len(found.norms):
            is_chosen = np.zeros(len(found.norms), np.bool_)
            is_chosen[texts.rows] = True
            chosen = np.flatnonzero(is_chosen[found.texts])
            cuts = np.searchsorted(chosen, cuts).tolist()
        features, rows = found.features[chosen], found.texts[chosen]
        shifts = np.zeros(len(found.norms), np.int64)
        shifts[texts.rows] = words.shifts(words.begins)
        places = found.places[chosen] - shifts.take(rows)
        shares = self._products[label].take(features) / found.norms.take(rows)
        if self._model.sublinear:
            shares *= self._dampened(features, rows)
        # Each n-gram's share again for each of its words.
        two, three = cuts
        shares[two:three] /= 2
        shares[three:] /= 3
        at = np.concatenate((places, places[two:] + 1, places[three:] + 2))
        parts = np.concatenate((shares, shares[two:], shares[three:]))
        owners = words.chunks.take(at)
        return np.bincount(owners, parts, len(texts.places)).astype(np.float64, copy=False)

    def _dampened(self, features: Integers, rows: Indices) -> Floats:
        """Return the part of one occurrence in what k occurrences count, (1 + log k) / k."""
        bits, count = len(self._model.idf).bit_length(), len(features).bit_length()
        keys = ((rows << bits) | features) << count
        keys += np.arange(len(keys))  # sorting whole numbers is faster than finding their order
        keys.sort()
        order = keys & ((1 << count) - 1)
        keys >>= count
        group = np.zeros(len(keys), np.int64)
        np.cumsum(keys[1:] != keys[:-1], out=group[1:])
        counts = np.bincount(group)
        each = np.arange(1, counts.max(initial=0) + 1)
        damped = ((np.log(each) + 1) / each).take(counts - 1)
        parts = np.empty(len(keys))
        parts[order] = damped.take(group)
        return parts

    def _share_curve(
        self, batch: Batch, curve: Curve, words: "_Words", label: int, shares: Shares
    ) -> None:
        """Add the shares of word vectors and shape."""
        model, size, rows = self._model, self._dimensions, words.rows
        numbers, having = curve.numbers[rows], batch.having[rows]
        is_zero = numbers == 0
        ratio = (curve.bent[rows] + is_zero) / (numbers + is_zero)
        slopes = self._heads[label].straight + ratio * curve.pulls[label][rows]
        shares.features[:, : _LENGTH + 1] = product((slopes * numbers)[:, size:], _NAME_OF_SHAPE)
        slopes = slopes[:, :size] / model.deviations[:size]
        means = product(slopes, model.means[:size])
        shares.features[:, _NO_WORDS] = np.where(having > 0, 0, -means)
        # Behind the slopes comes what a word that has a vector has of the mean.
        having = np.maximum(having, 1)[:, None]
        slopes = np.concatenate((slopes / np.sqrt(having), -means[:, None] / having), axis=1)
        said = self._of_vectors(batch.found.tokens, words, slopes)
        shares.chunks[:] += np.bincount(words.chunks, said, len(shares.chunks))

    def _of_vectors(self, tokens: Integers, words: "_Words", slopes: Floats) -> Floats:
        """Return the product of each word's vector and its text's slopes, shape (words,).

        Each text's words fill lines, and lines are multiplied many at once.
        """
        lines = -(-words.sizes // _LINE)
        owners = np.arange(len(lines)).repeat(lines)
        begins = (lines.cumsum() - lines) * _LINE
        places = words.spread(begins)
        ids = np.zeros((len(owners), _LINE), tokens.dtype)  # some word behind a text's last
        ids.reshape(-1)[places] = tokens.take(words.spread(words.begins))
        said = np.empty((len(owners), _LINE, 1))
        for begin in range(0, len(owners), _LINES):
            some = slice(begin, begin + _LINES)
            vectors = self._table.take(ids[some], axis=0).astype(np.float64)
            np.matmul(vectors, slopes.take(owners[some], axis=0)[:, :, None], out=said[some])
        return said.reshape(-1).take(places)


class _Words(NamedTuple):
    """The words of some texts, one text after the other."""

    chunks: Indices
    """Of each word, the place of its chunk among the texts' chunks."""
    sizes: Indices
    """How many words each text has."""
    rows: Indices
    """Each text's row of the batch."""
    begins: Indices
    """Where each text's words begin in the batch."""

    def spread(self, begins: Indices) -> Indices:
        """Return the place of each word, if those of each text begin at these."""
        places = self.shifts(begins).repeat(self.sizes)
        places += np.arange(len(places))
        return places

    def shifts(self, begins: Indices) -> Indices:
        """Return by how much each text's words move, if those of each text begin at these."""
        shifts = begins + self.sizes
        shifts -= self.sizes.cumsum()
        return shifts


def _words_of(found: Found, texts: Texts) -> _Words:
    """Return the words of some texts."""
    of_chunks = found.sizes[texts.places]
    sizes = np.add.reduceat(of_chunks, texts.starts, dtype=np.int64)
    first = texts.starts
    begins = found.ends[texts.places[first]] - of_chunks[first]
    chunks = np.arange(len(of_chunks)).repeat(of_chunks)
    return _Words(chunks, sizes, texts.rows, begins)
