"""The figures of the parts of a run, in files, so that an interrupted run continues."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUMS = ("decisions", "kills", "decisions_lost", "published_twice", "decided_twice")


@dataclass(frozen=True)
class Kept:
    """The figures of parts that have ended, one file each."""

    folder: Path

    def read(self, part: str, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the figures of a part with these arguments; None if it must be run."""
        file = self.folder / f"{part}.json"
        if not file.exists():
            return None
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept["found"] if kept["asked"] == dict(asked) else None

    def write(self, part: str, asked: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Store the figures of a part."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{part}.json"
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps({"asked": dict(asked), "found": dict(found)}, indent=1))
        beside.replace(file)


def of_kills(runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of several runs with kills as those of one."""
    known = list(runs)
    figures: dict[str, Any] = {name: sum(one[name] for one in known) for name in SUMS}
    figures["kill_runs"] = known
    figures["rebuild_same"] = all(one["rebuild_same"] for one in known)
    return figures


def of_speed(found: Mapping[str, Mapping[str, float]], items: int) -> dict[str, Any]:
    """Return the figures of several databases; the larger of each is held against the promise."""
    worst = {
        name: max(figures[name] for figures in found.values())
        for name in ("decision_p99_ms", "next_card_p99_ms", "memory_mib")
    }
    return worst | {"speed": dict(found), "speed_items": items}
