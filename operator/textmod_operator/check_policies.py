"""Policies of a TextModeration file, solved without a cluster: from a model's artifact."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.errors import NotAccepted
from textmod_operator.policies import (
    Known,
    ModelSeen,
    Record,
    Solution,
    SolvedPolicy,
    SolvedRule,
    model_of,
    solve,
)

MANIFEST: Final = "manifest.json"
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_DAY: Final = 86_400
_COLUMNS: Final = ("policy", "rule", "asked", "threshold", "precision", "recall", "texts", "a day")


def read_model(path: Path) -> ModelSeen:
    """The model of an artifact: its folder, or its manifest.json.

    Raises:
        NotAccepted: it is no artifact; the message says why.
        OSError: it can't be read.
    """
    file = path / MANIFEST if path.is_dir() else path
    try:
        return model_of(json.loads(file.read_text()))
    except (ValueError, RecursionError) as error:
        raise NotAccepted(
            "InvalidSpec", f"{file} is not the manifest of a model: {error}", retry=False
        ) from error


def rate_per_second(text: str) -> float:
    """A rate such as 12/s, 700/min, 5000/h or 100000/d, in texts a second.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)/(s|min|h|d)", text.strip())
    if found is None or not 0 < float(found[1]) < float("inf"):
        raise ValueError(f"{text!r} is not a rate: write it as 12/s, 700/min, 5000/h or 100000/d")
    return float(found[1]) / _SECONDS[found[2]]


def solution(tm: TextModeration, model: ModelSeen, rate: float | None) -> Solution:
    """The policies of an object, solved as the operator would for this model and rate."""
    known = Known(model, rate, Record(), time.time())
    return solve(tm.spec.policies, tm.spec.explanation, known)


def table(tm: TextModeration, solved: Solution, rate: float | None) -> list[str]:
    """The rules as lines of a table, and below it what could not be solved."""
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for policy in solved.policies:
        label = policy.effective_label or policy.label or "?"
        observed = ", only observed" if policy.mode == "Observe" else ""
        name = f"{policy.name} ({label}{observed})"
        for rule in policy.rules:
            rows.append((name, *_row(rule, rate)))
            name = ""
        left = policy.left_over(rate)
        daily = "?" if left is None or rate is None else f"{left * rate * _DAY:,.0f}"
        rows.append((name, policy.otherwise, "otherwise", "", "", "", _percent(left), daily))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    at = "an unknown rate: give it by --rate, such as 100000/d"
    if rate is not None:
        at = f"{rate * _DAY:,.0f} texts a day"
    head = f"{tm.metadata.name}: version {solved.version}, at {at}"
    said = [f"{one.reason}: {one.message}" for one in solved.findings]
    said += [sentence for policy in solved.policies for sentence in _overtaken(policy)]
    return [head, "", *lines, *(f"\n{sentence}" for sentence in said)]


def _overtaken(policy: SolvedPolicy) -> Iterator[str]:
    """Say which rules decide nothing, since an earlier one applies to all of their texts."""
    lowest: tuple[float, int] | None = None
    """From which score on an earlier rule without a budget applies, and which one."""
    for number, rule in enumerate(policy.rules, 1):
        if rule.at_least is None:
            continue
        if lowest is not None and lowest[0] <= rule.at_least:
            yield (
                f"policy {policy.name}, rule {number} decides nothing: rule {lowest[1]} applies to "
                f"all of its texts, from {lowest[0]:g} on"
            )
        elif rule.budget_per_day is None:
            lowest = rule.at_least, number


def _row(rule: SolvedRule, rate: float | None) -> tuple[str, ...]:
    action = f"{rule.action}, held" if rule.hold else rule.action
    expected = rule.expected
    decided = rule.decided(rate)
    taken = None if decided is None or rate is None else decided * rate * _DAY
    return (
        action,
        rule.asked,
        "never" if rule.at_least is None else f"{rule.at_least:g}",
        _percent(expected.precision if expected else None),
        _percent(expected.recall if expected else None),
        _percent(rule.share),
        "?" if taken is None else f"{taken:,.0f}",
    )


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{share:.1%}"
