"""Products and sums that start no threads."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from textmod_model.scoring import vectors


@pytest.mark.parametrize("rows", [0, 1, 2, 31, 32, 33, 34, 64, 65, 104, 105, 257, 512])
def test_a_product_in_blocks_has_the_digits_of_the_whole(rows: int) -> None:
    draw = np.random.default_rng(rows)
    left = draw.standard_normal((rows, 87))
    for right in (draw.standard_normal((87, 87)), draw.standard_normal(87)):
        with threadpool_limits(1):
            whole = left @ right
        np.testing.assert_array_equal(vectors.product(left, right), whole)


@pytest.mark.parametrize("block", [1, 100, 129, 1 << 13])
def test_sums_of_words_are_exact(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_BLOCK", block)
    draw = np.random.default_rng(block)
    table = draw.standard_normal((50, 7)).astype(np.float16).astype(np.float32)
    sizes = np.array([0, 3, 0, 1, 128, 129, 500, 0])
    rows = np.repeat(np.arange(len(sizes)), sizes)
    ids = draw.integers(0, len(table), len(rows)).astype(np.int32)
    expected = np.zeros((len(sizes), 7))
    np.add.at(expected, rows, table[ids].astype(np.float64))
    np.testing.assert_array_equal(vectors.sums(table, ids, rows, len(sizes)), expected)


def test_sums_of_nothing_are_zero() -> None:
    nothing = np.zeros(0, np.int64)
    none = vectors.sums(np.zeros((0, 0), np.float32), np.zeros(3, np.int32), nothing, 2)
    assert none.shape == (2, 0)
    without = vectors.sums(np.zeros((4, 3), np.float32), nothing.astype(np.int32), nothing, 2)
    np.testing.assert_array_equal(without, np.zeros((2, 3)))
