"""The command-line arguments of the training commands: labelled texts, numbers, files to write."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from textmod_model import files
from textmod_model.training import dataset
from textmod_model.training.dataset import Dataset, DatasetError

DATA: Final = "CSV with a header (BODY,REMOVED or text,label), JSON Lines (.jsonl) or Parquet"
"""The kinds of files that are read."""
_MOST_SEED: Final = 2**32 - 1  # as scikit-learn takes it


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the file and its columns."""
    parser.add_argument("data", type=Path, help=DATA)
    add_columns(parser)


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the columns of the text, the labels and the votes."""
    parser.add_argument("--text-column", help="default: BODY, body, text or comment")
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument(
        "--label-column",
        help="of the one label, kept and removed; default: REMOVED, removed or label",
    )
    labels.add_argument(
        "--label",
        action="append",
        metavar="COLUMN",
        help="a label's column, 0/1 or a share of yes; several times for several labels",
    )
    parser.add_argument(
        "--votes",
        metavar="COLUMN",
        help="how many judged each row; label columns may then count those who said yes",
    )


def read(arguments: argparse.Namespace, *, labelled: bool = True) -> Dataset:
    """Read the texts, and write what was repaired to stderr. Raises DatasetError.

    `labelled`: refuse texts without labels, and a label that all texts have, or none.
    """
    one = arguments.label_column
    data = dataset.read(
        arguments.data,
        text_column=arguments.text_column,
        label_columns=[one] if one is not None else arguments.label or (),
        votes_column=arguments.votes,
        labelled=labelled,
    )
    for note in data.notes:
        sys.stderr.write(f"{arguments.data}: {note}.\n")
    return data if one is None else replace(data, names=(dataset.CLASSES[1],))


def too_good(artifact: Path, data: Path) -> str:
    """Return the sentence for figures of texts that the model has learned from."""
    return (
        f"{artifact} was trained on {data}: precision and recall are too good to be true. Take"
        " texts that it has not seen."
    )


def expect_writable(path: Path) -> None:
    """Raise DatasetError if a file cannot be written: ask before the work that makes it."""
    try:
        files.expect_file(path)
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror}.") from error


def write(path: Path, text: str) -> None:
    """Write a file as a whole. Raises DatasetError."""
    try:
        files.write(path, text.encode())
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror}.") from error


def seed(text: str) -> int:
    """Read a seed of random numbers, from 0 to 2**32 - 1."""
    return _integer(text, 0, _MOST_SEED)


def count(text: str) -> int:
    """Read a number of rows, from 1 to 100,000,000."""
    return _integer(text, 1, 100_000_000)


def _integer(text: str, least: int, most: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        message = f"{text[:40]!r} is not a whole number from {least} to {most}"
        raise argparse.ArgumentTypeError(message)
    return value
