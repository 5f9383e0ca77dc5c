"""Runs the grid and writes bench/results/autoscaling.json and the plots beside it.

    make bench-autoscaling

or, from bench/: python -m autoscaling [--quick] [--held-out N] [--jobs 2]

A run is kept in the cache for as long as the files that it came of stay the same: after a change of
the law only the law's own runs are made anew.
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

from autoscaling import plots
from autoscaling.policies import Clairvoyant, Cpu, Fixed, Keda, Ours, OursPerfect, Prompt
from autoscaling.simulator import Policy, Run, World, simulate
from autoscaling.traces import ALL, trace
from textmod_dev.paths import cache_dir, figures_dir
from textmod_operator.scaling import law as scaling

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


def run_cell(job: tuple[str, int, float, str]) -> Cell:
    name, partitions, start, policy = job
    run = simulate(trace(name, partitions), World(start), POLICIES[policy]())
    return _cell(run)


def run_variant(job: tuple[str, int, float, bool]) -> Cell:
    """Ours at a start of 60 s, with another memory of the peak, and with or without a reserve."""
    name, partitions, half_life, reserved = job
    before = scaling.PEAK_HALF_LIFE_SECONDS, scaling.reserve
    scaling.PEAK_HALF_LIFE_SECONDS = half_life
    if not reserved:
        scaling.reserve = lambda policy, *_, **__: policy.min_replicas
    try:
        return _cell(simulate(trace(name, partitions), World(60.0), Ours()))
    finally:
        scaling.PEAK_HALF_LIFE_SECONDS, scaling.reserve = before


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


Job = tuple[str, int, float, str]


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
        found = self._workers.map(run_cell, missing, chunksize=4)
        for job, cell in zip(missing, found, strict=True):
            self._done[job] = cell
            with self._file(job[3].startswith("ours")).open("a") as file:
                file.write(json.dumps(list(asdict(cell).values())) + "\n")
        return [self._done[job] for job in jobs]

    @staticmethod
    def _file(ours: bool) -> Path:
        """Named after the content of all that decides how a run ends."""
        here = Path(__file__).parent
        sources = [here / f"{name}.py" for name in ("simulator", "policies", "traces", "hpa")]
        sources += [Path(scaling.__file__)] if ours else []
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
        folder = cache_dir() / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"autoscaling-{digest}.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m autoscaling", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="only what the figures need")
    parser.add_argument("--held-out", type=int, default=6, metavar="N", help="unseen random traces")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    begin = time.monotonic()
    policies = COMPARED if asked.quick else tuple(POLICIES)
    path = RESULTS / "autoscaling.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    with ProcessPoolExecutor(asked.jobs) as workers:
        grid = [
            (n, p, s, k)
            for k in policies
            for n in ALL
            for p in PARTITIONS
            for s in STARTS
            if p == 12 or k not in ONE_SIZE
        ]
        runs = Runs(workers)
        cells = runs.of(grid)
        print(f"{len(cells)} hours of the grid, {time.monotonic() - begin:.0f} s", flush=True)
        unseen = [f"random_{seed}" for seed in range(1000, 1000 + asked.held_out)]
        held = runs.of(
            [(n, p, s, k) for n in unseen for p in PARTITIONS for s in STARTS for k in COMPARED]
        )
        print(f"{len(held)} hours of unseen traces, {time.monotonic() - begin:.0f} s", flush=True)
        variants = [(half_life, reserved) for reserved in (False, True) for half_life in HALF_LIVES]
        hours = [(n, p) for n in ALL for p in PARTITIONS]
        slow = [(*hour, *variant) for variant in variants for hour in hours]
        frontier = list(workers.map(run_variant, slow, chunksize=8))
    answer: dict[str, Any] = {
        **figures(totals(cells)),
        "cold_first_verdict_seconds": kept.get("cold_first_verdict_seconds"),
        "by_start_seconds": {
            f"{s:.0f}": figures(totals(c for c in cells if c.start == s)) for s in STARTS
        },
        "by_partitions": {
            str(p): figures(totals(c for c in cells if c.partitions == p)) for p in PARTITIONS
        },
        "starts_up_to_8_seconds": figures(totals(c for c in cells if c.start <= 8)),
        "held_out": {
            "seeds": [1000, 1000 + asked.held_out],
            **figures(totals(held)),
            "starts_up_to_8_seconds": figures(totals(c for c in held if c.start <= 8)),
        },
        "beyond_prompt_by_start_seconds": {
            f"{s:.0f}": beyond_prompt(cells, s) for s in STARTS if not asked.quick
        },
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
        "cells": [list(asdict(cell).values()) for cell in cells if cell.policy in COMPARED],
        "cell_columns": list(Cell.__dataclass_fields__),
    }
    text = json.dumps(answer, indent=1)
    # One cell a line.
    text = (
        text[: text.index('"cells": [')]
        + '"cells": [\n'
        + ",\n".join(json.dumps(row) for row in answer["cells"])
        + '],\n "cell_columns": '
        + json.dumps(answer["cell_columns"])
        + "\n}\n"
    )
    path.write_text(text)
    plots.draw(RESULTS, answer, {name: make() for name, make in POLICIES.items()})
    for name in figures(totals(cells)):
        print(f"{name}: {answer[name]}")
    print(f"{time.monotonic() - begin:.0f} s; {path.relative_to(RESULTS.parents[1])}")


if __name__ == "__main__":
    main()
