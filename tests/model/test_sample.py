from pathlib import Path

from textmod_model.training import sample
from textmod_model.training.dataset import read


def test_the_same_seed_gives_the_same_comments() -> None:
    assert sample.comments(50, seed=3) == sample.comments(50, seed=3)
    assert sample.comments(50, seed=3) != sample.comments(50, seed=4)


def test_it_is_a_data_set_with_a_minority_of_removed_comments(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    sample.write_csv(path, 1000)
    data = read(path)
    assert len(data) == 1000
    assert 0.25 < sum(data.labels) / len(data) < 0.5
    assert len(set(data.texts)) > 900
