"""Verdicts that say why: for the actions that ask for it, at no verdict's cost."""

import io
import json
import logging

import fastavro
import numpy as np
import pytest
from messages import FakeMessage
from policy_sets import policy, raw, rule

from textmod_model.formats import catalog
from textmod_model.formats.encoders import avro
from textmod_model.formats.message import Reading, Verdicts, Writing
from textmod_model.formats.verdict_headers import VerdictHeaders
from textmod_model.policies.evaluate import Evaluator
from textmod_model.policies.solved import parse
from textmod_model.scoring.explanation import Asked, Explanation, Feature, Span
from textmod_model.scoring.scorer import Scorer
from textmod_model.serving.predictor import ModelInfo, Predictor
from textmod_model.stream.explanations import LONGEST_EXPLAINED, Explanations
from textmod_model.stream.judge import Judge
from textmod_model.stream.letters import DeadLetters

OPTIONS = {"actions": ["Remove"], "maxSpans": 2, "offsets": "Utf16"}
SCORES = {"bad": 0.95, "so so": 0.6, "good": 0.1, "broken": float("nan")}


class Model:
    """Scores by a table, and explains with what it was asked."""

    def __init__(self, briefs=None):
        self.asked = []
        self._briefs = briefs or (lambda text: {"spans": [], "total": len(text)})

    def score(self, texts):
        return np.array([SCORES.get(text, 0.95) for text in texts])

    def briefs(self, texts, asked):
        self.asked.append((list(texts), asked))
        return [self._briefs(text) for text in texts]


def judged(model, texts, found=None, *, output="Verdict", explanations=True, names=()):
    evaluator = Evaluator(found or parse(raw(explanation=OPTIONS)), names or ("removed",))
    judge = Judge(
        decode=catalog.decoder("Text", Reading(("body",))),
        score=model.score,
        encode=catalog.encoder(
            output, Writing(Verdicts(("kept", "removed"), 0.5, "m:1", names), decided=True)
        ),
        headers=VerdictHeaders("/textmoderation/g", "1", "sha256:0", "application/json"),
        letters=DeadLetters("m:1"),
        labels=max(len(names), 1),
        policies=lambda: evaluator,
        explanations=Explanations(model.briefs) if explanations else None,
    )
    batch = judge.judge([FakeMessage(text.encode(), at) for at, text in enumerate(texts)])
    return [json.loads(record.value) for record in batch.records if record.refused is None]


def test_the_actions_that_ask_for_it_are_explained():
    model = Model()
    bad, so_so, good = judged(model, ["bad", "so so", "good"])
    assert bad["action"] == "Remove"
    assert bad["explanation"] == {"spans": [], "total": 3}
    assert "explanation" not in so_so
    assert "explanation" not in good
    assert model.asked == [(["bad"], Asked(0, 2, "Utf16"))]
    assert list(bad)[-1] == "explanation"


@pytest.mark.parametrize(
    "explanation", [{**OPTIONS, "actions": []}, {**OPTIONS, "actions": ["Allow"]}]
)
def test_other_verdicts_are_what_they_are_without(explanation):
    found = parse(raw(explanation=explanation))
    texts = ["bad", "so so"]
    assert judged(Model(), texts, found) == judged(Model(), texts, found, explanations=False)


def test_the_score_that_decided_is_explained():
    class Two(Model):
        def score(self, texts):
            return np.array([[0.1, 0.99] for _ in texts])

    found = parse(
        raw(
            policy(name="a", label="insult"),
            policy(name="b", label="threat"),
            policy(rule("Remove", 0.0), name="c", label="insult", mode="Observe"),
            explanation=OPTIONS,
        )
    )
    model = Two()
    [verdict] = judged(model, ["x"], found, names=("insult", "threat"))
    assert verdict["action"] == "Remove"
    assert model.asked == [(["x"], Asked(1, 2, "Utf16"))]


def test_a_text_without_a_score_is_not_explained():
    model = Model()
    found = parse(raw(policy(otherwise="Remove"), explanation=OPTIONS))
    assert [verdict["label"] for verdict in judged(model, ["broken", "good"], found)] == ["kept"]
    assert [texts for texts, _ in model.asked] == [["good"]]


def test_a_huge_text_has_its_verdict_without():
    model = Model()
    huge, bad = judged(model, ["b" * (LONGEST_EXPLAINED + 1), "bad"])
    assert huge["action"] == "Remove"
    assert str(LONGEST_EXPLAINED) in huge["explanation"]["omitted"]
    assert bad["explanation"]["total"] == 3
    assert model.asked == [(["bad"], Asked(0, 2, "Utf16"))]


def test_an_error_costs_no_verdict_and_says_nothing_of_the_text(caplog):
    def fail(text):
        raise ValueError(text)

    model = Model(fail)
    with caplog.at_level(logging.ERROR):
        first, second = judged(model, ["bad", "worse"])
    assert first["action"] == second["action"] == "Remove"
    assert first["explanation"] == {"omitted": "explaining failed (ValueError)"}
    assert caplog.messages == ["explain verdicts: ValueError"]


def test_a_model_that_cannot_be_explained_says_so():
    class Opaque(Model):
        def briefs(self, texts, asked):
            return None

    [verdict] = judged(Opaque(), ["bad"])
    assert "cannot" in verdict["explanation"]["omitted"]


@pytest.mark.parametrize(
    "explanation",
    [
        pytest.param({"omitted": "the text is too long"}, id="omitted"),
        pytest.param(
            Explanation((Span(0, 3, 0.5),), (Feature("links", -0.25),), -1.0, -0.75).brief(5),
            id="brief",
        ),
    ],
)
def test_avro_has_a_place_for_either(explanation):
    schema = fastavro.parse_schema(json.loads(avro.DECIDED_SCHEMA))
    plain = {"id": "1", "label": "removed", "score": 0.9, "flagged": True, "threshold": 0.5}
    written = io.BytesIO()
    fastavro.schemaless_writer(
        written, schema, {**plain, "model": "m:1", "explanation": explanation}
    )
    written.seek(0)
    read = fastavro.schemaless_reader(written, schema)["explanation"]
    assert {name: read[name] for name in explanation} == explanation


def test_seldons_answers_have_no_place_for_it():
    assert not catalog.output_formats()["Seldon"].explains
    assert catalog.output_formats()["Verdict"].explains


def test_verdicts_explain_the_text_as_sent(seed_artifact):
    class Real(Model):
        scorer = Scorer.from_artifact(seed_artifact)

        def score(self, texts):
            return self.scorer.score(texts)

        def briefs(self, texts, asked):
            return self.scorer.briefs(texts, asked)

    found = parse(raw(policy(rule("Remove", 0.0)), explanation={**OPTIONS, "maxSpans": 50}))
    text = "😀 &gt;wake up&lt; people"
    [verdict] = judged(Real(), [text], found)
    told = verdict["explanation"]
    units = text.encode("utf-16-le")
    said = {
        units[2 * span["begin"] : 2 * span["end"]].decode("utf-16-le") for span in told["spans"]
    }
    assert said <= {"😀", "&gt;wake", "up&lt;", "people"}
    assert said
    weights = [part["weight"] for part in (*told["spans"], *told["features"])]
    assert sum(weights) + told["others"] + told["base"] == pytest.approx(told["total"], abs=1e-9)
    assert 1 / (1 + np.exp(-told["total"])) == pytest.approx(verdict["score"], abs=1e-5)


def test_a_predictor_explains_for_the_stream():
    model = Model()
    info = ModelInfo("m", "1", "sha256:0", "seed", ("kept", "removed"), 0.5)
    asked = Asked(0, 3)
    made = Predictor(model.score, info, briefs=model.briefs)
    assert made.briefs(["bad"], asked) == [{"spans": [], "total": 3}]
    assert Predictor(model.score, info).briefs(["bad"], asked) is None
