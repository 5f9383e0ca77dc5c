"""The commands that make, judge and show a model: arguments in, exit code out."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textmod_model import log_lines
from textmod_model.artifact import ArtifactError, expect_writable
from textmod_model.output import say
from textmod_model.training import data_arguments, policies_cli, thresholds_cli
from textmod_model.training.dataset import Dataset, DatasetError
from textmod_model.training.progress import Progress, part, shown

if TYPE_CHECKING:
    from textmod_model.artifact import Artifact, Manifest
    from textmod_model.scoring.scorer import Scorer
    from textmod_model.training.train import Floats, Trained

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # its only name

RECIPES = ("default", "seed")  # recipes.RECIPES, which takes seconds to import
_BENCHMARK_TEXTS = 2_000
_BENCHMARK_BATCH = 256
# Shares of the time: of a training with a report, and within a training until it is packaged.
_TRAINING = 0.5
_FITTING = 0.9


def add_commands(subparsers: "Subparsers") -> None:
    """Add the training commands; each sets `run`, a function from arguments to an exit code."""
    _add_train(subparsers)
    _add_report(subparsers)
    _add_evaluate(subparsers)
    _add_compare(subparsers)
    _add_inspect(subparsers)
    _add_package(subparsers)
    _add_export(subparsers)
    _add_sample(subparsers)
    _add_policies(subparsers)
    _add_thresholds(subparsers)


def _add_thresholds(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "thresholds", help="map thresholds of another service's score to this model's"
    )
    thresholds_cli.add_arguments(parser)
    parser.set_defaults(run=_guarded(thresholds_cli.run))


def _add_train(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("train", help="train a model from labelled texts and package it")
    data_arguments.add_data(parser)
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
    data_arguments.add_data(parser)
    parser.add_argument("--artifact", type=Path, required=True, help="the trained model")
    parser.add_argument("--out", type=Path, help="default: report.html in the artifact's folder")
    parser.set_defaults(run=_guarded(run_report))


def _add_evaluate(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("evaluate", help="judge an artifact on labelled comments")
    data_arguments.add_data(parser)
    parser.add_argument("--artifact", type=Path, required=True, help="folder of the artifact")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_guarded(run_evaluate))


def _add_compare(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("compare", help="compare algorithms on the same folds")
    data_arguments.add_data(parser)
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


def _add_export(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("export", help="write a model of the recipe seed as ONNX")
    parser.add_argument("artifact", type=Path, help="folder of the trained model")
    parser.add_argument("--kind", choices=("onnx",), default="onnx")
    parser.add_argument("--out", type=Path, required=True, help="folder of the exported artifact")
    parser.set_defaults(run=_guarded(run_export))


def _add_sample(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("sample", help="write invented labelled comments to a CSV file")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    parser.add_argument("--rows", type=data_arguments.count, default=4000)
    parser.add_argument("--seed", type=data_arguments.seed, default=0)
    parser.set_defaults(run=_guarded(run_sample))


def _add_policies(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "policies", help="show what policies would do to texts, rule by rule"
    )
    policies_cli.add_arguments(parser)
    parser.set_defaults(run=_guarded(policies_cli.run))


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", choices=RECIPES, default="default")
    parser.add_argument(
        "--seed", type=data_arguments.seed, default=0, help="of folds and solvers (default: 0)"
    )
    parser.add_argument(
        "--spacy-model",
        default="blank:en",
        help="an installed spaCy pipeline instead of its English tokenizer; much slower",
    )


def run_train(arguments: argparse.Namespace) -> int:
    """Train, package, verify, report, and say what came of it."""
    data = data_arguments.read(arguments)
    expect_writable(arguments.out)
    with shown() as progress:
        from textmod_model.training import train

        end = 1.0 if arguments.no_report else _TRAINING
        trained = _trained(arguments, data, part(progress, 0, end * _FITTING))
        progress("package", end * _FITTING)
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
                arguments,
                made,
                trained,
                data,
                out=arguments.out / REPORT,
                progress=part(progress, _TRAINING, 1),
            )
    for label in made.manifest.attributes:
        if train.by_chance(label):
            sys.stderr.write(
                f"The model does not tell which texts are {label.name}: the AUC of"
                f" {label.metrics['auc']} may be chance. Check the columns, or give more texts.\n"
            )
    _print_figures(made.manifest)
    say(f"{arguments.out}: {made.manifest.digest}")
    return 0


def run_report(arguments: argparse.Namespace) -> int:
    """Cross-validate the artifact's recipe again, as it was trained, and write the report."""
    from textmod_model.artifact import REPORT, load
    from textmod_model.training import train

    made = load(arguments.artifact)
    data = data_arguments.read(arguments)
    if data.digest != made.manifest.training_data_digest:
        raise DatasetError(f"{arguments.data} is not the data {arguments.artifact} was trained on.")
    arguments.recipe = made.manifest.recipe
    arguments.seed, arguments.spacy_model = train.settings(made.pipeline())
    out = arguments.out or arguments.artifact / REPORT
    data_arguments.expect_writable(out)
    with shown() as progress:
        trained = _trained(arguments, data, part(progress, 0, _TRAINING))
        if trained.metrics != made.manifest.metrics:
            raise ArtifactError(
                f"{arguments.artifact} has other figures than its recipe has now: "
                "another version trained it. Train it again for a report."
            )
        _write_report(
            arguments, made, trained, data, out=out, progress=part(progress, _TRAINING, 1)
        )
    say(str(out))
    return 0


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Print auc, average_precision, f1, precision, recall, threshold, ece and n of each label."""
    import numpy as np

    from textmod_model.artifact import load
    from textmod_model.scoring.scorer import Scorer

    data = data_arguments.read(arguments)
    made = load(arguments.artifact)
    manifest = made.manifest
    order = _order(arguments, data, [label.name for label in manifest.attributes])
    if data.digest == manifest.training_data_digest:
        sys.stderr.write(f"{data_arguments.too_good(arguments.artifact, arguments.data)}\n")
    scores = Scorer.from_artifact(made).score(data.texts).reshape(len(data), -1)
    from textmod_model.training.train import evaluate, truth

    yes = (truth(data)[:, order] >= 0.5).astype(np.int64)
    thresholds = [label.threshold for label in manifest.attributes] or [manifest.threshold]
    figures = {
        name: evaluate(yes[:, at], scores[:, at], thresholds[at])
        for at, name in enumerate(data.names[at] for at in order)
    }
    if arguments.json:
        say(json.dumps(figures if data.several else figures[data.names[0]]))
        return 0
    for name, found in figures.items():
        if data.several:
            say(f"{name}:")
        _print(found)
    return 0


def _order(arguments: argparse.Namespace, data: Dataset, names: list[str]) -> list[int]:
    """Return where the data has the model's labels. Raises DatasetError for others.

    The only label of both is the same, whatever its name.
    """
    if len(data.names) == max(len(names), 1) == 1:
        return [0]
    if sorted(data.names) != sorted(names):
        wanted = " ".join(f"--label {name}" for name in names)
        raise DatasetError(f"{arguments.artifact} has other labels than {data.names}: {wanted}.")
    return [data.names.index(name) for name in names]


def run_compare(arguments: argparse.Namespace) -> int:
    """Print each algorithm's mean ROC AUC and its folds, the best first."""
    data = data_arguments.read(arguments)
    with shown() as progress:
        trained = _trained(arguments, data, progress)
        comparison = _comparison(arguments, data, trained.scores, progress)
    if arguments.json:
        say(json.dumps(comparison))
        return 0
    for name, aucs in sorted(comparison.items(), key=lambda item: -sum(item[1])):
        folds = " ".join(f"{auc:.4f}" for auc in aucs)
        say(f"{name:32} {sum(aucs) / len(aucs):.4f}  ({folds})")
    return 0


def run_inspect(arguments: argparse.Namespace) -> int:
    """Check the artifact and print its manifest as JSON."""
    from textmod_model.artifact import load

    manifest = load(arguments.artifact).manifest
    document = manifest.document()
    document["messages_per_second"] = manifest.messages_per_second
    say(json.dumps(document, indent=2, sort_keys=True))
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
    say(f"{arguments.artifact}: {made.manifest.digest}, {speed:,.0f} messages/s on one core")
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """Write the artifact as another kind, and say how near its scores are."""
    from textmod_model.artifact import load
    from textmod_model.training.export import export

    written, difference = export(load(arguments.artifact), arguments.out)
    digest = written.manifest.digest
    say(f"{arguments.out}: {digest}, scores within {difference:.1g} of the pipeline's")
    return 0


def run_sample(arguments: argparse.Namespace) -> int:
    """Write the sample."""
    from textmod_model.training.sample import write_csv

    try:
        write_csv(arguments.out, arguments.rows, seed=arguments.seed)
    except OSError as error:
        raise DatasetError(f"cannot write {arguments.out}: {error.strerror}.") from error
    return 0


def _trained(arguments: argparse.Namespace, data: Dataset, progress: Progress) -> "Trained":
    from textmod_model.training import train

    return train.train(
        data,
        arguments.recipe,
        random_state=arguments.seed,
        spacy_model=arguments.spacy_model,
        progress=progress,
    )


def _comparison(
    arguments: argparse.Namespace, data: Dataset, scores: "Floats", progress: Progress
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
    progress: Progress,
) -> None:
    from textmod_model.training.report import render

    comparison = _comparison(arguments, data, trained.scores, progress)
    progress("draw the report", 1)
    data_arguments.write(out, render(made.manifest, trained, data, comparison))


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


def _guarded(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Turn an error that says what to do into one line and exit code 1."""

    def guarded(arguments: argparse.Namespace) -> int:
        try:
            return run(arguments)
        except _told() as error:
            sys.stderr.write(f"textmod-model: {log_lines.escaped(str(error))}\n")
            return 1

    return guarded


def _told() -> tuple[type[Exception], ...]:
    """Return the errors whose message is meant for the user.

    Those of training take seconds to import; where nothing has imported them, nothing raised them.
    """
    errors: tuple[type[Exception], ...] = (ArtifactError, DatasetError)
    for module, name in (
        ("training.folds", "TrainingError"),
        ("scoring.vectors", "VectorsMissing"),
    ):
        loaded = sys.modules.get(f"textmod_model.{module}")
        if loaded is not None:
            errors += (getattr(loaded, name),)
    return errors


def _print_figures(manifest: "Manifest") -> None:
    """Print the figures of each label."""
    if not manifest.several:
        _print(manifest.metrics)
        return
    for label in manifest.attributes:
        say(f"{label.name}:")
        _print(label.metrics)


def _print(figures: Mapping[str, object]) -> None:
    for name, value in figures.items():
        say(f"{name:20} {value}")
