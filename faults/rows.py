"""Keep a row of each run on disk, so that a campaign can stop and go on, and add them up."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faults.plan import BARE, TEXTMOD, Run
from textmod_dev.paths import repository_root

Row = dict[str, Any]
"""Columns of `of`, the checker's findings, `commit`, and `broken`: properties that did not hold."""
FAILED = "failed"
"""In `broken`: the run itself failed, so that nothing is known of its properties."""


def commit() -> str:
    """Return the commit under test, with -dirty if files have uncommitted changes."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=repository_root(), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "-uno") else "")


class Rows:
    """The rows of one commit. May be used from several threads.

    The file keeps those of other commits too. With uncommitted changes there are no earlier rows,
    since those may be of other changes.
    """

    def __init__(self, file: Path, commit: str) -> None:
        self._file, self._commit = file, commit
        self._lock = threading.Lock()
        self._rows: list[Row] = []
        if file.exists() and not commit.endswith("-dirty"):
            found = [json.loads(line) for line in file.read_text().splitlines()]
            self._rows = [row for row in found if row["commit"] == commit]

    def add(self, row: Row) -> None:
        """Append a row."""
        with self._lock:
            self._rows.append(row | {"commit": self._commit})
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as file:
                file.write(json.dumps(self._rows[-1]) + "\n")

    def all(self) -> list[Row]:
        """Return the rows so far."""
        with self._lock:
            return list(self._rows)

    def left(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs without a row. One that broke has one: nothing is run until it holds."""
        done = {_identity(row) for row in self.all()}
        return [run for run in runs if _identity(of(run)) not in done]


def of(run: Run) -> Row:
    """Return the columns that name a run."""
    return {
        "scenario": run.scenario,
        "delivery": run.delivery,
        "seed": run.seed,
        "worker": run.worker,
    }


def results(rows: Iterable[Row], commit: str) -> dict[str, Any]:
    """Add up the rows of the stream worker; `rows` are all of them, those of the bare pair too."""
    rows = sorted(
        rows, key=lambda row: (row["worker"] == BARE, row["scenario"], row["delivery"], row["seed"])
    )
    ours = [row for row in rows if row["worker"] == TEXTMOD]
    whole = [row for row in ours if FAILED not in row["broken"]]

    def total(name: str, among: Iterable[Row]) -> int:
        return sum(row[name] for row in among)

    return {
        "commit": commit,
        "runs": len(ours),
        "runs_failed": len(ours) - len(whole),
        "messages": total("messages", whole),
        "lost": total("lost", whole),
        "duplicated_exactly_once": total(
            "duplicated", [row for row in whole if row["delivery"] == "ExactlyOnce"]
        ),
        "order_breaks": total("order_breaks", whole),
        "altered": total("altered", whole),
        "invented": total("invented", whole),
        "ahead": total("ahead", whole),
        "review_requests": total("requests", whole),
        "unreviewed": total("unreviewed", whole),
        "asked_again_exactly_once": total(
            "asked_again", [row for row in whole if row["delivery"] == "ExactlyOnce"]
        ),
        "stalls": sum(bool(row["stalled"]) for row in whole),
        "slowest_recovery_seconds": _slowest(whole),
        "scenarios": _by_scenario(rows),
    }


def _by_scenario(rows: Sequence[Row]) -> list[Row]:
    """Return, for each scenario and delivery, the counts and recoveries, the bare pair's beside."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        name = "pairs" if "&" in row["scenario"] else row["scenario"]
        groups.setdefault((name, row["delivery"]), []).append(row)
    found = []
    for (name, delivery), group in sorted(groups.items()):
        ours = [row for row in group if row["worker"] == TEXTMOD and FAILED not in row["broken"]]
        bare = [row for row in group if row["worker"] == BARE and FAILED not in row["broken"]]
        if ours:
            found.append(
                {
                    "scenario": name,
                    "delivery": delivery,
                    "runs": len(ours),
                    "messages": sum(row["messages"] for row in ours),
                    "lost": sum(row["lost"] for row in ours),
                    "duplicated": sum(row["duplicated"] for row in ours),
                    "order_breaks": sum(row["order_breaks"] for row in ours),
                    "stalls": sum(bool(row["stalled"]) for row in ours),
                    "slowest_recovery_seconds": _slowest(ours),
                    "bare_recovery_seconds": _slowest(bare),
                }
            )
    return found


def _slowest(rows: Iterable[Row]) -> float | None:
    times = [row["recovery_seconds"] for row in rows if row["recovery_seconds"] is not None]
    return round(max(times), 1) if times else None


def _identity(row: Mapping[str, Any]) -> tuple[str, str, int, str]:
    return row["scenario"], row["delivery"], row["seed"], row["worker"]
