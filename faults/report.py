"""Write the tables of RESULTS.md; what people wrote around them stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

BEGIN = "<!-- tables: python -m faults writes these -->"
END = "<!-- end of the tables -->"


def write_report(results: Mapping[str, Any], template: Path, file: Path) -> None:
    """Copy `template` to `file` with the tables of `results` between the two marks."""
    write_between(template, file, BEGIN, END, tables(results))


def write_between(template: Path, file: Path, begin: str, end: str, text: str) -> None:
    """Copy `template` to `file` with `text` between the two marks; they come last if absent."""
    whole = template.read_text() if template.exists() else "# Fault campaign\n"
    if begin not in whole:
        whole += f"\n{begin}\n{end}\n"
    before, _, rest = whole.partition(begin)
    _, _, after = rest.partition(end)
    file.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def tables(results: Mapping[str, Any]) -> str:
    """Return the totals and a row for each scenario and delivery."""
    names = (
        "runs", "runs_failed", "messages", "lost", "duplicated_exactly_once", "order_breaks",
        "altered", "invented", "ahead", "review_requests", "unreviewed", "asked_again_exactly_once",
        "stalls", "slowest_recovery_seconds",
    )  # fmt: skip
    totals = "".join(f"| `{name}` | {shown(results[name])} |\n" for name in names)
    head = (
        "scenario", "delivery", "runs", "messages", "lost", "repeated", "order breaks", "stalls",
        "slowest recovery, s", "bare pair's, s",
    )  # fmt: skip
    lines = "".join(line(map(shown, row.values())) for row in results["scenarios"])
    return (
        f"Commit `{results['commit']}`.\n\n| | |\n|---|---|\n{totals}\n"
        f"{line(head)}{line('---' for _ in head)}{lines}"
    )


def line(cells: Iterable[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |\n"


def shown(value: object) -> str:
    """Return a figure as the tables have it; None is unknown."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else str(value)
