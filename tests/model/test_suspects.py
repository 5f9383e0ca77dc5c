"""Which texts the compiled form takes for disguised, and how far it looks."""

from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textmod_model.artifact import Artifact
from textmod_model.scoring import compiled_backend, memo
from textmod_model.scoring.analyzer import Analyzer
from textmod_model.scoring.compiled_backend import CompiledBackend
from textmod_model.text import vocabulary
from textmod_model.text.cleaning import tidy
from textmod_model.text.evasion import is_suspect

# Of every suspicion: nothing, a fragment, shouted, weak, marked, enough alone.
CHUNKS = ["the", "control", "st", "pid", "STUPID", "b!tch", "sh1t", "id1ot", "résumé", "bàd", "бad",
          "a-b", "you_are_bad", "4-5", "x1y2z3", "don't", "bu't"]  # fmt: skip
# All of them, mostly nothing with fragments, and one in a text so long that only SUSPECT is enough.
texts = st.one_of(
    st.lists(st.sampled_from(CHUNKS), max_size=40),
    st.lists(st.sampled_from(["the", "the", "the", "the", "st"]), min_size=20, max_size=40),
    st.sampled_from(CHUNKS).map(lambda chunk: ["the"] * 200 + [chunk]),
).map(" ".join)
batches = st.lists(texts, max_size=6)


@pytest.fixture(scope="module", params=["seed", "default"])
def backend(request: pytest.FixtureRequest) -> CompiledBackend:
    made: Artifact = request.getfixturevalue(f"{request.param}_artifact")
    form = made.compiled()
    assert form is not None
    return CompiledBackend(form)


@pytest.fixture
def none_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "_AT_ONCE", 0)


@pytest.mark.usefixtures("none_at_once")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=batches.filter(bool), forgets=st.booleans())
def test_those_are_undisguised_that_are_suspect(
    backend: CompiledBackend, batch: list[str], forgets: bool
) -> None:
    looked_at: list[str] = []

    def noting(text: str) -> str:
        looked_at.append(text)
        return text

    if forgets:
        backend.forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled_backend, "undisguise", noting)
        backend.score(batch)
    assert looked_at == [text for text in map(tidy, batch) if is_suspect(text)]


@pytest.mark.usefixtures("none_at_once")
@pytest.mark.parametrize(
    ("letter", "look", "most"),
    [
        pytest.param("o", "\u043e", 1, id="one alone is enough"),
        pytest.param("e", "3", 100, id="a tenth is enough"),
    ],
)
def test_a_disguised_text_is_looked_at_no_further_than_needed(
    backend: CompiledBackend, monkeypatch: pytest.MonkeyPatch, letter: str, look: str, most: int
) -> None:
    long = (word for word in vocabulary.words() if len(word) > 6 and word.count(letter) == 1)
    words = [word.replace(letter, look) for word in islice(long, 1000)]
    asked: list[str] = []
    original = Analyzer.suspicion

    def noting(analyzer: Analyzer, chunk: str) -> int:
        asked.append(chunk)
        return original(analyzer, chunk)

    monkeypatch.setattr(Analyzer, "suspicion", noting)
    backend.forget()
    first = backend.score([" ".join(words)])
    assert 0 < len(asked) <= most
    assert backend.score([" ".join(words)]) == first
    assert len(asked) <= most, "suspicions are remembered"
