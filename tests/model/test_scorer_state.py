"""A scorer gives the pipeline's scores whatever it has scored before.

A state machine drives it through sequences of batches with a memo of a few chunks, shortcuts of a
few places, chunks made to collide there, restarts, and errors in the middle of a batch.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from textmod_model.artifact import Artifact
from textmod_model.scoring.compiled import Compiled, Floats, Memory
from textmod_model.scoring.compiled_backend import CompiledBackend
from textmod_model.scoring.packed import Chunks, integers, slots
from textmod_model.scoring.scorer import PipelineBackend, Scorer
from textmod_model.scoring.self_check import SelfChecked
from textmod_model.scoring.shortcut import Shortcut

TOLERANCE = 1e-9
PLACES: Final = (1, 6, 10)
"""Bits of the shortcut's hash: two places, some, and enough that many stay free."""
LONG: Final = ["wonderfulllllllllly", "characteristically", "unbelievably-so,no", "😀😀😀😀😀"]


def impostors(long: str, bits: int) -> list[str]:
    """Return short chunks that begin with the same eight bytes and hash to the same place."""
    head = long.encode()[:8].decode(errors="ignore")
    if len(head.encode()) < 8:
        return []
    tails = [f"{n:x}".translate(str.maketrans("0123456789", "ghijklmnop")) for n in range(40_000)]
    candidates = Chunks(" ".join(head + tail for tail in tails))
    [place] = slots(*integers(Chunks(long)), bits)
    found = np.flatnonzero(slots(*integers(candidates), bits) == place)
    return candidates.at(found[:3])


def some(memory: Memory, count: int) -> Memory:
    """Return the first chunks of a memory."""
    tokens = memory.tokens[: memory.sizes[:count].sum()]
    columns = {
        name: getattr(memory, name)[:count]
        for name in ("sizes", "weights", "masses", "marks", "counts", "fragile")
    }
    return Memory(chunks=memory.chunks[:count], tokens=tokens, **columns)


COLLIDING: Final = {
    bits: [chunk for long in LONG for chunk in (long, *impostors(long, bits))] for bits in PLACES
}
WORDS: Final = ["you", "are", "an", "idiot", "the", "study", "The", "STUDY,", "doi.org/10", "e.g.",
                "can't", "(sic)", "yyoouu", "aarree", "STTUPPID", "xqzw", "xqzw.", ":-)", "x)",
                "科学", "\0", "\ud800"]  # fmt: skip
chunk = st.one_of(
    st.sampled_from(WORDS),
    st.integers(0, 200).map(lambda number: f"new{number}"),
    st.text(st.characters(codec="ascii"), min_size=1, max_size=20),
)


@pytest.fixture(scope="module", params=["seed", "default"])
def made(request: pytest.FixtureRequest) -> Artifact:
    result: Artifact = request.getfixturevalue(f"{request.param}_artifact")
    return result


class InjectedError(Exception):
    """What a rule makes the analyzer raise."""


class Scoring(RuleBasedStateMachine):
    """One scorer over time, beside the pipeline."""

    def __init__(self, compiled: Compiled, reference: PipelineBackend) -> None:
        super().__init__()
        self.compiled, self.reference = compiled, reference
        self.backend: CompiledBackend | None = None
        self.bits = 0
        self.errors: list[InjectedError] = []

    @precondition(lambda self: self.backend is None)
    @rule(bits=st.sampled_from(PLACES), limit=st.sampled_from([0, 3, 12]), held=st.integers(0, 60))
    def begin(self, bits: int, limit: int, held: int) -> None:
        compiled = replace(self.compiled, memory=some(self.compiled.memory, held))
        self.backend = CompiledBackend(compiled, memo_limit=limit)
        self.backend.shortcut = Shortcut(self.backend.memo, bits=bits)
        self.bits = bits

    def batch(self, data: st.DataObject) -> list[str]:
        chunks = st.lists(st.sampled_from(COLLIDING[self.bits]) | chunk, max_size=8)
        return data.draw(st.lists(chunks.map(" ".join), min_size=1, max_size=3))

    @precondition(lambda self: self.backend is not None)
    @rule(data=st.data())
    def score(self, data: st.DataObject) -> None:
        assert self.backend is not None
        texts = self.batch(data)
        expected = self.reference.score(texts)
        np.testing.assert_allclose(self.backend.score(texts), expected, rtol=0, atol=TOLERANCE)
        cold = [float(self.backend.cold().score([text])[0]) for text in texts]
        np.testing.assert_allclose(cold, expected, rtol=0, atol=TOLERANCE)

    @precondition(lambda self: self.backend is not None)
    @rule(data=st.data(), at=st.sampled_from(["find", "columns", "add", "forget"]))
    def fail(self, data: st.DataObject, at: str) -> None:
        """Fail in the middle of a batch; the error, and all it holds, outlives it."""
        assert self.backend is not None
        memo = self.backend.memo
        before = getattr(memo, at)
        calls = data.draw(st.integers(0, 2))

        def failing(*arguments: object) -> object:
            nonlocal calls
            calls -= 1
            result = before(*arguments)
            if calls < 0:
                raise InjectedError
            return result

        setattr(memo, at, failing)
        try:
            self.backend.score(self.batch(data))
        except InjectedError as error:
            self.errors.append(error)
        finally:
            delattr(memo, at)

    @precondition(lambda self: self.backend is not None)
    @rule()
    def start_again(self) -> None:
        assert self.backend is not None
        self.backend.forget()


def test_scores_are_the_pipelines_whatever_came_before(made: Artifact) -> None:
    compiled = made.compiled()
    assert compiled is not None
    reference = PipelineBackend(made)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Scoring(compiled, reference),
        settings=settings(
            max_examples=60, stateful_step_count=15, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def test_a_long_chunk_is_not_what_its_place_held_before_a_restart(made: Artifact) -> None:
    """What the machine has to find, given to it: the same eight bytes, the same place."""
    compiled = made.compiled()
    assert compiled is not None
    backend = CompiledBackend(compiled, memo_limit=10)
    place = {slot for name in backend.memo.lasting for slot in slots(*integers(Chunks(name)), 16)}
    pairs = [
        (long, short)
        for number in range(40)
        for long in [f"wonderf{chr(97 + number % 26)}{'l' * (9 + number // 26)}y idiot".split()[0]]
        if slots(*integers(Chunks(long)), 16)[0] not in place
        for short in impostors(long, 16)[:1]
    ]
    assert pairs
    for long, short in pairs:
        backend.score([f"{short} idiot idiot"])
        backend.forget()
        expected = PipelineBackend(made).score([long])
        np.testing.assert_allclose(backend.score([long]), expected, rtol=0, atol=TOLERANCE)


class Wrong:
    """A backend whose memory is wrong until it is dropped."""

    def __init__(self, wrong_by: float) -> None:
        self.wrong_by = wrong_by

    def score(self, texts: Sequence[str]) -> Floats:
        return np.array([len(text) / 100 + self.wrong_by for text in texts])

    def cold(self) -> "Wrong":
        return Wrong(0.0)

    def another(self) -> "Wrong":
        return Wrong(self.wrong_by)

    def forget(self) -> None:
        self.wrong_by = 0.0


def test_another_scorer_has_the_same_scores_and_memories_of_its_own(made: Artifact) -> None:
    scorer = Scorer.from_artifact(made)
    other = scorer.another()
    assert other is not None
    texts = ["you idiot xqzw-1 wonderfuhcwm", "the study, (sic) e.g. can't"]
    expected = PipelineBackend(made).score(texts)
    np.testing.assert_allclose(other.score(texts), expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(scorer.score(texts[::-1]), expected[::-1], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(other.score(texts[:1]), expected[:1], rtol=0, atol=TOLERANCE)
    assert other.mismatches == 0


def test_a_wrong_score_is_found_corrected_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    checked = SelfChecked(Wrong(1e-3), every=4)
    assert checked.score(["abc"] * 3).tolist() == [0.031] * 3
    assert checked.score(["secret", "secret"]).tolist() == [0.061, 0.06]
    assert (checked.checked, checked.mismatches) == (1, 1)
    assert "mismatch" in caplog.text
    assert "secret" not in caplog.text
    assert checked.score(["abc"] * 8).tolist() == [0.03] * 8
    assert (checked.checked, checked.mismatches) == (2, 1)


def test_a_text_too_long_to_be_scored_twice_leaves_its_turn_to_the_next() -> None:
    checked = SelfChecked(Wrong(1e-3), every=2)
    checked.score(["x" * 20_000])
    checked.score(["x" * 20_000])
    assert checked.checked == 0
    checked.score(["x"])
    assert (checked.checked, checked.mismatches) == (1, 1)


def test_an_error_in_the_middle_of_forgetting_is_made_good(made: Artifact) -> None:
    compiled = made.compiled()
    assert compiled is not None
    backend = CompiledBackend(compiled, memo_limit=10)
    expected = backend.score(["you idiot xqzw-1 xqzw-2"])

    def failing() -> None:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend.memo, "_name", failing)
        with pytest.raises(MemoryError):
            backend.forget()
    np.testing.assert_allclose(backend.score(["you idiot xqzw-1 xqzw-2"]), expected, atol=TOLERANCE)
