"""The command `textmod-model policies`: what a policy set would do to texts, labelled or not."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textmod_model import output
from textmod_model.artifact import Artifact
from textmod_model.training import data_arguments
from textmod_model.training.dataset import Dataset, DatasetError

if TYPE_CHECKING:
    from textmod_model.policies.solved import PolicySet
    from textmod_model.training.policy_trial import RuleTrial, Trial


_WIDTH = 120
"""Columns of the printed table, whatever the terminal has, so that no figure is cut."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policies`."""
    parser.add_argument("--data", type=Path, required=True, help=data_arguments.DATA)
    data_arguments.add_columns(parser)
    parser.add_argument("--artifact", type=Path, required=True, help="folder of the artifact")
    parser.add_argument(
        "--policies",
        type=Path,
        required=True,
        help="JSON: the solved policies (policies.json of the ConfigMap), or a list of policies"
        " whose rules have atLeast",
    )
    parser.add_argument(
        "--per-day", type=float, metavar="TEXTS", help="how many such texts come a day"
    )
    parser.add_argument("--report", type=Path, help="an HTML file for the report")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Decide on the texts, and print what the policies would do. Raises DatasetError."""
    from textmod_model import artifact

    if arguments.per_day is not None and not 0 < arguments.per_day < float("inf"):
        raise DatasetError("--per-day must be more than 0.")
    if arguments.report is not None:
        data_arguments.expect_writable(arguments.report)
    policies = _policies(arguments.policies)
    made = artifact.load(arguments.artifact)
    data = data_arguments.read(arguments, labelled=False)
    seen = data.digest == made.manifest.training_data_digest
    trial = _trial(policies, made, data)
    if arguments.report is not None:
        from textmod_model.training.policy_report import render

        text = render(
            made.manifest,
            trial,
            source=arguments.data.name,
            rows=data.row_numbers(),
            seen=seen,
            texts_a_day=arguments.per_day,
        )
        data_arguments.write(arguments.report, text)
    for sentence in _doubts(arguments, made, trial, seen=seen):
        sys.stderr.write(f"{sentence}\n")
    if arguments.json:
        output.say(json.dumps(document(trial, arguments.per_day)))
    else:
        _print(trial, arguments.per_day)
    return 0


def _doubts(
    arguments: argparse.Namespace, made: Artifact, trial: "Trial", *, seen: bool
) -> Iterator[str]:
    """Say why the figures are not what they may be taken for."""
    if seen:
        yield data_arguments.too_good(arguments.artifact, arguments.data)
    if trial.policies.model not in (None, made.manifest.digest):
        yield (
            f"{arguments.policies} was solved for the model {trial.policies.model}, and"
            f" {arguments.artifact} is {made.manifest.digest}: its thresholds are another model's."
        )
    for label in dict.fromkeys(
        one.label for one in trial.spoken if one.having is not None and one.having.all()
    ):
        yield (
            f"Every text of {arguments.data} has the label {label}, so a precision of 100 % says"
            " nothing: check the label's column."
        )
    for label in dict.fromkeys(one.label for one in trial.spoken if one.having is None):
        yield (
            f"{arguments.data} does not say which texts have the label {label}, so precision and"
            f" recall are unknown: name its column by --label {label}."
        )


def _policies(path: Path) -> "PolicySet":
    """Read a solved form, or the policies alone."""
    from textmod_model.policies.solved import LARGEST, PoliciesInvalid, parse

    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}.") from error
    if raw.lstrip()[:1] == b"[":
        raw = b'{"policies":' + raw + b"}"
    try:
        return parse(raw, versioned=False)
    except PoliciesInvalid as error:
        hint = ""
        if "precision" in str(error):
            hint = " `textmod-operator check` turns precision and budgetPerDay into atLeast."
        elif "not JSON" in str(error):
            hint = " Of a TextModeration, `textmod-operator check --artifact --solved` writes them."
        raise DatasetError(f"{path}: {error}{hint}") from error


def _trial(policies: "PolicySet", made: Artifact, data: Dataset) -> "Trial":
    from textmod_model.scoring.scorer import Scorer
    from textmod_model.training import policy_trial
    from textmod_model.training.train import truth

    manifest = made.manifest
    labels = manifest.labels if manifest.several else manifest.labels[1:]
    scores = Scorer.from_artifact(made).score(data.texts).reshape(len(data), -1)
    known = {}
    if data.names:
        yes = truth(data) >= 0.5
        known = {name: yes[:, at] for at, name in enumerate(data.names)}
    return policy_trial.run(policies, labels, scores, known)


def document(trial: "Trial", texts_a_day: float | None) -> dict[str, Any]:
    """Return the figures as one JSON object; unknown ones are null."""
    from textmod_model.training.policy_trial import ACTS

    return {
        "texts": len(trial.acts),
        "verdicts": {act: trial.share(at).texts for at, act in enumerate(ACTS)},
        "policies": [
            {
                "name": one.policy.name,
                "label": one.label,
                "mode": one.policy.mode,
                "rules": [_rule(rule, texts_a_day) for rule in one.rules],
            }
            for one in trial.spoken
        ],
        "silent": [one.name for one in trial.silent],
        "version": trial.policies.version,
    }


def _rule(one: "RuleTrial", texts_a_day: float | None) -> dict[str, Any]:
    rule = one.rule
    return {
        "action": one.act.partition(",")[0],
        "hold": one.act.endswith("held"),
        "otherwise": rule is None,
        "atLeast": None if rule is None else rule.at_least,
        "budgetPerDay": None if rule is None else rule.budget_per_day,
        "texts": one.share.texts,
        "precision": one.share.precision,
        "recall": one.share.recall,
        "perDay": one.within(texts_a_day),
        "perDayWithoutBudget": one.share.a_day(texts_a_day),
    }


def _print(trial: "Trial", texts_a_day: float | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from textmod_model.training.policy_report import count, share
    from textmod_model.training.policy_trial import ACTS

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("policy", "action"):
        table.add_column(name, no_wrap=True)
    for name in ("at least", "texts", "share", "precision", "recall", "a day"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in trial.spoken:
        observes = " (observes)" if one.policy.mode == "Observe" else ""
        for rule in one.rules:
            within, a_day = rule.within(texts_a_day), rule.share.a_day(texts_a_day)
            table.add_row(
                one.policy.name + observes,
                rule.act,
                "else" if rule.rule is None else _score(rule.rule.at_least),
                count(rule.share.texts),
                share(rule.share.texts / max(rule.share.of, 1)),
                share(rule.share.precision),
                share(rule.share.recall),
                count(within) + ("" if within == a_day else f" of {count(a_day)}"),
            )
    console = Console(width=_WIDTH, highlight=False)
    console.print(table)
    for silent in trial.silent:
        console.print(f"{silent.name}: the model has no label {silent.label}, so it says nothing.")
    verdicts = ", ".join(f"{act} {count(trial.share(at).texts)}" for at, act in enumerate(ACTS))
    console.print(f"Verdicts: {verdicts}.")


def _score(at_least: float | None) -> str:
    return "never" if at_least is None else f"{at_least:g}"
