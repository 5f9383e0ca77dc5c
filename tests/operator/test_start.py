"""What the process does once, at its start."""

from __future__ import annotations

import gc

from textmod_operator.__main__ import exempt_from_collection


def test_a_full_collection_passes_over_all_that_is_there_at_the_start() -> None:
    assert gc.get_freeze_count() == 0
    try:
        exempt_from_collection()
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < gc.get_freeze_count() / 100
    finally:
        gc.unfreeze()
