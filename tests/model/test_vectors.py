"""Products that start no threads."""

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
