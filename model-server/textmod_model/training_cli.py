"""The commands that make, judge and show a model: arguments in, exit code out."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textmod_model.dataset import Dataset

RECIPES = ("seed",)


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the training commands; each sets `run`, a function from arguments to an exit code."""
    _add_train(subparsers)
    _add_inspect(subparsers)
    _add_evaluate(subparsers)
    _add_sample(subparsers)


def _add_train(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("train", help="train a model from a CSV file and package it")
    _add_data(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the artifact")
    parser.add_argument("--recipe", choices=RECIPES, default="seed")
    parser.add_argument("--seed", type=int, default=0, help="of folds and solvers (default: 0)")
    parser.add_argument("--name", default="text-moderation", help="the model's name")
    parser.add_argument("--model-version", default="1", help="the model's version (default: 1)")
    parser.set_defaults(run=run_train)


def _add_inspect(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("inspect", help="check an artifact and show its manifest")
    parser.add_argument("artifact", type=Path, help="folder of the artifact")
    parser.set_defaults(run=run_inspect)


def _add_evaluate(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("evaluate", help="judge an artifact on labelled comments")
    _add_data(parser)
    parser.add_argument("--artifact", type=Path, required=True, help="folder of the artifact")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run_evaluate)


def _add_sample(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("sample", help="write invented labelled comments to a CSV file")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run_sample)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, help="CSV: BODY,REMOVED or text,label")
    parser.add_argument("--text-column", help="default: BODY, body, text or comment")
    parser.add_argument("--label-column", help="default: REMOVED, removed or label")


def run_train(arguments: argparse.Namespace) -> int:
    """Train, package and say where."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("start"):
        try:
            data = _data(arguments)
        except ValueError as error:
            return _fail(error)
    from textmod_model import train
    from textmod_model.artifact import ArtifactError

    trained = train.train(data, arguments.recipe, random_state=arguments.seed)
    try:
        made = train.package(
            trained,
            data,
            arguments.out,
            recipe=arguments.recipe,
            name=arguments.name,
            version=arguments.model_version,
        )
    except ArtifactError as error:
        return _fail(error)
    _print(made.manifest.metrics)
    _say(f"{arguments.out}: {made.manifest.digest}")
    return 0


def run_inspect(arguments: argparse.Namespace) -> int:
    """Check the artifact and print its manifest as JSON."""
    from textmod_model.artifact import ArtifactError, load

    try:
        manifest = load(arguments.artifact).manifest
    except ArtifactError as error:
        return _fail(error)
    document = manifest.model_dump(mode="json")
    document["messages_per_second"] = manifest.messages_per_second
    _say(json.dumps(document, indent=2, sort_keys=True))
    return 0


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Print auc, average_precision, f1, threshold, ece and n."""
    from textmod_model.artifact import load
    from textmod_model.scorer import Scorer

    try:
        data = _data(arguments)
        made = load(arguments.artifact)
        scores = Scorer.from_artifact(made).score(data.texts)
    except ValueError as error:
        return _fail(error)
    from textmod_model.train import evaluate

    figures = evaluate(data.labels, scores, made.manifest.threshold)
    if arguments.json:
        _say(json.dumps(figures))
    else:
        _print(figures)
    return 0


def run_sample(arguments: argparse.Namespace) -> int:
    """Write the sample."""
    from textmod_model.sample import write_csv

    try:
        write_csv(arguments.out, arguments.rows, seed=arguments.seed)
    except OSError as error:
        return _fail(f"cannot write {arguments.out}: {error.strerror}.")
    return 0


def _data(arguments: argparse.Namespace) -> "Dataset":
    from textmod_model.dataset import read_csv

    return read_csv(
        arguments.data, text_column=arguments.text_column, label_column=arguments.label_column
    )


def _print(figures: Mapping[str, object]) -> None:
    for name, value in figures.items():
        _say(f"{name:20} {value}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _fail(problem: object) -> int:
    sys.stderr.write(f"textmod-model: {problem}\n")
    return 1
