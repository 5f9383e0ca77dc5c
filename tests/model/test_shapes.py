"""The array form of words between marks equals the analyzer, chunk by chunk."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textmod_model.artifact import Artifact
from textmod_model.scoring.compiled_backend import CompiledBackend
from textmod_model.scoring.packed import Chunks
from textmod_model.text.features import PERSONS

WORDS = [
    "a",
    "I",
    "i",
    "qz",
    "QZ",
    "qZ",
    "Qzx",
    "QZX",
    "zzyzx",
    "Zzyzxq",
    "zzyzxqwe",
    "ZZYZXQWERTY",
]
WORDS += ["http", "xhttpx", "xwww", "WWW", "don", "cannot", "grammatically", *PERSONS]
BEFORE = ["", "(", '"', "*", "#", ">", "-", "[", "1", "..", "'", "$", "~~~"]
BEHIND = ["", "?", "!", ".", ",", "...", "?!", ")", '."', "]", "'s", "2", "-", ".x", "/"]
marks = st.text(st.characters(min_codepoint=33, max_codepoint=64), max_size=4)
letters = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=10)
chunks = st.tuples(marks, letters | st.sampled_from(WORDS), marks).map("".join)


@pytest.fixture(scope="module")
def both(default_artifact: Artifact) -> tuple[CompiledBackend, CompiledBackend]:
    form = default_artifact.compiled()
    assert form is not None
    return CompiledBackend(form), CompiledBackend(form)


def check(
    both: tuple[CompiledBackend, CompiledBackend], names: list[str], *, times: int = 1
) -> None:
    backend, other = both
    backend.forget()
    assert backend.shortcut is not None
    for _ in range(times):
        found = backend.shortcut.find(Chunks(" ".join(names)))
    expected = np.array(other.memo.find(names))
    mine, theirs = backend.memo.columns(), other.memo.columns()
    for name, at, place in zip(names, found.tolist(), expected.tolist(), strict=True):
        rows = [
            (
                known.tokens[known.start[row] : known.start[row] + known.size[row]].tolist(),
                known.marks[row].tolist(),
                known.weight[row].tolist(),
                known.mass[row].tolist(),
                known.chunks[row].tolist(),
                known.notes[row].tolist() & 1,
                memo.suspicion(row, name),
            )
            for memo, known, row in ((backend.memo, mine, at), (other.memo, theirs, place))
        ]
        assert rows[0] == rows[1], name


def test_words_between_common_marks(both: tuple[CompiledBackend, CompiledBackend]) -> None:
    names = ["".join(parts) for parts in product(BEFORE, WORDS, BEHIND)]
    check(both, names)


@settings(max_examples=100, deadline=None)
@given(names=st.lists(chunks, min_size=1, max_size=40), times=st.integers(1, 2))
def test_any_words_between_any_marks(
    both: tuple[CompiledBackend, CompiledBackend], names: list[str], times: int
) -> None:
    check(both, names, times=times)


def test_a_word_that_comes_twice_is_one_entry(default_artifact: Artifact) -> None:
    form = default_artifact.compiled()
    assert form is not None
    backend = CompiledBackend(form)
    assert backend.shortcut is not None
    before = backend.new_chunks
    first, second, third = backend.shortcut.find(Chunks("(zzyzxq) zzyzxq (zzyzxq)")).tolist()
    assert first == third != second
    assert backend.new_chunks == before + 2
    backend.shortcut = type(backend.shortcut)(backend.memo)  # one that has seen nothing
    assert backend.shortcut.find(Chunks("zzyzxq (zzyzxq)")).tolist() == [second, first]


@pytest.mark.parametrize("recipe", ["seed", "default"])
def test_an_error_among_words_leaves_the_memo_as_good_as_new(
    recipe: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = request.getfixturevalue(f"{recipe}_artifact").compiled()
    backend = CompiledBackend(form)
    expected = CompiledBackend(form).score(["zzyzxq (zzyzxq) Qqz!"])
    with monkeypatch.context() as patched:
        patched.setattr(type(backend.memo.analyzer), "gram_sums", broken)
        with pytest.raises(ZeroDivisionError):
            backend.score(["zzyzxq (zzyzxq) Qqz! a-word"])
    np.testing.assert_array_equal(backend.score(["zzyzxq (zzyzxq) Qqz!"]), expected)


def broken(*_: object) -> None:
    raise ZeroDivisionError
