"""The short way to the memo against the long one."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_model.artifact import Artifact
from textmod_model.memo import Memo
from textmod_model.shortcut import Chunks, Shortcut, _integers, _slots

# Sizes around those of the integers, NULs, and characters of several bytes.
PIECES = ["\0", "\0\0", "a", "abcdefg", "abcdefgh", "abcdefghi", "e" * 14, "e" * 15, "e" * 16,
          "ééééééé", "éééééééé", "科学", "😀😀😀", "😀😀😀😀", "the", "The", "the,"]  # fmt: skip
SPACES = [" ", "  ", "\n", "\t", "\x0b", "\x0c", "\r\n", "\x1c", "\x1d", "\x1e", "\x1f"]
texts = st.lists(
    st.sampled_from(PIECES) | st.sampled_from(SPACES) | st.text(st.characters(codec="ascii"))
).map("".join)


@pytest.fixture(scope="module")
def memo(seed_artifact: Artifact) -> Memo:
    compiled = seed_artifact.compiled()
    assert compiled is not None
    return Memo(compiled, limit=1000)


@given(texts)
def test_a_text_has_the_chunks_that_split_finds(text: str) -> None:
    chunks = Chunks(text)
    assert list(chunks) == text.split()
    assert chunks[1:3] == text.split()[1:3]


@given(st.lists(texts, max_size=4))
def test_the_short_way_leads_where_the_long_one_does(memo: Memo, batches: list[str]) -> None:
    shortcut = Shortcut(memo)
    for text in [*batches, *batches]:  # the second time from what it keeps
        expected = memo.find(text.split())
        np.testing.assert_array_equal(shortcut.find(Chunks(text)), expected)
        memo.trim()


def test_what_the_memo_knows_is_asked_for_once(memo: Memo) -> None:
    shortcut = Shortcut(memo)
    shortcut.find(Chunks("the control group of xqzzy"))
    asked: list[str] = []

    class Asked(Memo):
        def find(self, chunks: Sequence[str]) -> list[int]:
            asked.extend(chunks)
            return super().find(chunks)

    memo.__class__ = Asked
    try:
        shortcut.find(Chunks("the control group of xqzzy, xqzzy sixteen-or-more-letters"))
    finally:
        memo.__class__ = Memo
    assert asked == ["xqzzy,", "sixteen-or-more-letters"]


def test_the_artifacts_chunks_need_no_asking(memo: Memo) -> None:
    short = [chunk for chunk in memo.lasting if len(chunk.encode()) < 16]
    shortcut = Shortcut(memo)
    shortcut.find(Chunks("the"))

    class Mute(Memo):
        def find(self, chunks: Sequence[str]) -> list[int]:
            raise AssertionError(chunks)

    memo.__class__ = Mute
    try:
        found = shortcut.find(Chunks(" ".join(short)))
    finally:
        memo.__class__ = Memo
    assert [memo.lasting[at] for at in found.tolist()] == short


def test_chunks_that_share_a_place_take_turns(memo: Memo) -> None:
    """Three chunks of one hash: two are kept, and all are found."""
    by_slot: dict[int, list[str]] = {}
    for number in range(200_000):
        chunk = f"q{number}"
        same = by_slot.setdefault(int(_slots(*_integers(Chunks(chunk)))[0]), [])
        same.append(chunk)
        if len(same) == 3:
            break
    shortcut = Shortcut(memo)
    for chunk in [*same, *same, same[0], same[2], same[2], same[0]]:
        assert shortcut.find(Chunks(chunk)).tolist() == memo.find([chunk])


def test_indices_that_the_memo_took_back_are_forgotten(seed_artifact: Artifact) -> None:
    compiled = seed_artifact.compiled()
    assert compiled is not None
    memo = Memo(compiled, limit=2)
    shortcut = Shortcut(memo)
    _one, two = shortcut.find(Chunks("xqz xqz-xqz")).tolist()
    memo.trim()  # it was full
    [other] = shortcut.find(Chunks("xqz-xqz")).tolist()
    assert [other] == memo.find(["xqz-xqz"])
    assert other != two
