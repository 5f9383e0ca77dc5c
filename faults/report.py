"""Write the tables of RESULTS.md; what people wrote around them stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

BEGIN = "<!-- tables: python -m faults writes these -->"
END = "<!-- end of the tables -->"


def write_report(results: Mapping[str, Any], template: Path, file: Path) -> None:
    """Copy `template` to `file` with the tables of `results` between the two marks."""
    text = template.read_text() if template.exists() else f"# Fault campaign\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    file.write_text(f"{before}{BEGIN}\n\n{tables(results)}\n{END}{after}")


def tables(results: Mapping[str, Any]) -> str:
    """Return the totals and a row for each scenario and delivery."""
    names = (
        "runs", "runs_failed", "messages", "lost", "duplicated_exactly_once", "order_breaks",
        "altered", "invented", "ahead", "review_requests", "unreviewed", "asked_again_exactly_once",
        "stalls", "slowest_recovery_seconds",
    )  # fmt: skip
    totals = "".join(f"| `{name}` | {_shown(results[name])} |\n" for name in names)
    head = (
        "scenario", "delivery", "runs", "messages", "lost", "repeated", "order breaks", "stalls",
        "slowest recovery, s", "bare pair's, s",
    )  # fmt: skip
    lines = "".join(_line(map(_shown, row.values())) for row in results["scenarios"])
    return (
        f"Commit `{results['commit']}`.\n\n| | |\n|---|---|\n{totals}\n"
        f"{_line(head)}{_line('---' for _ in head)}{lines}"
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else str(value)
