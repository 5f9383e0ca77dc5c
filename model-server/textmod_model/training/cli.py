"""The commands that make, judge and show a model: arguments in, exit code out."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from textmod_model.artifact import ArtifactError
from textmod_model.training.dataset import Dataset, DatasetError

if TYPE_CHECKING:
    from textmod_model.artifact import Artifact
    from textmod_model.scoring.scorer import Scorer
    from textmod_model.training.train import Floats, Progress, Trained

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # its only name

RECIPES = ("default", "seed")  # pipeline.RECIPES, which takes seconds to import
_BENCHMARK_TEXTS = 2_000
_BENCHMARK_BATCH = 256


def add_commands(subparsers: "Subparsers") -> None:
    """Add the training commands; each sets `run`, a function from arguments to an exit code."""
    _add_train(subparsers)
    _add_report(subparsers)
    _add_evaluate(subparsers)
    _add_compare(subparsers)
    _add_inspect(subparsers)
    _add_package(subparsers)
    _add_sample(subparsers)


def _add_train(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("train", help="train a model from a CSV file and package it")
    _add_data(parser)
    _add_training(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the artifact")
    parser.add_argument("--name", default="text-moderation", help="the model's name")
    parser.add_argument("--model-version", default="1", help="the model's version (default: 1)")
    parser.add_argument(
        "--no-report", action="store_true", help="write no report.html, which compares algorithms"
    )
    parser.set_defaults(run=_guarded(run_train))


def _add_report(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("report", help="cross-validate a recipe and write its report")
    _add_data(parser)
    parser.add_argument("--artifact", type=Path, required=True, help="the trained model")
    parser.add_argument("--seed", type=int, default=0, help="the seed it was trained with")
    parser.add_argument("--out", type=Path, help="default: report.html in the artifact's folder")
    parser.set_defaults(run=_guarded(run_report))


def _add_evaluate(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("evaluate", help="judge an artifact on labelled comments")
    _add_data(parser)
    parser.add_argument("--artifact", type=Path, required=True, help="folder of the artifact")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_guarded(run_evaluate))


def _add_compare(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("compare", help="compare algorithms on the same folds")
    _add_data(parser)
    _add_training(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_guarded(run_compare))


def _add_inspect(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("inspect", help="check an artifact and show its manifest")
    parser.add_argument("artifact", type=Path, help="folder of the artifact")
    parser.set_defaults(run=_guarded(run_inspect))


def _add_package(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "package", help="check an artifact for the image and measure its speed on this machine"
    )
    parser.add_argument("artifact", type=Path, help="folder of the artifact")
    parser.set_defaults(run=_guarded(run_package))


def _add_sample(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("sample", help="write invented labelled comments to a CSV file")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=_guarded(run_sample))


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, help="CSV with a header: BODY,REMOVED or text,label")
    parser.add_argument("--text-column", help="default: BODY, body, text or comment")
    parser.add_argument("--label-column", help="default: REMOVED, removed or label")


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", choices=RECIPES, default="default")
    parser.add_argument("--seed", type=int, default=0, help="of folds and solvers (default: 0)")
    parser.add_argument(
        "--spacy-model",
        default="blank:en",
        help="an installed spaCy pipeline instead of its English tokenizer; much slower",
    )


def run_train(arguments: argparse.Namespace) -> int:
    """Train, package, verify, report, and say what came of it."""
    data = _data(arguments)
    with _progress() as progress:
        from textmod_model.training import train

        trained = _trained(arguments, data, progress)
        progress("package")
        made = train.package(
            trained,
            data,
            arguments.out,
            recipe=arguments.recipe,
            name=arguments.name,
            version=arguments.model_version,
        )
        progress("compare the compiled model's scores with the pipeline's")
        train.verify(made, data.texts)
        if not arguments.no_report:
            from textmod_model.artifact import REPORT

            _write_report(
                arguments, made, trained, data, out=arguments.out / REPORT, progress=progress
            )
    _print(made.manifest.metrics)
    _say(f"{arguments.out}: {made.manifest.digest}")
    return 0


def run_report(arguments: argparse.Namespace) -> int:
    """Cross-validate the artifact's recipe again and write the report."""
    from textmod_model.artifact import REPORT, load

    made = load(arguments.artifact)
    data = _data(arguments)
    if data.digest != made.manifest.training_data_digest:
        raise DatasetError(f"{arguments.data} is not the data {arguments.artifact} was trained on.")
    arguments.recipe = made.manifest.recipe
    arguments.spacy_model = "blank:en"
    out = arguments.out or arguments.artifact / REPORT
    with _progress() as progress:
        trained = _trained(arguments, data, progress)
        _write_report(arguments, made, trained, data, out=out, progress=progress)
    _say(str(out))
    return 0


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Print auc, average_precision, f1, precision, recall, threshold, ece and n."""
    from textmod_model.artifact import load
    from textmod_model.scoring.scorer import Scorer

    data = _data(arguments)
    made = load(arguments.artifact)
    scores = Scorer.from_artifact(made).score(data.texts)
    from textmod_model.training.train import evaluate

    figures = evaluate(data.labels, scores, made.manifest.threshold)
    if arguments.json:
        _say(json.dumps(figures))
    else:
        _print(figures)
    return 0


def run_compare(arguments: argparse.Namespace) -> int:
    """Print each algorithm's mean ROC AUC and its folds, the best first."""
    data = _data(arguments)
    with _progress() as progress:
        trained = _trained(arguments, data, progress)
        comparison = _comparison(arguments, data, trained.scores, progress)
    if arguments.json:
        _say(json.dumps(comparison))
        return 0
    for name, aucs in sorted(comparison.items(), key=lambda item: -sum(item[1])):
        folds = " ".join(f"{auc:.4f}" for auc in aucs)
        _say(f"{name:32} {sum(aucs) / len(aucs):.4f}  ({folds})")
    return 0


def run_inspect(arguments: argparse.Namespace) -> int:
    """Check the artifact and print its manifest as JSON."""
    from textmod_model.artifact import load

    manifest = load(arguments.artifact).manifest
    document = manifest.model_dump(mode="json")
    document["messages_per_second"] = manifest.messages_per_second
    _say(json.dumps(document, indent=2, sort_keys=True))
    return 0


def run_package(arguments: argparse.Namespace) -> int:
    """Check the artifact as a server would, and write its speed beside the manifest.

    The speed is that of texts the memo does not know, a prior for the operator until it has
    measured the real one.
    """
    from textmod_model.artifact import load, write_benchmark
    from textmod_model.scoring.scorer import Scorer

    made = load(arguments.artifact)
    speed = _speed(Scorer.from_artifact(made))
    write_benchmark(arguments.artifact, speed)
    _say(f"{arguments.artifact}: {made.manifest.digest}, {speed:,.0f} messages/s on one core")
    return 0


def run_sample(arguments: argparse.Namespace) -> int:
    """Write the sample."""
    from textmod_model.training.sample import write_csv

    try:
        write_csv(arguments.out, arguments.rows, seed=arguments.seed)
    except OSError as error:
        raise DatasetError(f"cannot write {arguments.out}: {error.strerror}.") from error
    return 0


def _trained(arguments: argparse.Namespace, data: Dataset, progress: "Progress") -> "Trained":
    from textmod_model.training import train

    return train.train(
        data,
        arguments.recipe,
        random_state=arguments.seed,
        spacy_model=arguments.spacy_model,
        progress=progress,
    )


def _comparison(
    arguments: argparse.Namespace, data: Dataset, scores: "Floats", progress: "Progress"
) -> dict[str, list[float]]:
    from textmod_model.training.compare import compare

    name = f"{arguments.recipe} recipe"
    return compare(data, random_state=arguments.seed, recipes={name: scores}, progress=progress)


def _write_report(
    arguments: argparse.Namespace,
    made: "Artifact",
    trained: "Trained",
    data: Dataset,
    *,
    out: Path,
    progress: "Progress",
) -> None:
    from textmod_model.training.report import render

    comparison = _comparison(arguments, data, trained.scores, progress)
    progress("draw the report")
    out.write_text(render(made.manifest, trained, data, comparison), encoding="utf-8")


def _speed(scorer: "Scorer") -> float:
    """Return texts a second of CPU time, on invented texts with words made up for the occasion."""
    import time

    from textmod_model.training.sample import comments

    texts = [f"{text} new{at}word" for at, (text, _) in enumerate(comments(_BENCHMARK_TEXTS))]
    scorer.score(texts[:1])
    started = time.process_time()
    for at in range(0, len(texts), _BENCHMARK_BATCH):
        scorer.score(texts[at : at + _BENCHMARK_BATCH])
    return len(texts) / (time.process_time() - started)


def _data(arguments: argparse.Namespace) -> Dataset:
    from textmod_model.training.dataset import read_csv

    return read_csv(
        arguments.data, text_column=arguments.text_column, label_column=arguments.label_column
    )


@contextmanager
def _progress() -> "Iterator[Progress]":
    """Show the steps on standard error: a moving bar on a terminal, else one line a step."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: console.print(step, highlight=False)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("read", total=None)
        yield lambda step: bar.update(task, description=step)


def _guarded(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Turn an error that says what to do into one line and exit code 1."""

    def guarded(arguments: argparse.Namespace) -> int:
        try:
            return run(arguments)
        except _told() as error:
            sys.stderr.write(f"textmod-model: {error}\n")
            return 1

    return guarded


def _told() -> tuple[type[Exception], ...]:
    """Return the errors whose message is meant for the user.

    Those of training take seconds to import; where nothing has imported them, nothing raised them.
    """
    errors: tuple[type[Exception], ...] = (ArtifactError, DatasetError)
    for module, name in (
        ("training.train", "TrainingError"),
        ("scoring.vectors", "VectorsMissing"),
    ):
        loaded = sys.modules.get(f"textmod_model.{module}")
        if loaded is not None:
            errors += (getattr(loaded, name),)
    return errors


def _print(figures: Mapping[str, object]) -> None:
    for name, value in figures.items():
        _say(f"{name:20} {value}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
