"""Everything that the console promises, in parts; a part that has ended is not run again.

    python -m bench.console [--part kills-1 …] [--again] [--scale 1.0]

- `quality`: coverage and bias of the estimates (`bench.quality`).
- `kills-1` to `kills-5`: a fifth of the decisions and of the kills each (`bench.console.kills`).
- `speed-sqlite`, `speed-postgres`: a million items (`bench.console.speed`).
- `stream`: the stream's cost with review (`bench/stream/review.py`; a data set is needed).

A part's figures are kept in .state/bench-console and merged into console.json when it ends.
`--scale 0.01` tries everything at a hundredth of its size; `--again` runs parts that have ended.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.console import kills, parts, speed
from textmod_dev.figures import figures_dir, merge_figures

ROOT = Path(__file__).resolve().parents[2]
RESULTS = figures_dir(ROOT / "bench" / "results") / "console.json"
KILL_RUNS = 5
DATABASES = ("sqlite", "postgres")
Found = dict[str, Any]


def _kills(number: int, scale: float) -> Found:
    each = max(1, int(50 * scale / KILL_RUNS))
    decisions = max(200, int(100_000 * scale / KILL_RUNS))
    return kills.run(decisions, reviewers=50, kills=each, seed=number, pace=0.05)


def _speed(database: str, scale: float) -> Found:
    return speed.one(
        database,
        items=int(1_000_000 * scale),
        decisions=max(200, int(4_000 * scale)),
        crowd=speed.Asked(reviewers=100, pace=2.5),
    )


def _quality(scale: float) -> Found:
    del scale  # seconds in any case
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        _command("-m", "bench.quality", "--json", str(file))
        return dict(json.loads(file.read_text()))


def _stream(scale: float) -> Found:
    _command("bench/stream/review.py", "--rounds", str(max(1, round(12 * scale))))
    figures = json.loads((ROOT / ".state" / "bench" / "results" / "console.json").read_text())
    return {name: one for name, one in figures.items() if name.startswith("stream_cost_ratio")}


def _command(*arguments: str) -> None:
    """Run another benchmark, which writes its figures beside the tree."""
    elsewhere = {name: value for name, value in os.environ.items() if name != "RECORD"}
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, env=elsewhere)


def _parts() -> dict[str, Callable[[float], Found]]:
    found: dict[str, Callable[[float], Found]] = {"quality": _quality}
    for name in DATABASES:
        found[f"speed-{name}"] = lambda scale, name=name: _speed(name, scale)
    for number in range(1, KILL_RUNS + 1):
        found[f"kills-{number}"] = lambda scale, number=number: _kills(number, scale)
    return found | {"stream": _stream}


def _merge(kept: parts.Kept, asked: Found) -> None:
    """Merge the figures known so far into the results."""
    for name in ("quality", "stream"):
        found = kept.read(name, asked)
        if found is not None:
            merge_figures(RESULTS, found)
    killed = [kept.read(f"kills-{n}", asked) for n in range(1, KILL_RUNS + 1)]
    known = [one for one in killed if one is not None]
    if known:
        merge_figures(RESULTS, parts.of_kills(known))
    timed = {name: kept.read(f"speed-{name}", asked) for name in DATABASES}
    speeds = {name: one for name, one in timed.items() if one is not None}
    if speeds:
        merge_figures(RESULTS, parts.of_speed(speeds, int(1_000_000 * asked["scale"])))


def main() -> None:
    """Run the parts that are asked for, or all."""
    known = _parts()
    parser = argparse.ArgumentParser(prog="bench.console", description=__doc__)
    parser.add_argument("--part", choices=list(known), action="append")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    kept, asked = parts.Kept(ROOT / ".state" / "bench-console"), {"scale": given.scale}
    for part in given.part or known:
        if not given.again and kept.read(part, asked) is not None:
            print(f"{part}: has ended before", flush=True)
            continue
        began = time.monotonic()
        found = known[part](given.scale)
        kept.write(part, asked, found)
        print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
    _merge(kept, asked)


if __name__ == "__main__":
    main()
