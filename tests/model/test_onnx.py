"""The kind `onnx`: exported from our own training, or brought along; checked, and served."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from textmod_model import artifact, pipeline
from textmod_model.__main__ import main
from textmod_model.artifact import ArtifactError
from textmod_model.scoring.scorer import Scorer
from textmod_model.training import export, sample, train
from textmod_model.training.dataset import Dataset

ODD = ["", " ", "\0", "\ud800", "科学 :-)", "a" * 300, "can't won't " * 40, "s t u p i d", "ѕtuрid"]


@pytest.fixture(scope="module")
def exported(
    seed_artifact: artifact.Artifact, tmp_path_factory: pytest.TempPathFactory
) -> artifact.Artifact:
    out = tmp_path_factory.mktemp("onnx")
    written, difference = export.export(seed_artifact, out)
    assert difference < 1e-12
    return written


def test_scores_are_the_pipelines(
    exported: artifact.Artifact, seed_artifact: artifact.Artifact
) -> None:
    texts = [*ODD, *[text for text, _ in sample.comments(300, seed=9)], "word " * 30_000]
    expected = pipeline.removed_probability(seed_artifact.pipeline(), texts)
    np.testing.assert_allclose(Scorer.from_artifact(exported).score(texts), expected, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=[])), min_size=1, max_size=5))
def test_every_text_has_a_score_whatever_its_batch(
    exported: artifact.Artifact, texts: list[str]
) -> None:
    scorer = Scorer.from_artifact(exported)
    together = scorer.score(texts)
    assert together.shape == (len(texts),)
    np.testing.assert_allclose(together, [scorer.score([text])[0] for text in texts], atol=1e-12)


def test_figures_and_names_stay_and_the_digest_is_its_own(
    exported: artifact.Artifact, seed_artifact: artifact.Artifact
) -> None:
    manifest, before = exported.manifest, seed_artifact.manifest
    assert (manifest.kind, sorted(manifest.files)) == ("onnx", ["model.onnx"])
    for name in ("name", "version", "threshold", "metrics", "attributes", "labels"):
        assert getattr(manifest, name) == getattr(before, name)
    assert manifest.digest != before.digest


def test_the_same_model_gives_the_same_bytes(seed_artifact: artifact.Artifact) -> None:
    fitted = seed_artifact.pipeline()
    assert export.to_onnx(fitted) == export.to_onnx(seed_artifact.pipeline())


def test_several_labels(tmp_path: Path) -> None:
    texts, labels = zip(*sample.comments(300, seed=2), strict=True)
    targets = [
        (float(label), float("!" in text)) for text, label in zip(texts, labels, strict=True)
    ]
    data = Dataset(list(texts), list(labels), "sha256:" + "1" * 64, ("removed", "loud"), targets)
    trained = train.train(data, "seed")
    made = train.package(trained, data, tmp_path / "a", recipe="seed", name="two", version="1")
    written, _ = export.export(made, tmp_path / "b")
    scorer = Scorer.from_artifact(written)
    assert scorer.score([]).shape == (0, 2)
    expected = pipeline.removed_probability(made.pipeline(), texts)
    np.testing.assert_allclose(scorer.score(texts), expected, atol=1e-9)


def test_the_command_exports_and_says_how_near(
    seed_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(seed_path), "--out", str(tmp_path)]) == 0
    assert "of the pipeline's" in capsys.readouterr().out
    assert main(["package", str(tmp_path)]) == 0
    assert artifact.load(tmp_path).manifest.messages_per_second


@pytest.mark.parametrize("command", ["report", "export"])
def test_what_needs_the_pipeline_says_that_there_is_none(
    exported: artifact.Artifact, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArtifactError, match="kind onnx and has no scikit-learn pipeline"):
        exported.pipeline()
    assert main(["export", str(exported.path), "--out", str(tmp_path)]) == 1
    assert "kind onnx" in capsys.readouterr().err


def test_what_has_no_graph_is_refused(
    default_artifact: artifact.Artifact, seed_artifact: artifact.Artifact, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="only the recipe seed"):
        export.export(default_artifact, tmp_path)
    with pytest.raises(ArtifactError, match="holds the model itself"):
        export.export(seed_artifact, seed_artifact.path)
    old = seed_artifact.pipeline()
    old.named_steps["clean"].undisguises = False
    with pytest.raises(ArtifactError, match="train it again"):
        export.to_onnx(old)


def test_without_the_runtime_it_says_what_to_install(
    exported: artifact.Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ArtifactError, match=r"install textmoderation\[onnx\]"):
        Scorer.from_artifact(exported)


def test_a_changed_byte_is_refused(exported: artifact.Artifact, tmp_path: Path) -> None:
    shutil.copytree(exported.path, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "model.onnx"
    path.write_bytes(path.read_bytes().replace(b"Sigmoid", b"Softmax"))
    with pytest.raises(ArtifactError, match="is damaged or was changed"):
        artifact.load(tmp_path)


Nodes = list[onnx.NodeProto]


def brought(
    folder: Path,
    like: artifact.Artifact,
    nodes: Nodes,
    *,
    given: str = "text",
    kind: int = onnx.TensorProto.STRING,
    out: str = "probabilities",
) -> artifact.Artifact:
    """Package a graph that somebody else made."""
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info(given, kind, ["n"])],
        [helper.make_tensor_value_info(out, onnx.TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    manifest = like.manifest.model_copy(update={"kind": "onnx"})
    artifact.save_files(folder, manifest, {"model.onnx": model.SerializeToString()})
    return artifact.load(folder)


def matches(expression: str, out: str = "probabilities", given: str = "text") -> Nodes:
    """1 for a text that the expression matches, else 0."""
    return [
        helper.make_node("RegexFullMatch", [given], ["matched"], pattern=expression),
        helper.make_node("Cast", ["matched"], [out], to=onnx.TensorProto.FLOAT),
    ]


def test_a_graph_of_somebody_else_gets_the_tidy_text(
    tmp_path: Path, seed_artifact: artifact.Artifact
) -> None:
    made = brought(tmp_path, seed_artifact, matches(".*you & me.*"))
    scores = Scorer.from_artifact(made).score(["say You", "so you &amp; me", "\ud800 you & me"])
    assert scores.tolist() == [0, 1, 1]


def test_two_columns_are_the_two_sides_of_one_label(
    tmp_path: Path, seed_artifact: artifact.Artifact
) -> None:
    sides = [
        *matches(".*you.*", "yes"),
        helper.make_node("Not", ["matched"], ["other"]),
        helper.make_node("Cast", ["other"], ["no"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Constant", [], ["last"], value_ints=[1]),
        helper.make_node("Unsqueeze", ["no", "last"], ["first"]),
        helper.make_node("Unsqueeze", ["yes", "last"], ["second"]),
        helper.make_node("Concat", ["first", "second"], ["probabilities"], axis=1),
    ]
    scorer = Scorer.from_artifact(brought(tmp_path, seed_artifact, sides))
    assert scorer.score(["you", "me"]).tolist() == [1, 0]


def odd_graphs() -> dict[str, tuple[Callable[[Path, artifact.Artifact], artifact.Artifact], str]]:
    def no_graph(folder: Path, like: artifact.Artifact) -> artifact.Artifact:
        manifest = like.manifest.model_copy(update={"kind": "onnx"})
        artifact.save_files(folder, manifest, {"model.onnx": b"not a graph"})
        return artifact.load(folder)

    two = [
        *matches(".*", "twice"),
        helper.make_node("Add", ["twice", "twice"], ["probabilities"]),
    ]
    three = [
        *matches(".*", "one"),
        helper.make_node("Constant", [], ["last"], value_ints=[1]),
        helper.make_node("Unsqueeze", ["one", "last"], ["column"]),
        helper.make_node("Concat", ["column"] * 3, ["probabilities"], axis=1),
    ]
    identity = [helper.make_node("Identity", ["text"], ["probabilities"])]
    return {
        "no graph": (no_graph, "cannot be loaded"),
        "another input": (
            lambda folder, like: brought(folder, like, matches("a", given="image"), given="image"),
            "not strings called text or tokens",
        ),
        "numbers": (
            lambda folder, like: brought(folder, like, identity, kind=onnx.TensorProto.FLOAT),
            "not strings called text or tokens",
        ),
        "no probabilities": (
            lambda folder, like: brought(folder, like, two),
            "probabilities are not between 0 and 1",
        ),
        "another number of labels": (
            lambda folder, like: brought(folder, like, three),
            "has 3 columns, the manifest 1 labels",
        ),
    }


@pytest.mark.parametrize("name", odd_graphs())
def test_a_graph_that_is_no_text_classifier_is_refused(
    name: str, tmp_path: Path, seed_artifact: artifact.Artifact
) -> None:
    make, message = odd_graphs()[name]
    with pytest.raises(ArtifactError, match=message) as refused:
        Scorer.from_artifact(make(tmp_path, seed_artifact))
    assert "\n" not in str(refused.value)


def test_rest_serves_it(exported: artifact.Artifact) -> None:
    from app_client import AppClient

    from textmod_model import settings as settings_module
    from textmod_model.metrics import Metrics
    from textmod_model.serving import cli, rest

    environment = {"TEXTMOD_ARTIFACT": str(exported.path), "TEXTMOD_STREAMING": "Off"}
    predictor = cli.load_predictor(settings_module.load(environment))
    client = AppClient(rest.seldon_app(predictor, Metrics()))
    answer = client.post("/predict", json={"data": {"ndarray": ["you are a stupid idiot"]}})
    [[kept, removed]] = json.loads(answer.text)["data"]["ndarray"]
    assert removed > 0.3
    assert kept + removed == pytest.approx(1)
