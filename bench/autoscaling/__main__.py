"""Runs the grid and writes bench/results/autoscaling.json and the plots beside it.

    make bench-autoscaling

or, from bench/: python -m autoscaling [--quick] [--parts grid,bounds,unseen] [--jobs 2]

The grid is the one that constants of the law were chosen on; `unseen` are the streams of
`streams`; `bounds` compares with laws that can't be had. What is not run keeps its old figures.

Runs are cached by the content of the files that decide them: after a change of the law only runs of
the law are repeated, and a command that was stopped continues where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoscaling import plots, tables, unseen
from autoscaling.policies import Clairvoyant, Cpu, Fixed, Keda, Ours, OursPerfect, Prompt
from autoscaling.simulator import Policy, Run, World, simulate, simulate_all
from autoscaling.traces import ALL, trace
from textmod_dev.figures import figures_dir
from textmod_dev.paths import cache_dir
from textmod_operator import scaling
from textmod_operator.scaling import reserve

RESULTS = figures_dir(Path(__file__).resolve().parents[1] / "results")
PARTITIONS = (12, 13, 64)
STARTS = (2.0, 8.0, 60.0)
THRESHOLDS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
HALF_LIVES = (1.0, 600.0, 1e9)

POLICIES: dict[str, Callable[[], Policy]] = {
    "ours": Ours,
    "ours, perfect information": OursPerfect,
    **{f"KEDA {t}": lambda t=t: Keda(t) for t in THRESHOLDS},  # type: ignore[misc]
    "CPU 80 %": Cpu,
    "fixed maximum": Fixed,
    "clairvoyant": Clairvoyant,
    "prompt": Prompt,
    "clairvoyant, borrowing": lambda: Clairvoyant(borrowing=True),
}
ONE_SIZE = ("ours, perfect information", "prompt", "clairvoyant, borrowing")
"""Run with 12 partitions only: they take longest and tell the least."""
COMPARED = ("ours", *(f"KEDA {t}" for t in THRESHOLDS), "clairvoyant")


Job = tuple[str, int, float, str]
"""(trace, partitions, start, policy)."""
Variant = tuple[str, int, float, bool]
"""(trace, partitions, half-life of the peak in seconds, whether a reserve is kept)."""


@dataclass(frozen=True)
class Cell:
    """One run's figures."""

    trace: str
    partitions: int
    start: float
    policy: str
    over: int
    replica_hours: float
    reversals: int
    blind_scale_downs: int


def run_cells(jobs: tuple[Job, ...]) -> list[Cell]:
    """The cells of one hour, in step."""
    name, partitions, start, _ = jobs[0]
    policies = [POLICIES[job[3]]() for job in jobs]
    return [_cell(run) for run in simulate_all(trace(name, partitions), World(start), policies)]


def run_variant(job: Variant) -> Cell:
    """Ours at a start of 60 s, with another memory of the peak, and with or without a reserve."""
    name, partitions, half_life, reserved = job
    before = reserve.PEAK_HALF_LIFE_SECONDS, reserve.RUSH
    reserve.PEAK_HALF_LIFE_SECONDS = half_life
    reserve.RUSH *= reserved
    try:
        return _cell(simulate(trace(name, partitions), World(60.0), Ours()))
    finally:
        reserve.PEAK_HALF_LIFE_SECONDS, reserve.RUSH = before


def _cell(run: Run) -> Cell:
    return Cell(
        run.trace, run.partitions, run.start, run.policy,
        run.over, round(run.replica_hours, 3), run.reversals, run.blind_scale_downs,
    )  # fmt: skip


def totals(cells: Iterable[Cell]) -> dict[str, dict[str, float]]:
    """Sums by policy."""
    found: dict[str, dict[str, float]] = {}
    for cell in cells:
        into = found.setdefault(
            cell.policy,
            {"seconds_over": 0, "replica_hours": 0, "reversals": 0, "blind_scale_downs": 0},
        )
        into["seconds_over"] += cell.over
        into["replica_hours"] = round(into["replica_hours"] + cell.replica_hours, 3)
        into["reversals"] += cell.reversals
        into["blind_scale_downs"] += cell.blind_scale_downs
    return found


def figures(sums: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The figures by name. The best KEDA setting is the one with the fewest seconds over."""
    keda = {name: figure for name, figure in sums.items() if name.startswith("KEDA")}
    best = min(keda, key=lambda name: keda[name]["seconds_over"])
    ours, foresight = sums["ours"], sums["clairvoyant"]
    avoidable = ours["seconds_over"] - foresight["seconds_over"]
    theirs = keda[best]["seconds_over"] - foresight["seconds_over"]
    return {
        "keda_best": best,
        "avoidable_seconds_over": avoidable,
        "avoidable_seconds_over_keda_best": theirs,
        "avoidable_seconds_over_vs_keda_best": round(avoidable / theirs, 4) if theirs else None,
        "replica_hours_vs_clairvoyant": round(
            ours["replica_hours"] / foresight["replica_hours"], 4
        ),
        "replica_hours_vs_keda_best": round(ours["replica_hours"] / keda[best]["replica_hours"], 4),
        "reversals": ours["reversals"],
        "reversals_keda_min": min(figure["reversals"] for figure in keda.values()),
        "scale_downs_while_lag_unknown": ours["blind_scale_downs"],
    }


def beyond_prompt(cells: list[Cell], start: float) -> dict[str, float]:
    """Seconds over beyond those of the law that knows all but the future; 12 partitions."""
    seconds = {
        name: figure["seconds_over"]
        for name, figure in totals(
            c for c in cells if c.partitions == 12 and c.start == start
        ).items()
    }
    keda = min(figure for name, figure in seconds.items() if name.startswith("KEDA"))
    foresight, prompt = seconds["clairvoyant"], seconds["prompt"]
    return {
        "prompt_beyond_clairvoyant": prompt - foresight,
        "ours_beyond_clairvoyant": seconds["ours"] - foresight,
        "keda_best_beyond_clairvoyant": keda - foresight,
        "ours_beyond_prompt": seconds["ours"] - prompt,
        "keda_best_beyond_prompt": keda - prompt,
    }


class Runs:
    """Cells that were run once, in files of the cache: one for our law, one for the others."""

    def __init__(self, workers: ProcessPoolExecutor) -> None:
        self._workers = workers
        self._done: dict[Job, Cell] = {}
        for path in map(self._file, (True, False)):
            lines = path.read_text().splitlines() if path.exists() else []
            cells = [Cell(*json.loads(line)) for line in lines]
            self._done |= {(c.trace, c.partitions, c.start, c.policy): c for c in cells}

    def of(self, jobs: list[Job]) -> list[Cell]:
        """The cells of these jobs, run now where they are not there."""
        missing = [job for job in jobs if job not in self._done]
        hours: dict[tuple[str, int, float, bool], list[Job]] = {}
        for job in missing:
            hours.setdefault((*job[:3], job[3].startswith("ours")), []).append(job)
        for cells in self._workers.map(run_cells, map(tuple, hours.values())):
            for cell in cells:
                self._done[(cell.trace, cell.partitions, cell.start, cell.policy)] = cell
                with self._file(cell.policy.startswith("ours")).open("a") as file:
                    file.write(json.dumps(list(asdict(cell).values())) + "\n")
        return [self._done[job] for job in jobs]

    def of_variants(self, jobs: list[Variant]) -> list[Cell]:
        """The cells of these variants of our law, run now where they are not there."""
        path = self._file(ours=True, what="variants")
        lines = path.read_text().splitlines() if path.exists() else []
        done = {tuple(job): Cell(*cell) for job, cell in map(json.loads, lines)}
        missing = [job for job in jobs if job not in done]
        with path.open("a", buffering=1) as file:
            made = self._workers.map(run_variant, missing, chunksize=2)
            for job, cell in zip(missing, made, strict=True):
                done[job] = cell
                file.write(json.dumps([job, list(asdict(cell).values())]) + "\n")
        return [done[job] for job in jobs]

    @staticmethod
    def _file(ours: bool, what: str = "") -> Path:
        """Named after the content of all that decides how a run ends."""
        here = Path(__file__).parent
        sources = [here / f"{name}.py" for name in ("simulator", "policies", "traces", "hpa")]
        sources += sorted(Path(scaling.__file__).parent.glob("*.py")) if ours else []
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
        folder = cache_dir() / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "-".join(filter(None, ("autoscaling", what, f"{digest}.jsonl")))


def grid_figures(runs: Runs, held_out: int) -> dict[str, Any]:
    """The grid, and random traces that no constant was chosen on."""
    cells = runs.of(
        [(n, p, s, k) for k in COMPARED for n in ALL for p in PARTITIONS for s in STARTS]
    )
    answer = {
        **figures(totals(cells)),
        "by_start_seconds": {
            f"{s:.0f}": figures(totals(c for c in cells if c.start == s)) for s in STARTS
        },
        "by_partitions": {
            str(p): figures(totals(c for c in cells if c.partitions == p)) for p in PARTITIONS
        },
        "starts_up_to_8_seconds": figures(totals(c for c in cells if c.start <= 8)),
        "cells": [list(asdict(cell).values()) for cell in cells],
        "cell_columns": list(Cell.__dataclass_fields__),
    }
    names = [f"random_{seed}" for seed in range(1000, 1000 + held_out)]
    held = runs.of(
        [(n, p, s, k) for n in names for p in PARTITIONS for s in STARTS for k in COMPARED]
    )
    if held:
        answer["held_out"] = {
            "seeds": [1000, 1000 + held_out],
            **figures(totals(held)),
            "starts_up_to_8_seconds": figures(totals(c for c in held if c.start <= 8)),
        }
    return answer


def bound_figures(runs: Runs) -> dict[str, Any]:
    """Every law over the grid, those that can't be had with 12 partitions only."""
    cells = runs.of(
        [
            (n, p, s, k)
            for k in POLICIES
            for n in ALL
            for p in PARTITIONS
            for s in STARTS
            if p == 12 or k not in ONE_SIZE
        ]
    )
    variants = [(half_life, reserved) for reserved in (False, True) for half_life in HALF_LIVES]
    hours = [(n, p) for n in ALL for p in PARTITIONS]
    slow = [(*hour, *variant) for variant in variants for hour in hours]
    frontier = runs.of_variants(slow)
    return {
        "beyond_prompt_by_start_seconds": {f"{s:.0f}": beyond_prompt(cells, s) for s in STARTS},
        "totals": totals(cells),
        "totals_with_12_partitions": totals(c for c in cells if c.partitions == 12),
        "totals_by_start_seconds": {
            f"{s:.0f}": totals(c for c in cells if c.start == s) for s in STARTS
        },
        "start_60_frontier": [
            {
                "half_life_seconds": half_life,
                "reserve": reserved,
                **totals(frontier[i * len(hours) : (i + 1) * len(hours)])["ours"],
            }
            for i, (half_life, reserved) in enumerate(variants)
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m autoscaling", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--parts", default="grid,bounds,unseen", help="what to run")
    parser.add_argument("--quick", action="store_true", help="only the grid")
    parser.add_argument(
        "--held-out", type=int, default=6, metavar="N", help="unseen random traces (0: none)"
    )
    asked = parser.parse_args()
    parts = ["grid"] if asked.quick else asked.parts.split(",")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    begin = time.monotonic()
    path = RESULTS / "autoscaling.json"
    answer: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    with ProcessPoolExecutor(asked.jobs) as workers:
        runs = Runs(workers)
        if "grid" in parts:
            answer |= grid_figures(runs, asked.held_out)
            print(f"the grid, {time.monotonic() - begin:.0f} s", flush=True)
        if "bounds" in parts:
            answer |= bound_figures(runs)
            print(f"the bounds, {time.monotonic() - begin:.0f} s", flush=True)
        if "unseen" in parts:
            answer |= unseen.report(workers)
            print(f"unseen streams, {time.monotonic() - begin:.0f} s", flush=True)
    _write(path, answer)
    page = RESULTS.parent / "RESULTS.md"
    if {"grid", "bounds", "unseen"} <= {*parts} and page.exists():  # only with RECORD=1
        tables.write(page, answer)
    if "bounds" in parts:
        plots.draw(RESULTS, answer, {name: make() for name, make in POLICIES.items()})
    if "unseen" in parts:
        plots.draw_shapes(RESULTS / "autoscaling-shapes.png")
    for name, value in answer.items():
        if not isinstance(value, dict | list):
            print(f"{name}: {value}")
    print(f"{time.monotonic() - begin:.0f} s; {path.relative_to(RESULTS.parents[1])}")


def _write(path: Path, answer: dict[str, Any]) -> None:
    """As JSON, one cell a line, the cells last."""
    columns, cells = answer.pop("cell_columns"), answer.pop("cells")
    text = json.dumps(answer, indent=1).removesuffix("\n}")
    rows = ",\n".join(json.dumps(row) for row in cells)
    path.write_text(f'{text},\n "cells": [\n{rows}],\n "cell_columns": {json.dumps(columns)}\n}}\n')
    answer |= {"cells": cells, "cell_columns": columns}


if __name__ == "__main__":
    main()
