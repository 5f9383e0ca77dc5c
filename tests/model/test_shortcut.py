"""The short way to the memo against the long one."""

import string
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_model.artifact import Artifact
from textmod_model.scoring import plain
from textmod_model.scoring.compiled import UNKNOWN, Compiled
from textmod_model.scoring.judged import UNSURE
from textmod_model.scoring.memo import Memo
from textmod_model.scoring.packed import Chunks, integers, slots
from textmod_model.scoring.shortcut import Shortcut
from textmod_model.scoring.words import ABSENT, WordTable
from textmod_model.text.cleaning import clean

# Sizes around those of the integers, NULs, and characters of several bytes.
PIECES = ["\0", "\0\0", "a", "abcdefg", "abcdefgh", "abcdefghi", "e" * 14, "e" * 15, "e" * 16,
          "ééééééé", "éééééééé", "科学", "😀😀😀", "😀😀😀😀", "the", "The", "the,"]  # fmt: skip
LONG = "characteristically"
SPACES = [" ", "  ", "\n", "\t", "\x0b", "\x0c", "\r\n", "\x1c", "\x1d", "\x1e", "\x1f"]
texts = st.lists(
    st.sampled_from(PIECES) | st.sampled_from(SPACES) | st.text(st.characters(codec="ascii"))
).map("".join)


@pytest.fixture(scope="module")
def compiled(seed_artifact: Artifact) -> Compiled:
    """As the sample's, with a special case and a long word among its words."""
    compiled = seed_artifact.compiled()
    assert compiled is not None
    return replace(
        compiled, words=compiled.words | dict.fromkeys(["mrs.", LONG], compiled.words["the"])
    )


@pytest.fixture(scope="module")
def memo(compiled: Compiled) -> Memo:
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
        expected = [
            (*memo.analyzer.ids(chunk), memo.analyzer.suspicion(chunk)) for chunk in text.split()
        ]
        found = shortcut.find(Chunks(text)).tolist()
        assert entries(memo, found, text.split()) == expected
        memo.trim()


def entries(
    memo: Memo, indices: Sequence[int], chunks: Sequence[str]
) -> list[tuple[tuple[int, ...], bool, int]]:
    """What `Analyzer.ids` and `suspicion` say of the chunks with these indices."""
    return [
        (*entry(memo, index), memo.suspicion(index, chunk))
        for index, chunk in zip(indices, chunks, strict=True)
    ]


def entry(memo: Memo, index: int) -> tuple[tuple[int, ...], bool]:
    """What `Analyzer.ids` says of the chunk with this index."""
    known = memo.columns()
    start, size = known.start[index], known.size[index]
    tokens = known.tokens[start : start + size].tolist()
    return tuple(tokens), bool(known.notes[index] & 1)


@given(st.data())
def test_plain_words_are_what_the_analyzer_says(
    compiled: Compiled, memo: Memo, data: st.DataObject
) -> None:
    """Known, unknown and special ones, in any case, with what may stand behind and before."""
    specials = compiled.rules.specials
    known = {*compiled.words, *compiled.forms, *specials, *(case[:-1] for case in specials)}
    whole = sorted(word for word in known if word.split() == [word])
    letters = st.text(string.ascii_letters, min_size=1, max_size=14)
    words = data.draw(st.lists(st.sampled_from(whole) | letters, min_size=1, max_size=20))
    cases = st.sampled_from([str, str, str.lower, str.upper, str.capitalize])
    behind = st.sampled_from(["", *string.punctuation, ".)", "..", "é", "’s"])
    before = st.sampled_from(["", "", "", "(", "é"])
    changed = [data.draw(before) + data.draw(cases)(word) + data.draw(behind) for word in words]
    check([*words, *(chunk for chunk in changed if chunk == clean(chunk))], memo)


@given(st.data())
def test_what_arrays_say_of_evasion_is_what_the_word_says(memo: Memo, data: st.DataObject) -> None:
    """Or they say nothing; of more kinds of marks than they keep, too."""
    whole = [*sorted(memo.analyzer.word_ids()[0]), "defy", "op", "it", "which", "nasa", "www"]
    letters = st.text(string.ascii_letters, min_size=1, max_size=9)
    cases = st.sampled_from([str, str.lower, str.upper, str.capitalize, str.swapcase])
    marks = st.text(st.characters(codec="ascii", categories=["P", "S", "Nd"]), max_size=5)
    words = [
        data.draw(marks) + data.draw(cases)(data.draw(st.sampled_from(whole) | letters)) + after
        for after in data.draw(st.lists(marks, min_size=1, max_size=20))
    ]
    chunks = Chunks(" ".join(words))
    words_of_memo = plain.PlainWords(memo)
    words_of_memo.start_again()
    _, said = words_of_memo.find(chunks, np.arange(len(chunks)))
    for chunk, one in zip(chunks, said.tolist(), strict=True):
        assert one in (UNSURE, memo.analyzer.suspicion(chunk)), chunk


def test_more_marks_than_there_is_room_for_go_the_long_way(
    memo: Memo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "_MOST_FRAMES", 4)
    check(["xqzwv" + mark for mark in string.punctuation] * 2, memo)
    shortcut = Shortcut(memo)
    chunks = Chunks(" ".join("xqzwv" + mark for mark in string.punctuation))
    expected = [memo.analyzer.ids(chunk) for chunk in chunks]
    for _ in range(2):
        assert [entry(memo, at) for at in shortcut.find(chunks).tolist()] == expected


@given(st.sets(st.text(string.ascii_letters, min_size=1, max_size=16)), st.integers(0, 3))
def test_a_table_has_the_numbers_of_its_words_and_no_others(words: set[str], left: int) -> None:
    numbers = {word: at for at, word in enumerate(sorted(words)) if at % 4 != left}
    short = [word for word in sorted(words) if len(word) < 16]
    found = WordTable(numbers).find(*integers(Chunks(" ".join(short))))
    assert found.tolist() == [numbers.get(word, ABSENT) for word in short]


def test_special_cases_are_no_plain_words(compiled: Compiled, memo: Memo) -> None:
    specials = compiled.rules.specials
    whole = [case for case in specials if case.split() == [case]]
    check([case[:-1] for case in whole if case[:-1]] + whole, memo)


def test_words_too_long_for_integers_are_no_plain_words(memo: Memo) -> None:
    check([LONG, f"{LONG}.", f"{LONG.title()},", "xqz" * 6], memo)


def check(chunks: list[str], memo: Memo) -> None:
    """Finds them, each by itself so that the arrays hold those before, as the analyzer does."""
    shortcut = Shortcut(memo)
    found = [int(shortcut.find(Chunks(chunk))[0]) for chunk in chunks]
    analyzer = memo.analyzer
    expected = [(*analyzer.ids(chunk), analyzer.suspicion(chunk)) for chunk in chunks]
    assert entries(memo, found, chunks) == expected


def test_plain_words_are_not_analyzed(memo: Memo) -> None:
    shortcut = Shortcut(memo)
    shortcut.find(Chunks("the control group"))
    before = memo.misses
    found = shortcut.find(Chunks("xqzwv Xqzwv, xqzwv. group? CONTROL! xqzwA. xqz# group# (xqzw"))
    assert [entry(memo, at)[0] for at in found][:3] == [(UNKNOWN,)] * 3
    assert memo.misses - before == 2  # xqzwA. and (xqzw may be suspicious


def test_what_the_memo_knows_is_asked_for_once(memo: Memo) -> None:
    shortcut = Shortcut(memo)
    shortcut.find(Chunks("the control group of xqz-zy"))
    asked: list[str] = []

    class Asked(Memo):
        def find(self, chunks: Sequence[str], said: Sequence[int] | None = None) -> list[int]:
            asked.extend(chunks)
            return super().find(chunks, said)

    memo.__class__ = Asked
    try:
        shortcut.find(Chunks("the control group of xqz-zy, xqz-zy sixteen-or-more-letters"))
    finally:
        memo.__class__ = Memo
    assert sorted(asked) == ["sixteen-or-more-letters", "xqz-zy,"]


def test_the_artifacts_chunks_need_no_asking(memo: Memo) -> None:
    short = [chunk for chunk in memo.lasting if len(chunk.encode()) < 16]
    shortcut = Shortcut(memo)
    shortcut.find(Chunks("the"))

    class Mute(Memo):
        def find(self, chunks: Sequence[str], said: Sequence[int] | None = None) -> list[int]:
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
        chunk = f"q-{number}"
        same = by_slot.setdefault(int(slots(*integers(Chunks(chunk)), 16)[0]), [])
        same.append(chunk)
        if len(same) == 3:
            break
    shortcut = Shortcut(memo)
    for chunk in [*same, *same, same[0], same[2], same[2], same[0]]:
        assert shortcut.find(Chunks(chunk)).tolist() == memo.find([chunk])


def test_indices_that_the_memo_took_back_are_forgotten(compiled: Compiled) -> None:
    memo = Memo(compiled, limit=2)
    shortcut = Shortcut(memo)
    _one, two = shortcut.find(Chunks("xqz-xqz-xqz xqz-xqz-xqz-xqz")).tolist()
    memo.trim()  # it was full
    [other] = shortcut.find(Chunks("xqz-xqz-xqz-xqz")).tolist()
    assert [other] == memo.find(["xqz-xqz-xqz-xqz"])
    assert other != two
