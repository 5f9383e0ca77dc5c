"""What a run measured, and the two files that tell it."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = {
    "environment": "Made here",
    "seconds": "Seconds",
    "counts": "Counted from the topics",
    "scaling": "Scaling",
}


class Figures:
    """Named numbers in groups: ``figures.set("seconds", "install", 12.3)``."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, object]] = {
            "environment": {"cpus": os.cpu_count(), "machine": platform.machine()},
        }

    def set(self, group: str, name: str, value: object) -> None:
        """Notes a figure; seconds are rounded to tenths."""
        figure = round(value, 1) if isinstance(value, float) else value
        self._groups.setdefault(group, {})[name] = figure

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Notes how many seconds the block took, if it succeeds."""
        started = time.monotonic()
        yield
        self.set("seconds", name, time.monotonic() - started)

    def write(self, folder: Path) -> None:
        """Writes ``results.json`` and ``RESULTS.md``."""
        (folder / "results.json").write_text(json.dumps(self._groups, indent=2) + "\n")
        (folder / "RESULTS.md").write_text(self._markdown())

    def _markdown(self) -> str:
        lines = [
            "# What the last `make e2e` measured",
            "",
            "Written by the run itself, when all of it passed; the same by name in",
            "[results.json](results.json). [README.md](README.md) says what each step does.",
        ]
        for group, figures in self._groups.items():
            lines += ["", f"## {TEXT.get(group, group)}", "", "| | |", "|---|---|"]
            lines += [f"| {name} | {_shown(value)} |" for name, value in figures.items()]
        return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
