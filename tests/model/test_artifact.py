import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import skops.io

from textmod_model import artifact
from textmod_model.artifact import ArtifactError, DigestMismatch
from textmod_model.training import recipes, train
from textmod_model.training.dataset import Dataset


@pytest.fixture
def copy(seed_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(seed_path, tmp_path / "copy"))


def rewrite_manifest(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest as an attacker would: with all digests made right again."""
    document = json.loads((path / artifact.MANIFEST).read_text())
    change(document)
    manifest = artifact.Manifest.model_validate(document | {"digest": ""})
    document["digest"] = manifest.content_digest()
    (path / artifact.MANIFEST).write_text(json.dumps(document))


def replace_file(path: Path, name: str, data: bytes) -> None:
    (path / name).write_bytes(data)
    digest = artifact._sha256(data)
    rewrite_manifest(path, lambda document: document["files"].update({name: digest}))


def test_what_was_saved_is_loaded(seed_artifact: artifact.Artifact, sample_data: Dataset) -> None:
    manifest = seed_artifact.manifest
    assert manifest.name == "sample"
    assert manifest.recipe == "seed"
    assert manifest.labels == ("kept", "removed")
    assert manifest.training_data_digest == sample_data.digest
    assert manifest.training_rows == len(sample_data)
    assert manifest.digest.startswith("sha256:")
    assert manifest.messages_per_second is None
    assert 0 < manifest.threshold < 1
    assert seed_artifact.compiled() is not None


def test_training_twice_gives_the_same_bytes(
    seed_path: Path, sample_data: Dataset, tmp_path: Path
) -> None:
    trained = train.train(sample_data, "seed")
    train.package(trained, sample_data, tmp_path, recipe="seed", name="sample", version="1")
    for file in seed_path.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_fitting_the_default_recipe_twice_gives_the_same_bytes(sample_data: Dataset) -> None:
    first, second = (
        artifact.dump_pipeline(recipes.build("default").fit(sample_data.texts, sample_data.labels))
        for _ in range(2)
    )
    assert first == second


def test_the_right_digest_is_accepted_and_another_is_not(seed_path: Path) -> None:
    digest = artifact.load(seed_path).manifest.digest
    assert artifact.load(seed_path, digest=digest).manifest.digest == digest
    with pytest.raises(DigestMismatch, match="not sha256:0000"):
        artifact.load(seed_path, digest="sha256:" + "0" * 64)


def test_the_measured_speed_is_beside_the_digest(copy: Path) -> None:
    before = artifact.load(copy).manifest.digest
    artifact.write_benchmark(copy, 12345.678)
    manifest = artifact.load(copy).manifest
    assert manifest.messages_per_second == 12345.7
    assert manifest.digest == before


@pytest.mark.parametrize("content", ["", "[]", '{"messages_per_second": -1}', "null"])
def test_an_odd_speed_is_unknown(copy: Path, content: str) -> None:
    (copy / artifact.BENCHMARK).write_text(content)
    assert artifact.load(copy).manifest.messages_per_second is None


@pytest.mark.parametrize("name", [artifact.MODEL, artifact.COMPILED])
def test_a_changed_byte_is_refused(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match=f"{name} is damaged"):
        artifact.load(copy)


@pytest.mark.parametrize("name", [artifact.MODEL, artifact.COMPILED, artifact.MANIFEST])
def test_a_truncated_file_is_refused(copy: Path, name: str) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtifactError, match=name):
        artifact.load(copy)


@pytest.mark.parametrize("name", [artifact.MODEL, artifact.COMPILED, artifact.MANIFEST])
def test_a_missing_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} cannot be read: No such file"):
        artifact.load(copy)


def test_a_changed_manifest_is_refused(copy: Path) -> None:
    path = copy / artifact.MANIFEST
    document = json.loads(path.read_text())
    document["threshold"] = 0.99
    path.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="does not match its own digest"):
        artifact.load(copy)


def test_something_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not a folder"):
        artifact.load(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="is not a folder"):
        artifact.load(tmp_path / "file")


def test_another_format_is_refused(copy: Path) -> None:
    (copy / artifact.MANIFEST).write_text('{"format": 99}')
    with pytest.raises(ArtifactError, match="has the format 99, this version reads 1"):
        artifact.load(copy)


def test_another_minor_version_of_scikit_learn_is_refused(copy: Path) -> None:
    rewrite_manifest(copy, lambda document: document["versions"].update({"scikit-learn": "0.23.2"}))
    with pytest.raises(ArtifactError, match=r"made with scikit-learn 0\.23\.2"):
        artifact.load(copy)


def test_an_unknown_field_is_refused(copy: Path) -> None:
    path = copy / artifact.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"surprise": 1}))
    with pytest.raises(ArtifactError, match="surprise"):
        artifact.load(copy)


def test_a_path_out_of_the_folder_is_refused(copy: Path) -> None:
    digest = "sha256:" + "0" * 64
    rewrite_manifest(copy, lambda document: document["files"].update({"../evil": digest}))
    with pytest.raises(ArtifactError, match="not a file's name"):
        artifact.load(copy)


class RunsCode:
    """A pickle of this would touch a file when loaded."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.victim), "w")


def test_a_pickle_is_refused_and_not_run(copy: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    replace_file(copy, artifact.MODEL, pickle.dumps(RunsCode(victim)))
    with pytest.raises(ArtifactError, match="is not a skops file"):
        artifact.load(copy)
    assert not victim.exists()


def test_a_skops_file_with_a_type_of_its_own_is_refused(copy: Path, tmp_path: Path) -> None:
    evil = skops.io.dumps({"model": RunsCode(tmp_path / "victim"), "run": exec})
    replace_file(copy, artifact.MODEL, evil)
    with pytest.raises(ArtifactError, match="names types that no model of ours has"):
        artifact.load(copy).pipeline()


def test_a_damaged_skops_file_with_right_digests_is_refused(copy: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", "{}")
    replace_file(copy, artifact.MODEL, buffer.getvalue())
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        artifact.load(copy).pipeline()


def test_a_pickle_inside_the_compiled_form_is_refused(copy: Path, tmp_path: Path) -> None:
    import numpy as np

    buffer = io.BytesIO()
    victim = tmp_path / "victim"
    np.savez(buffer, format=np.array([RunsCode(victim)], dtype=object))
    replace_file(copy, artifact.COMPILED, buffer.getvalue())
    with pytest.raises(ArtifactError, match=r"compiled\.npz cannot be loaded"):
        artifact.load(copy).compiled()
    assert not victim.exists()
