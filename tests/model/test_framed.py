"""Words between marks are found by the same rule under numpy 1 and 2."""

import numpy as np
import pytest

from textmod_model.scoring import framed


def test_bits_are_counted_without_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = np.array([0, 1, 0xFF00, 2**63, 2**64 - 1], np.uint64)
    monkeypatch.delattr(np, "bitwise_count")
    assert framed._count(masks).tolist() == [0, 1, 8, 1, 64]
    assert framed._count(masks[:0]).tolist() == []
