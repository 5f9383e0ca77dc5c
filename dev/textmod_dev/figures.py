"""Where measurements write their figures: beside the tree, or with RECORD=1 into it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from textmod_dev.paths import repository_root


def figures_dir(recorded: Path) -> Path:
    """The folder for what a measurement writes: `recorded`, in the tree, only with RECORD=1.

    Else the same path below ``.state/``, so that anybody's run leaves the tree as it was. What is
    recorded is copied there first: a run may replace some figures and keep the others.
    """
    root = repository_root()
    if os.environ.get("RECORD") == "1":
        return recorded
    beside = root / ".state" / recorded.resolve().relative_to(root)
    beside.mkdir(parents=True, exist_ok=True)
    for file in recorded.iterdir():
        if file.suffix == ".json" and not (beside / file.name).exists():
            (beside / file.name).write_bytes(file.read_bytes())
    return beside


def merge_figures(file: Path, figures: Mapping[str, object]) -> None:
    """Put figures beside those of other commands in the same JSON file, and print them."""
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, **figures}, indent=2, sort_keys=True) + "\n")
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
