"""Words between marks are found and rated by the same rule, by arrays under numpy 1 and 2."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_model.scoring import framed
from textmod_model.scoring.judged import UNSURE, Judged, is_around, may_be_a_letter
from textmod_model.scoring.packed import Chunks
from textmod_model.text.evasion import suspicion


def test_bits_are_counted_without_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = np.array([0, 1, 0xFF00, 2**63, 2**64 - 1], np.uint64)
    monkeypatch.delattr(np, "bitwise_count")
    assert framed._count(masks).tolist() == [0, 1, 8, 1, 64]
    assert framed._count(masks[:0]).tolist() == []


JUDGED = Judged()
PIECES = ["aa", "b", "ss", "tt", "u", "p", "ii", "D", "dd", "EE", "e", "coffee", "balloon", "st"]
MARKS = st.sampled_from(["", "", "(", ".", '"', "!", "s", "'"])


@given(
    st.lists(
        st.tuples(MARKS, st.lists(st.sampled_from(PIECES), min_size=1, max_size=6), MARKS).map(
            lambda parts: parts[0] + "".join(parts[1]) + parts[2]
        ),
        min_size=1,
        max_size=20,
    )
)
def test_arrays_rate_words_with_pairs_as_suspicion_does(names: list[str]) -> None:
    chunks = Chunks(" ".join(names))
    words = framed.framed(chunks, np.arange(len(names)))
    frames = [framed.Frame.of(number) for number in words.frames.tolist()]
    said = JUDGED.find(
        words,
        np.array([is_around(frame) for frame in frames], np.bool_),
        np.array([may_be_a_letter(frame) for frame in frames], np.bool_),
    )
    for place, one in zip(words.places.tolist(), said.tolist(), strict=True):
        assert one in (UNSURE, suspicion(names[place])), names[place]


def test_words_with_two_pairs_are_left_to_suspicion_alone() -> None:
    names = ["happy", "coffee", "yyoouu", "aarree", "Aarree", "STTUUPID", "COFFEE", "aab"]
    words = framed.framed(Chunks(" ".join(names)), np.arange(len(names)))
    no = np.zeros(len(names), np.bool_)
    unsure = JUDGED.find(words, ~no, no) == UNSURE
    assert [name for name, one in zip(names, unsure.tolist(), strict=True) if one] == [
        "yyoouu", "aarree", "Aarree", "STTUUPID",
    ]  # fmt: skip
