"""The compiled scorer against the scikit-learn pipeline."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textmod_model import artifact, pipeline
from textmod_model.artifact import Artifact
from textmod_model.scoring import compiled_backend, vectors
from textmod_model.scoring.compiled import Compiled
from textmod_model.scoring.compiled_backend import CompiledBackend
from textmod_model.scoring.scorer import PipelineBackend, Scorer
from textmod_model.text.cleaning import MAX_CHUNK, clean
from textmod_model.training import sample

REDDIT = Path(__file__).parents[2].parent / "shared" / "data" / "reddit_science_comments.csv"
TOLERANCE = 1e-9

WORDS = """the control group sample size of lol wake up people This isn't NASA's e.g. it's x): ((
:) ) http://a.b/c www.x.org don’t [removed] 10km/h 科学 😀 &gt; &amp;lt; <U+2019> ) --"""
words = st.sampled_from(WORDS.split())
texts = st.lists(
    st.one_of(
        st.lists(words, max_size=30).map(" ".join),
        st.lists(words, max_size=8).map("\n".join),
        st.text(max_size=200),
        st.text(st.characters(), max_size=30),  # lone surrogates too
        st.text(st.sampled_from("a.:()-'\" \n"), max_size=400),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module", params=["seed", "default"])
def made(request: pytest.FixtureRequest) -> Artifact:
    result: Artifact = request.getfixturevalue(f"{request.param}_artifact")
    return result


@pytest.fixture(scope="module")
def compiled(made: Artifact) -> CompiledBackend:
    form = made.compiled()
    assert form is not None
    return CompiledBackend(form)


@pytest.fixture(scope="module")
def reference(made: Artifact) -> PipelineBackend:
    return PipelineBackend(made)


@given(texts)
@settings(max_examples=200)
def test_scores_are_the_pipelines(
    compiled: CompiledBackend, reference: PipelineBackend, batch: list[str]
) -> None:
    np.testing.assert_allclose(
        compiled.score(batch), reference.score(batch), rtol=0, atol=TOLERANCE
    )


def test_scores_of_unseen_comments_are_the_pipelines(
    compiled: CompiledBackend, reference: PipelineBackend
) -> None:
    batch = [text for text, _ in sample.comments(300, seed=99)]
    np.testing.assert_allclose(
        compiled.score(batch), reference.score(batch), rtol=0, atol=TOLERANCE
    )


@pytest.mark.skipif(not REDDIT.exists(), reason="the real comments are not here")
def test_scores_of_real_comments_are_the_pipelines(
    compiled: CompiledBackend, reference: PipelineBackend
) -> None:
    from textmod_model.training.dataset import read

    batch = read(REDDIT).texts
    np.testing.assert_allclose(
        compiled.score(batch), reference.score(batch), rtol=0, atol=TOLERANCE
    )


def test_a_neighbour_that_changes_a_chunk_is_seen(
    compiled: CompiledBackend, reference: PipelineBackend
) -> None:
    batch = ["the control group): yes", "the control group): (( yes", "x): ((", "plain"]
    np.testing.assert_allclose(
        compiled.score(batch), reference.score(batch), rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(" \n\t ", id="white space"),
        pytest.param("\0", id="NUL"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param("(" * 2**16, id="one character"),
        pytest.param("a" * (MAX_CHUNK + 1) + "): ((", id="long chunk"),
        pytest.param("😀" * 1000, id="emoji"),
        pytest.param("http://" + "a/" * 500, id="long address"),
    ],
)
def test_odd_texts_are_scored(
    compiled: CompiledBackend, reference: PipelineBackend, text: str
) -> None:
    batch = ["before", text, "after"]
    scores = compiled.score(batch)
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(scores, reference.score(batch), rtol=0, atol=TOLERANCE)


def test_word_vectors_are_summed_across_blocks(
    compiled: CompiledBackend, reference: PipelineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long text's words come in several blocks, and a block has several texts."""
    monkeypatch.setattr(vectors, "_BLOCK", 7)
    batch = [text for text, _ in sample.comments(20, seed=6)] + ["", "one", "the " * 50]
    np.testing.assert_allclose(
        compiled.score(batch), reference.score(batch), rtol=0, atol=TOLERANCE
    )


def test_marks_of_very_many_chunks_are_counted(
    compiled: CompiledBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks are added four at a time, in 16 bits each, unless a text has more chunks than that."""
    batch = ["is it? " * 33_000, "I say!"]
    expected = compiled.score(batch)
    monkeypatch.setattr(compiled_backend, "_MOST_MARKS", 0)
    np.testing.assert_array_equal(compiled.score(batch), expected)
    short = [text for text, _ in sample.comments(60, seed=7)]
    one_by_one = compiled.score(short)
    monkeypatch.undo()
    np.testing.assert_array_equal(compiled.score(short), one_by_one)


def test_a_score_does_not_depend_on_the_batch(compiled: CompiledBackend) -> None:
    batch = [text for text, _ in sample.comments(60, seed=5)]
    together = compiled.score(batch)
    alone = np.concatenate([compiled.score([text]) for text in batch])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)


def test_no_texts_give_no_scores(seed_artifact: Artifact) -> None:
    assert Scorer.from_artifact(seed_artifact).score([]).shape == (0,)


def test_the_memo_forgets_what_does_not_fit(seed_artifact: Artifact) -> None:
    form = seed_artifact.compiled()
    assert form is not None
    backend = CompiledBackend(form, memo_limit=100)
    own = len(backend.memo)
    first = backend.score(["the control group"])
    for number in range(50):
        backend.score([f"w{number}x{word} y" for word in range(40)])
        assert len(backend.memo) <= own + 100
    backend.memo.trim()
    np.testing.assert_array_equal(backend.score(["the control group"]), first)


def test_the_memo_is_bounded_for_chunks_of_any_length(seed_artifact: Artifact) -> None:
    form = seed_artifact.compiled()
    assert form is not None
    backend = CompiledBackend(form, memo_limit=100)
    own = sum(map(len, backend.memo))
    for number in range(20):
        backend.score([f"{number:05}" * 10_000, f"{'(' * 120}{number}", "é" * 110 + str(number)])
        assert sum(map(len, backend.memo)) - own <= 100 * 16 + 128
        backend.memo.trim()
        assert len(backend.memo.columns().tokens) < len(form.memory.tokens) + 100 * 20
    assert backend.memo.misses == 60
    backend.score([f"{number:0>100}" for number in range(50)])
    assert sum(map(len, backend.memo)) - own <= 100 * 16 + 128


def test_a_pipeline_without_a_compiled_form_is_served_by_scikit_learn(
    seed_path: Path, tmp_path: Path, seed_artifact: Artifact
) -> None:
    fitted = seed_artifact.pipeline()
    artifact.save(tmp_path, fitted, seed_artifact.manifest, {})
    scorer = Scorer.from_artifact(artifact.load(tmp_path))
    batch = ["a comment", "another"]
    np.testing.assert_array_equal(scorer.score(batch), pipeline.removed_probability(fitted, batch))


def test_serving_imports_neither_spacy_nor_scikit_learn(seed_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from textmod_model import artifact; "
        "from textmod_model.scoring import scorer; "
        "score = scorer.Scorer.from_artifact(artifact.load(Path(sys.argv[1]))).score; "
        "assert len(score(['(x): (( http://a.b :-) 科学', 'b'])) == 2; "
        "assert not {'spacy', 'sklearn', 'scipy', 'skops'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", program, str(seed_path)], check=True)


DISGUISED = ["y\u200do\u200du\u200d are s t u p i d", "sh1t b!tch 1d10t", "іdiоt аnd ѕtupid ʇxǝʇ"]


@given(st.lists(st.lists(st.sampled_from([*DISGUISED, "a plain", "comment"])).map(" ".join)))
@settings(max_examples=50)
def test_disguised_texts_are_scored_as_they_are_read(
    compiled: CompiledBackend, reference: PipelineBackend, batch: list[str]
) -> None:
    batch = [*batch, "the control group"]
    np.testing.assert_allclose(
        compiled.score(batch), reference.score(batch), rtol=0, atol=TOLERANCE
    )
    read = [clean(text) for text in batch]
    np.testing.assert_allclose(compiled.score(batch), compiled.score(read), rtol=0, atol=TOLERANCE)


def test_a_model_of_before_scores_disguised_texts_as_before(seed_artifact: Artifact) -> None:
    """Its pipeline has no parameter `undisguises`, its compiled form no such array."""
    made = seed_artifact.compiled()
    assert made is not None
    with np.load(io.BytesIO(made.to_bytes())) as arrays:
        old = {name: arrays[name] for name in arrays if name != "undisguises"}
    old["memory_fragile"] = old["memory_fragile"] & 1
    buffer = io.BytesIO()
    np.savez(buffer, **old)
    backend = CompiledBackend(Compiled.from_bytes(buffer.getvalue()))
    steps = seed_artifact.pipeline()
    del steps.named_steps["clean"].undisguises
    batch = [*DISGUISED, "the control group"]
    np.testing.assert_allclose(
        backend.score(batch), pipeline.removed_probability(steps, batch), rtol=0, atol=TOLERANCE
    )
    cleaned = [clean(text, undisguises=False) for text in batch]
    expected = pipeline.removed_probability(steps, cleaned)
    np.testing.assert_allclose(backend.score(batch), expected, rtol=0, atol=TOLERANCE)
    now = CompiledBackend(made).score(batch)
    assert (np.abs(now - expected) > 1e-6).tolist() == [True, True, True, False]
