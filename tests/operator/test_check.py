from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from objects import body

from textmod_operator.__main__ import main


def written(tmp_path: Path, *documents: object) -> str:
    path = tmp_path / "moderation.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def test_what_would_be_made_is_yaml_that_kubectl_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "reddit"}}
    assert main(["check", written(tmp_path, other, body())]) == 0
    out = capsys.readouterr().out
    kinds = [document["kind"] for document in yaml.safe_load_all(out) if document]
    assert kinds == ["SeldonDeployment", "PodDisruptionBudget", "HorizontalPodAutoscaler"]
    assert "# topic science-input: 12 partitions" in out


def test_an_invalid_object_is_refused_with_its_name_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = body({"autoscaling": {"minReplicas": 13}})
    assert main(["check", written(tmp_path, bad)]) == 2
    said = capsys.readouterr().err
    assert "TextModeration science" in said
    assert "minReplicas must be at most topics.input.partitions" in said


@pytest.mark.parametrize("text", ["kind: Service\n", "", "a: [", "- 1\n"])
def test_a_file_without_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    assert main(["check", str(path)]) == 2
    assert capsys.readouterr().err.startswith("textmod-operator: ")


def test_a_file_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "no/such/file.yaml"]) == 2
    assert "no/such/file.yaml" in capsys.readouterr().err
