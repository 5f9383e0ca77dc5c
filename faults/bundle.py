"""Keep what a person needs to understand a broken run: a folder of text files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from faults.client_statistics import page, parsed
from faults.history import History
from faults.observed import LINES
from faults.rows import Row


def copy_worker(log: Path, folder: Path) -> None:
    """Copy a worker's log, its clients' statistics as a page, and their last whole reports."""
    prefix = log.with_suffix("")
    if log.exists():
        shutil.copy(log, folder / log.name)
    lines = Path(f"{prefix}{LINES}")
    if lines.exists():
        text = page(parsed(lines.read_text(errors="replace")))
        (folder / f"{prefix.name}.statistics.txt").write_text(text)
    for last in prefix.parent.glob(f"{prefix.name}.*.json"):
        shutil.copy(last, folder / last.name)


def write_bundle(
    folder: Path,
    command: str,
    row: Row,
    history: History,
    *,
    logs: Sequence[Path],
    ended: Sequence[str],
) -> Path:
    """Replace a folder by what is known of a run; return it.

    Args:
        command: repeats the run.
        logs: the workers'; the statistics of their clients are beside them.
        ended: a line for each worker that ended by itself.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "repeat.txt").write_text(f"{command}\n")
    (folder / "findings.json").write_text(json.dumps(row, indent=2) + "\n")
    with (folder / "history.txt").open("w") as file:
        done = {result.number for result in history.results}
        for sent in history.sent:
            if sent.number not in done:
                file.write(f"missing {sent.number} at {sent.partition}/{sent.offset}\n")
        asked = set(history.requests)
        for result in history.results:
            file.writelines(f"no review request: {one}\n" for one in {*result.to_review} - asked)
        for progress in history.progress:
            file.write(f"{progress.at:8.1f} s {progress.results} committed\n")
        file.writelines(f"group: {line}\n" for line in history.group)
        file.writelines(f"{line}\n" for line in ended)
        file.write(f"the last fault was over after {history.last_fault:.1f} s\n")
        file.writelines(f"{result}\n" for result in history.results)
    for log in logs:
        copy_worker(log, folder)
    return folder
