"""Models trained once a session on the invented sample."""

from pathlib import Path

import pytest

from textmod_model import artifact
from textmod_model.training import dataset, sample, train

ROWS = 800


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> dataset.Dataset:
    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    sample.write_csv(path, ROWS, seed=1)
    return dataset.read(path)


@pytest.fixture(scope="session")
def trained_seed(sample_data: dataset.Dataset) -> train.Trained:
    return train.train(sample_data, "seed")


@pytest.fixture(scope="session")
def seed_path(
    tmp_path_factory: pytest.TempPathFactory,
    sample_data: dataset.Dataset,
    trained_seed: train.Trained,
) -> Path:
    """Return the folder of a packaged seed model. Tests must not change it."""
    path = tmp_path_factory.mktemp("seed")
    train.package(trained_seed, sample_data, path, recipe="seed", name="sample", version="1")
    return path


@pytest.fixture(scope="session")
def default_artifact(
    tmp_path_factory: pytest.TempPathFactory, sample_data: dataset.Dataset
) -> artifact.Artifact:
    path = tmp_path_factory.mktemp("default")
    trained = train.train(sample_data, "default")
    return train.package(trained, sample_data, path, recipe="default", name="sample", version="1")


@pytest.fixture(scope="session")
def seed_artifact(seed_path: Path) -> artifact.Artifact:
    return artifact.load(seed_path)
