"""The command-line arguments about labelled texts: the file and its columns."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from textmod_model.training import dataset
from textmod_model.training.dataset import Dataset

DATA: Final = "CSV with a header (BODY,REMOVED or text,label), JSON Lines (.jsonl) or Parquet"
"""The kinds of files that are read."""


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


def read(arguments: argparse.Namespace) -> Dataset:
    """Read the labelled texts, and write what was repaired to stderr. Raises DatasetError."""
    one = arguments.label_column
    data = dataset.read(
        arguments.data,
        text_column=arguments.text_column,
        label_columns=[one] if one is not None else arguments.label or (),
        votes_column=arguments.votes,
    )
    for note in data.notes:
        sys.stderr.write(f"{arguments.data}: {note}.\n")
    return data if one is None else replace(data, names=(dataset.CLASSES[1],))
