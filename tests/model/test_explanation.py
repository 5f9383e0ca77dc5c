"""What each part of a text added to its score: exact, and where the user wrote it."""

import json
import math
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textmod_model import artifact, pipeline
from textmod_model.artifact import Artifact
from textmod_model.scoring import memo, vectors
from textmod_model.scoring.compiled_backend import CompiledBackend
from textmod_model.scoring.contributions import NAMES
from textmod_model.scoring.explanation import Asked, Explanation, Feature, Offsets, Span
from textmod_model.scoring.scorer import PipelineBackend, Scorer
from textmod_model.scoring.self_check import SelfChecked
from textmod_model.text import features
from textmod_model.text.cleaning import URL_WORD, clean, word
from textmod_model.training import dataset, sample, train

REDDIT = Path(__file__).parents[2].parent / "shared" / "data" / "reddit_science_comments.csv"
SAMPLED = 40
TOLERANCE = 1e-9

WORDS = """the control group sample size of lol wake up people This isn't NASA's e.g. it's x): ((
:) ) http://a.b/c www.x.org don’t [removed] 10km/h 科学 😀 &gt; &amp;lt; <U+2019> ) --
i-d-i-o-t 1d10t 𝐢𝐝𝐢𝐨𝐭 s.t.u.p.i.d
\u202eabc\u202c שלום 👩\u200d👩\u200d👧 \ud800 \0 a\u200bb F U C K y o u"""
words = st.sampled_from(WORDS.split())
texts = st.one_of(
    st.lists(words, max_size=30).map(" ".join),
    st.lists(words, max_size=8).map("\n".join),
    st.lists(words, max_size=8).map("".join),
    st.text(max_size=200),
    st.text(st.characters(), max_size=30),  # lone surrogates too
)


@pytest.fixture(scope="module", params=["seed", "default", "two labels"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    if request.param == "two labels":
        return of_two_labels(tmp_path_factory.mktemp("two"))
    result: Artifact = request.getfixturevalue(f"{request.param}_artifact")
    return result


def of_two_labels(path: Path) -> Artifact:
    sampled, labels = zip(*sample.comments(500, seed=2), strict=True)
    targets = [(float(one), float("!" in text)) for text, one in zip(sampled, labels, strict=True)]
    digest = "sha256:" + "1" * 64
    data = dataset.Dataset(list(sampled), list(labels), digest, ("removed", "shouted"), targets)
    trained = train.train(data, "default")
    return train.package(trained, data, path, recipe="default", name="two", version="1")


@pytest.fixture(scope="module")
def backend(made: Artifact) -> CompiledBackend:
    form = made.compiled()
    assert form is not None
    return CompiledBackend(form)


def labels_of(backend: CompiledBackend) -> range:
    return range(backend._model.labels)


def check(explanation: Explanation, text: str, score: float) -> None:
    """It adds up, to the score, of spans that are in order and inside the text as sent."""
    spans, told = explanation.spans, explanation.features
    parts = [span.weight for span in spans] + [feature.weight for feature in told]
    assert abs(math.fsum((explanation.base, *parts)) - explanation.total) <= TOLERANCE
    assert abs(1 / (1 + math.exp(-explanation.total)) - score) <= 1e-12
    assert all(0 <= span.begin < span.end <= len(text) for span in spans)
    assert all(one.end <= two.begin for one, two in pairwise(spans))
    assert {feature.name for feature in told} <= set(NAMES)


def check_all(backend: CompiledBackend, batch: list[str]) -> None:
    scores = backend.score(batch)
    for label in labels_of(backend):
        column = scores if scores.ndim == 1 else scores[:, label]
        explained = backend.explain(batch, label)
        for explanation, text, score in zip(explained, batch, column, strict=True):
            check(explanation, text, float(score))


@given(st.lists(texts, min_size=1, max_size=6))
@settings(max_examples=150)
def test_generated_texts_are_explained_exactly(backend: CompiledBackend, batch: list[str]) -> None:
    check_all(backend, batch)


def test_comments_are_explained_exactly(backend: CompiledBackend) -> None:
    check_all(backend, [text for text, _ in sample.comments(300, seed=99)])


@pytest.mark.skipif(not REDDIT.exists(), reason="the real comments are not here")
def test_real_comments_are_explained_exactly(backend: CompiledBackend) -> None:
    batch = dataset.read(REDDIT).texts[::SAMPLED]  # all of them in bench/policies
    check_all(backend, batch)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(" \n\t ", id="white space"),
        pytest.param("\0", id="NUL"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param("מה שלום \u202eab cd\u202c idiot", id="right to left"),
        pytest.param("👩\u200d👩\u200d👧 family 👍🏽", id="joined emoji"),
        pytest.param("the control group): (( yes", id="words that depend on their neighbours"),
        pytest.param("a" * 300 + "): ((", id="long chunk"),
        pytest.param("i-d-i-o-t, you " * 20, id="disguised"),
        pytest.param("S T U P I D i d i o t", id="set apart"),
    ],
)
def test_odd_texts_are_explained(backend: CompiledBackend, text: str) -> None:
    check_all(backend, ["before", text, "after", text])


@pytest.mark.parametrize("piece", ["1d10t ", "&gt;", "x): (( "])
def test_long_texts_are_explained(backend: CompiledBackend, piece: str) -> None:
    check_all(backend, [piece * (2**16 // len(piece))])


def test_a_mebibyte_is_explained(seed_artifact: Artifact) -> None:
    form = seed_artifact.compiled()
    assert form is not None
    check_all(CompiledBackend(form), ["idiots " * (2**20 // 7), "(" * 2**20])


def test_what_was_scored_last_is_explained_as_any_other_text(backend: CompiledBackend) -> None:
    batch = [text for text, _ in sample.comments(40, seed=3)]
    batch += ["a 1d10t and a stuuupid &gt; m o r o n", "x): (( x): (("]
    afresh = [backend.cold().explain([text])[0] for text in batch]
    backend.explain(batch[:1])  # from now on it keeps what it scored last
    backend.score(batch)
    for one, other in zip(backend.explain(batch), afresh, strict=True):
        assert [name for name, _ in one.features] == [name for name, _ in other.features]
        np.testing.assert_allclose(one.spans, other.spans, rtol=0, atol=1e-9)
    [alone] = backend.explain([batch[7]])
    np.testing.assert_allclose(alone.spans, afresh[7].spans, rtol=0, atol=1e-9)


def test_indices_that_the_memo_forgot_are_not_used(made: Artifact) -> None:
    form = made.compiled()
    assert form is not None
    small = CompiledBackend(form, memo_limit=5)
    batch = [f"never met w{at} q{at}!" for at in range(40)]
    small.explain(batch[:1])  # from now on it keeps what it scored last
    scores = small.score(batch)
    small.forget()
    column = scores if scores.ndim == 1 else scores[:, 0]
    for explanation, text, score in zip(small.explain(batch), batch, column, strict=True):
        check(explanation, text, float(score))


def test_reading_a_text_again_voids_no_indices_of_its_batch(made: Artifact) -> None:
    form = made.compiled()
    assert form is not None
    small = CompiledBackend(form, memo_limit=5)
    batch = [f"never met w{at} q{at}! control): ((" for at in range(20)]
    batch += ["a 1d10t and a stuuupid m o r o n", *batch]
    for _ in "not kept", "kept":
        check_all(small, batch)
    [(_, kept)] = small._last
    assert kept.again is not None


def test_a_batch_is_kept_only_once_something_was_explained(made: Artifact) -> None:
    form = made.compiled()
    assert form is not None
    backend, batch = CompiledBackend(form), ["an idiot", "wake up people"]
    backend.score(batch)
    assert not backend._last
    backend.briefs(batch[:1], Asked())
    backend.score(batch)
    assert [texts for texts, _ in backend._last] == [batch]
    assert not any(other._last for other in (backend.another(), backend.cold()))


def test_an_error_in_an_explanation_spoils_no_later_score(
    made: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = made.compiled()
    assert form is not None
    backend = CompiledBackend(form)
    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(memo, "counts_of_marks", Mock(side_effect=MemoryError))
        backend.explain(["never met w0 q0!"])
    for text in ("never met w0 q0!", "neither w1, SHOUTED q1?"):
        np.testing.assert_allclose(backend.score([text]), PipelineBackend(made).score([text]))


@given(
    st.lists(texts, min_size=1, max_size=6),
    st.integers(0, 6),
    st.sampled_from(["CodePoint", "Utf16"]),
)
@settings(max_examples=100)
def test_many_briefs_at_once_are_those_of_each(
    backend: CompiledBackend, batch: list[str], most: int, offsets: Offsets
) -> None:
    for label in labels_of(backend):
        backend.score(batch)
        briefs = backend.briefs(batch, Asked(label, most, offsets))
        whole = backend.explain(batch, label)
        for brief, explanation, text in zip(briefs, whole, batch, strict=True):
            assert brief == explanation.brief(most, offsets, text)


def test_briefs_of_comments_are_those_of_each(backend: CompiledBackend) -> None:
    batch = [text for text, _ in sample.comments(300, seed=98)]
    briefs = backend.briefs(batch, Asked())
    for brief, explanation in zip(briefs, backend.explain(batch), strict=True):
        assert brief == explanation.brief(5)


# --- the referee: the scikit-learn pipeline's own numbers, shared out by loops ------------------


def of_ngrams(told: list[str], vectorizer: Any, coef: Any) -> list[float]:
    """Return each word's share of the TF-IDF n-grams."""
    low, high = vectorizer.ngram_range
    places = defaultdict(list)
    for size in range(low, high + 1):
        for start in range(len(told) - size + 1):
            gram = " ".join(told[start : start + size])
            if gram in vectorizer.vocabulary_:
                places[gram].append(range(start, start + size))
    values = {}
    for gram, found in places.items():
        count = 1 + math.log(len(found)) if vectorizer.sublinear_tf else len(found)
        values[gram] = count * vectorizer.idf_[vectorizer.vocabulary_[gram]]
    norm = math.sqrt(sum(value * value for value in values.values())) or 1
    shares = [0.0] * len(told)
    for gram, found in places.items():
        whole = values[gram] / norm * coef[vectorizer.vocabulary_[gram]]
        for place in found:
            for at in place:
                shares[at] += whole / len(found) / len(place)
    return shares


def words_and_chunks(text: str) -> tuple[list[str], list[int]]:
    """Return spaCy's words of a cleaned text, and which of its chunks each is in."""
    doc = pipeline.language(pipeline.BLANK_ENGLISH)(text)
    told, chunks = [], []
    for token in doc:
        name = URL_WORD if token.like_url else word(token.lemma_ or token.text)
        if name:
            told.append(name)
            chunks.append(len((text[: token.idx] + "x").split()) - 1)
    return told, chunks


def referee(fitted: Any, text: str, label: int) -> tuple[dict[int, float], float, float]:
    """Return what each chunk of a cleaned text adds, what all features add, and the base."""
    steps = fitted.named_steps
    told, places = words_and_chunks(text)
    found: dict[int, float] = defaultdict(float)
    classifier = steps["classifier"]
    if "tfidf" in steps:
        for at, share in enumerate(of_ngrams(told, steps["tfidf"], classifier.coef_[0])):
            found[places[at]] += share
        return found, 0.0, float(classifier.intercept_[0])
    parts = dict(steps["features"].transformer_list)
    tfidf, counts = parts["words"]["tfidf"], parts["grams"]["counts"]
    sizes = np.cumsum([len(tfidf.vocabulary_), len(counts.vocabulary_)])
    of_words, of_grams, straight = np.split(classifier.coef_[label], sizes)
    first, *inner, last = of_ngrams(["START", *told, "END"], tfidf, of_words)
    of_features = first + last
    for at, share in enumerate(inner):
        found[places[at]] += share
    said = [Counter(features.grams(chunk)) for chunk in text.split()]
    known = counts.vocabulary_
    values = [
        {gram: count * counts.idf_[known[gram]] for gram, count in one.items() if gram in known}
        for one in said
    ]
    mass = math.sqrt(sum(sum(one.values()) for one in values)) or 1
    for chunk, one in enumerate(values):
        found[chunk] += sum(0.2 * of_grams[known[gram]] * v for gram, v in one.items()) / mass
    meaning, form = parts["meaning"], parts["shape"]
    of_meaning = meaning.transform([text])[0]
    z = np.concatenate((of_meaning, form.transform([text])[0]))
    s = vectors.squashed(z)
    several = len(classifier.coef_) > 1
    quadratic = classifier.quadratic_[label] if several else classifier.quadratic_
    bend = classifier.bend_[label] if several else classifier.bend_
    phi = s * (quadratic @ s + bend) + straight * z
    of_features += phi[vectors.DIMENSIONS :].sum()
    phi, z = phi[: vectors.DIMENSIONS], z[: vectors.DIMENSIONS]
    table = dict(zip(meaning["vectors"].words_.tolist(), meaning["vectors"].vectors_, strict=True))
    having = [at for at, name in enumerate(told) if name in table]
    scale = meaning["scale"]
    for at in having:
        own = table[told[at]].astype(float) / math.sqrt(len(having)) - scale.mean_ / len(having)
        found[places[at]] += float((phi * (own / scale.scale_) / z).sum())
    if not having:
        of_features += phi.sum()
    return found, float(of_features), float(classifier.intercept_[label])


def test_shares_are_those_of_the_pipeline(made: Artifact, backend: CompiledBackend) -> None:
    batch = [clean(text) for text, _ in sample.comments(12, seed=5)]
    batch += ["", "qzx", "Is this (really) so? It isn't! See http://a.b/c, I say: wake up people"]
    fitted = made.pipeline()
    for text in batch:
        assert clean(text) == text
        begins = dict(enumerate(begin_of_chunks(text)))
        for label in labels_of(backend):
            [explanation] = backend.explain([text], label)
            chunks, of_features, base = referee(fitted, text, label)
            expected = {begins[at]: weight for at, weight in chunks.items()}
            found = {span.begin: span.weight for span in explanation.spans}
            for begin in expected.keys() | found.keys():
                assert abs(expected.get(begin, 0) - found.get(begin, 0)) < TOLERANCE
            told = sum(feature.weight for feature in explanation.features)
            assert abs(told - of_features) < TOLERANCE
            assert explanation.base == base


def begin_of_chunks(text: str) -> list[int]:
    return [
        at
        for at, one in enumerate(text)
        if not one.isspace() and (at == 0 or text[at - 1].isspace())
    ]


# --- values -------------------------------------------------------------------------------------


def test_a_brief_has_the_largest_first_and_adds_up() -> None:
    whole = Explanation(
        (Span(0, 3, 0.1), Span(4, 6, -1.3), Span(7, 9, 0.7)),
        (Feature("question marks", 0.2), Feature("links", -0.4)),
        -1.1,
        -1.8,
    )
    brief: Any = whole.brief(2)
    assert brief == {
        "offsets": "CodePoint",
        "spans": [{"begin": 4, "end": 6, "weight": -1.3}, {"begin": 7, "end": 9, "weight": 0.7}],
        "features": [
            {"name": "links", "weight": -0.4},
            {"name": "question marks", "weight": 0.2},
        ],
        "others": 0.1,
        "base": -1.1,
        "total": -1.8,
    }
    assert json.loads(json.dumps(brief)) == brief
    assert whole.brief(0)["spans"] == []


def test_positions_may_count_utf_16() -> None:
    text = "😀 idiot 😀😀 you"
    spans = (Span(2, 7, 1.0), Span(11, 14, 0.5))
    whole = Explanation(spans, (), 0.0, 1.5)
    brief: Any = whole.brief(5, "Utf16", text)
    units = text.encode("utf-16-le")
    for span, one in zip(spans, brief["spans"], strict=True):
        said = units[2 * one["begin"] : 2 * one["end"]].decode("utf-16-le")
        assert said == text[span.begin : span.end]
    plain: Any = whole.brief(5, "Utf16", "plain")
    assert [(one["begin"], one["end"]) for one in plain["spans"]] == [(2, 7), (11, 14)]


@given(texts)
def test_what_is_written_adds_up_and_lies_inside(backend: CompiledBackend, text: str) -> None:
    [explanation] = backend.explain([text])
    for offsets, size in (("CodePoint", len(text)), ("Utf16", units(text))):
        brief: Any = explanation.brief(3, offsets, text)  # type: ignore[arg-type]  # a literal
        parts = [part["weight"] for part in (*brief["spans"], *brief["features"])]
        whole = math.fsum((brief["base"], brief["others"], *parts))
        assert abs(whole - brief["total"]) <= TOLERANCE
        assert all(0 <= span["begin"] < span["end"] <= size for span in brief["spans"])


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


# --- the scorer ---------------------------------------------------------------------------------


def test_a_disguised_word_is_explained_where_it_was_written(backend: CompiledBackend) -> None:
    text = "wake up &gt; the \U0001d41a\U0001d427\U0001d41d&nbsp;w-a-k-e u.p, p30pl3 of 1974"
    [explanation] = backend.explain([text])
    said = {text[span.begin : span.end] for span in explanation.spans}
    assert {"w-a-k-e", "p30pl3"} <= said
    assert all("&nbsp;" not in one for one in said)


def test_the_scorer_explains_and_says_when_it_cannot(made: Artifact) -> None:
    scorer = Scorer.from_artifact(made)
    text = "lol wake up people!"
    explanation = scorer.explain(text)
    assert explanation is not None
    assert explanation.spans
    assert scorer.briefs([]) == []
    assert scorer.briefs([text]) == [explanation.brief(5)]
    assert Scorer(PipelineBackend(made)).explain(text) is None
    assert Scorer(PipelineBackend(made)).briefs([text, text]) is None


def test_an_explanation_survives_a_dropped_memory(seed_artifact: Artifact) -> None:
    form = seed_artifact.compiled()
    assert form is not None
    checked = SelfChecked(CompiledBackend(form), every=1)
    checked._fast.memo.update({"idiot": 3})  # type: ignore[attr-defined]  # a fault in a memory
    text = "an idiot"
    [score] = checked.score([text])
    [explanation] = checked.explain([text])
    check(explanation, text, float(score))


def test_artifacts_load_with_explanations(seed_path: Path) -> None:
    scorer = Scorer.from_artifact(artifact.load(seed_path))
    assert scorer.explain("wake up people") is not None
