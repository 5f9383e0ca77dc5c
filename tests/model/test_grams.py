from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_model.scoring.grams import GramSums
from textmod_model.scoring.lookup import Lookup
from textmod_model.text import features

KNOWN = [" th", "the", "he ", " the", "he, ", "é! ", " 科学", "😀😀 ", "a a"]
VALUES = np.arange(1.0, 1 + 2 * len(KNOWN)).reshape(-1, 2)
words = st.sampled_from(["the", "the,", "THE", "é!", "科学", "😀😀", "x", "İth", "th", "\ud800"])


@given(st.lists(words | st.text(st.characters(exclude_categories=["Z", "Cc"]), min_size=1)))
def test_sums_are_those_of_counting_one_by_one(chunks: list[str]) -> None:
    values = dict(zip(KNOWN, VALUES, strict=True))
    expected = [
        sum((count * values[gram] for gram, count in Counter(features.grams(chunk)).items()
             if gram in values), np.zeros(2))
        for chunk in chunks
    ]  # fmt: skip
    sums = GramSums(KNOWN, VALUES).sums([features.padded(chunk) for chunk in chunks])
    np.testing.assert_allclose(sums, np.array(expected).reshape(-1, 2))


def test_no_gram_is_found_across_chunks() -> None:
    sums = GramSums(["a b", "b c"], np.ones((2, 1))).sums([" a ", " b ", " c "])
    assert not sums.any()


def test_grams_that_are_too_long_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 4"):
        GramSums(["abcde"], np.ones((1, 1)))


@given(
    st.sets(st.integers(0, 2**31 - 1), max_size=200),
    st.lists(st.integers(0, 2**31 - 1), max_size=200),
)
def test_lookup_finds_what_is_there_and_nothing_else(keys: set[int], others: list[int]) -> None:
    ordered = np.array(sorted(keys), dtype=np.int32)
    wanted = np.array([*others, *list(keys)[:50]], dtype=np.int32)
    at, places = Lookup(ordered).find(wanted)
    assert at.tolist() == [index for index, key in enumerate(wanted.tolist()) if key in keys]
    assert ordered[places].tolist() == wanted[at].tolist()
