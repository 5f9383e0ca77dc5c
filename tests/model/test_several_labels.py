"""Several labels: trained at once, scored in one pass, each with figures of its own."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from textmod_model import artifact
from textmod_model.__main__ import main
from textmod_model.scoring.compiled_backend import CompiledBackend
from textmod_model.scoring.scorer import Scorer
from textmod_model.training import report, sample, train
from textmod_model.training.dataset import Dataset

ROWS = 500


def data_of_two() -> Dataset:
    texts, labels = zip(*sample.comments(ROWS, seed=2), strict=True)
    shouted = [float("!" in text or "shit" in text) for text in texts]
    targets = [(float(label), yes) for label, yes in zip(labels, shouted, strict=True)]
    return Dataset(list(texts), list(labels), "sha256:" + "1" * 64, ("removed", "shouted"), targets)


@pytest.fixture(scope="module", params=["default", "seed"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> artifact.Artifact:
    data, path = data_of_two(), tmp_path_factory.mktemp("several")
    trained = train.train(data, request.param)
    return train.package(trained, data, path, recipe=request.param, name="two", version="1")


def test_each_label_has_its_own_figures(made: artifact.Artifact) -> None:
    manifest = made.manifest
    assert manifest.several
    assert manifest.labels == ("removed", "shouted")
    removed, shouted = manifest.attributes
    assert (removed.name, shouted.name) == ("removed", "shouted")
    assert removed.metrics["auc"] > 0.7
    assert shouted.metrics["auc"] > 0.9
    assert removed.threshold != shouted.threshold
    for attribute in manifest.attributes:
        assert sum(attribute.without) + sum(attribute.having) == ROWS
        assert attribute.metrics["ece"] < 0.1


def test_the_compiled_form_scores_all_labels_as_the_pipeline_does(made: artifact.Artifact) -> None:
    texts = data_of_two().texts
    assert train.verify(made, texts) < 1e-9
    scorer = Scorer.from_artifact(made)
    odd = ["", "\0", "科学 :-)", "a" * 300, "can't won't " * 40, "x" * 20_000]
    assert scorer.score([]).shape == (0, 2)
    np.testing.assert_allclose(
        scorer.score(odd), train.pipeline.removed_probability(made.pipeline(), odd), atol=1e-9
    )


def test_memories_change_no_score(made: artifact.Artifact) -> None:
    compiled = made.compiled()
    assert compiled is not None
    small = CompiledBackend(compiled, memo_limit=5)
    texts = data_of_two().texts[:200]
    expected = small.cold().score(texts)
    for start in range(0, len(texts), 20):
        np.testing.assert_allclose(
            small.score(texts[start : start + 20]), expected[start : start + 20], atol=1e-12
        )


def test_the_compiled_form_survives_its_bytes(made: artifact.Artifact) -> None:
    compiled = made.compiled()
    assert compiled is not None
    again = type(compiled).from_bytes(compiled.to_bytes())
    assert again.labels == 2
    assert again.to_bytes() == compiled.to_bytes()


def test_shares_are_learned_as_shares(tmp_path: Path) -> None:
    """Scores of a label that two of three agree on lie at two thirds, not at one."""
    draw = random.Random(0)  # noqa: S311
    words = ["the", "study", "shows", "that", "bees", "sleep", "less", "than", "mice", "do"]
    texts = [
        " ".join(["bad" if at % 2 else "good", *draw.choices(words, k=8)]) for at in range(400)
    ]
    targets = [(2 / 3 if at % 2 else 0.0,) for at in range(400)]
    labels = [at % 2 for at in range(400)]
    data = Dataset(texts, labels, "sha256:" + "2" * 64, ("bad",), targets, [1.0] * 400)
    trained = train.train(data, "seed")
    assert trained.scores[1::2].mean() == pytest.approx(2 / 3, abs=0.1)
    made = train.package(trained, data, tmp_path, recipe="seed", name="x", version="1")
    assert made.manifest.labels == ("not bad", "bad")
    assert train.verify(made, texts) < 1e-9


def test_an_evaluation_finds_labels_by_name(
    made: artifact.Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_of_two()
    file = tmp_path / "data.jsonl"
    rows = zip(data.texts, data.targets, strict=True)
    file.write_text(
        "\n".join(json.dumps({"text": text, "removed": a, "shouted": b}) for text, (a, b) in rows)
    )
    command = ["evaluate", "--artifact", str(made.path), str(file), "--json"]
    figures = []
    for names in (["removed", "shouted"], ["shouted", "removed"]):
        assert main([*command, *(f"--label={name}" for name in names)]) == 0
        figures.append(json.loads(capsys.readouterr().out))
    assert figures[0] == figures[1]
    file.write_text(file.read_text().replace("shouted", "angry"))
    assert main([*command, "--label=removed", "--label=angry"]) == 1
    assert "--label removed --label shouted" in capsys.readouterr().err


def test_every_protocol_says_the_labels(made: artifact.Artifact) -> None:
    from textmod_model.formats.encoders import seldon, verdict
    from textmod_model.formats.message import Decoded, Verdicts, Writing
    from textmod_model.serving.predictor import ModelInfo, Predictor

    names = made.manifest.labels
    info = ModelInfo("two", "1", "sha256:0", "seed", ("not removed", "removed"), 0.4, names=names)
    texts = ["you idiots!", "the sample size is small"]
    scores = Scorer.from_artifact(made).score(texts)
    predictor = Predictor(Scorer.from_artifact(made).score, info)
    answer = predictor.answer({"data": {"ndarray": texts}})
    assert answer["data"] == {"names": list(names), "ndarray": scores.tolist()}
    tensor = predictor.answer({"strData": texts[0]})["data"]["tensor"]
    assert tensor == {"shape": [1, 2], "values": scores[0].tolist()}
    assert info.metadata()["outputs"][0]["schema"] == {"names": list(names), "shape": [2]}

    writing = Writing(Verdicts(info.labels, info.threshold, "two:1", names))
    rows = [[0.5, 0.25]]
    assert json.loads(verdict.encoder(writing)(Decoded(("x",)), rows, "t/0/1")) == {
        "id": "t/0/1",
        "label": "removed",
        "score": 0.5,
        "flagged": True,
        "threshold": 0.4,
        "model": "two:1",
        "scores": {"removed": 0.5, "shouted": 0.25},
    }
    data = json.loads(seldon.encoder(writing)(Decoded(("x",)), rows, "t/0/1"))["data"]
    assert data == {"names": ["removed", "shouted"], "ndarray": [[0.5, 0.25]]}


@pytest.mark.slow
def test_the_report_has_the_figures_of_every_label(made: artifact.Artifact) -> None:
    data = data_of_two()
    scores = Scorer.from_artifact(made).score(data.texts)
    trained = train.Trained(made.pipeline(), made.manifest.attributes, scores)
    html = report.render(made.manifest, trained, data, {"recipe": [0.7, 0.8]})
    assert "<b>shouted</b>" in html
    assert "by which verdicts are flagged" in html
    for label in ("removed", "shouted"):
        assert f">Label {label}</h2>" in html
        assert f"share of “not {label}” flagged" in html
    assert html.count("<h2>Calibration</h2>") == 2
    assert "log of ends" not in html
    assert "currentColor" in html
