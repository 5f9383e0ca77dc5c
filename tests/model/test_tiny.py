"""Data of any size and kind trains a model that can be packaged, or is refused in a sentence."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from textmod_model import __main__ as command
from textmod_model import artifact
from textmod_model.training import report, sample, train
from textmod_model.training.dataset import Dataset, digest, read

RECIPES = ("default", "seed")


def dataset(texts: list[str], labels: list[int]) -> Dataset:
    return Dataset(texts, labels, digest(texts, labels))


def outcome(data: Dataset, recipe: str, out: Path) -> train.Trained | None:
    """Train, package and verify; None where the data was refused."""
    try:
        trained = train.train(data, recipe)
        made = train.package(trained, data, out, recipe=recipe, name="tiny", version="1")
        train.verify(made, data.texts)
    except train.TrainingError as error:
        assert str(error).endswith(".")
        return None
    assert np.isfinite(trained.all_scores).all()
    return trained


def comments(rows: int, seed: int = 0) -> Dataset:
    texts, labels = zip(*sample.comments(rows, seed=seed), strict=True)
    return dataset(list(texts), list(labels))


def minority_oversampled() -> Dataset:
    few = comments(60)
    kept = [text for text, label in zip(few.texts, few.labels, strict=True) if not label]
    removed = [text for text, label in zip(few.texts, few.labels, strict=True) if label]
    return dataset(kept + removed * 4, [0] * len(kept) + [1] * len(removed) * 4)


KINDS = {
    "100 rows": comments(100),
    "50 rows": comments(50, seed=3),
    "10 rows": comments(10),
    "each five times": dataset(comments(40).texts * 5, comments(40).labels * 5),
    "oversampled": minority_oversampled(),
    "emoji": dataset([chr(0x1F600 + at) * (1 + at % 3) for at in range(60)], [0, 1] * 30),
    "chinese": dataset(
        [
            "这个研究很有意思" + chr(0x4E00 + at) + ("你好笨" if at % 2 else "请问来源")
            for at in range(60)
        ],
        [0, 1] * 30,
    ),
    "symbols": dataset(["!" * (1 + at // 2) + "?" * (at % 2) for at in range(60)], [0, 1] * 30),
    "one symbol": dataset(["!"] * 60, [0, 1] * 30),
    "one letter": dataset([chr(97 + at % 26) for at in range(60)], [0, 1] * 30),
    "long and short": dataset(
        [("word " * 2000 if at % 7 == 0 else f"short {at}") for at in range(60)], [0, 1] * 30
    ),
}


FEW_ROWS_THAT_TRAIN = {
    (kind, "default") for kind in ("100 rows", "50 rows", "each five times", "oversampled")
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", KINDS)
def test_trains_or_refuses(kind: str, recipe: str, tmp_path: Path) -> None:
    trained = outcome(KINDS[kind], recipe, tmp_path)
    assert trained is not None or (kind, recipe) not in FEW_ROWS_THAT_TRAIN


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_random_tiny_data_trains_or_refuses(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)  # noqa: S311
    words = [chr(draw.randint(0x21, draw.choice((0x7F, 0x2FF, 0x9FFF)))) * draw.randint(1, 9)
             for _ in range(draw.choice((1, 5, 200)))]  # fmt: skip
    rows = draw.randint(10, 300)
    longest = draw.choice((2, 40))
    pool = [" ".join(draw.choices(words, k=draw.randint(1, longest))) for _ in range(rows)]
    texts = [draw.choice(pool[: max(1, rows // draw.choice((1, 1, 4)))]) for _ in range(rows)]
    share = draw.choice((0.05, 0.3, 0.5))
    labels = [int(draw.random() < share) for _ in range(rows)]
    outcome(dataset(texts, labels), draw.choice(RECIPES), tmp_path)


ODD_WORDS = (
    "abcdefg", "!?.,", "😀👍🏽", "科学研究", "αβγδ", "0123456789", "ا ب ت", "\u200d\u200b",
    "\ud7ff\x07\x01",
    "'\"()[]{}<>&;", "a\u0301\u0302", "<U+0041>", "&amp;", "](", "\\", "http://a.b", "z" * 200,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_random_labels_shares_and_votes_train_and_are_shown(seed: int, tmp_path: Path) -> None:
    """From the file to the report: no row is lost, no label breaks, no plot collapses."""
    draw = random.Random(seed)  # noqa: S311
    pool = [*draw.choice(ODD_WORDS), *draw.sample(ODD_WORDS, 3)]
    rows, names = (
        draw.choice((60, 120, 300)),
        [f"label {at}" for at in range(draw.choice((1, 2, 3)))],
    )
    shares, votes = (
        draw.choice(([0, 1], [0, 1], [0, 1 / 3, 0.5, 1])),
        draw.choice(([1], [1, 3, 1000])),
    )
    path = tmp_path / "data.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", *names, "n"])
        for at in range(rows):
            words = draw.choices(pool, k=draw.choice((1, 2, 5, 60)))
            text = draw.choice(("", " ")).join(words) + f" {at % (rows // 2)}"
            writer.writerow([text, *draw.choices(shares, k=len(names)), draw.choice(votes)])
    data = read(path, label_columns=names, votes_column="n" if len(votes) > 1 else None)
    assert len(data) == rows
    recipe = draw.choice(RECIPES)
    trained = outcome(data, recipe, tmp_path / "model")
    if trained is not None:
        made = artifact.load(tmp_path / "model")
        assert "<svg" in report.render(made.manifest, trained, data, {"recipe": [0.5, 0.6]})


def test_a_training_can_be_repeated(tmp_path: Path) -> None:
    """To the byte, however few the rows: what arithmetic cannot repeat is not in the model."""
    data = KINDS["100 rows"]
    digests = []
    for out in (tmp_path / "one", tmp_path / "two"):
        trained = train.train(data, "default")
        made = train.package(trained, data, out, recipe="default", name="x", version="1")
        digests.append(made.manifest.digest)
    assert digests[0] == digests[1]


@pytest.mark.parametrize("recipe", RECIPES)
def test_texts_that_repeat_are_on_one_side_of_each_fold(recipe: str) -> None:
    """Labels drawn by lot can't be learned, however often each text is there."""
    draw = random.Random(0)  # noqa: S311
    texts = [
        " ".join(draw.choices(["abcdefghij", "klmnop", "qrstu", "vwxyz"], k=9)) for _ in range(200)
    ]
    texts = [f"{text} {number}" for number, text in enumerate(texts)]
    labels = [draw.randint(0, 1) for _ in texts]
    again = [text.upper() if number % 2 else text for number, text in enumerate(texts)]
    trained = train.train(dataset(texts * 3 + again * 2, labels * 5), recipe)
    assert 0.4 < trained.metrics["auc"] < 0.6
    assert trained.metrics["ece"] < 0.1


def test_a_spacy_pipeline_that_is_not_installed_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample.write_csv(tmp_path / "data.csv", 60)
    arguments = ["--spacy-model", "xx_none", "--no-report", "--out", str(tmp_path / "model")]
    assert command.main(["train", str(tmp_path / "data.csv"), *arguments]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("textmod-model: the spaCy pipeline xx_none is not installed here")


def test_a_spacy_pipeline_without_a_lemmatizer_takes_the_words_as_they_are(tmp_path: Path) -> None:
    import spacy

    spacy.blank("de").to_disk(tmp_path / "german")
    trained = train.train(KINDS["100 rows"], "seed", spacy_model=str(tmp_path / "german"))
    assert len(trained.pipeline.named_steps["tfidf"].vocabulary_) > 100
    assert train.settings(trained.pipeline) == (0, str(tmp_path / "german"))
