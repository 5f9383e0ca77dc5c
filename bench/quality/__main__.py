"""Precision and recall in simulated months whose truth is known: are the intervals honest?

    python -m bench.quality [--months N] [--json FILE]

Pure arithmetic with fixed seeds: the figures depend on no machine. An estimate that is known in
fewer than 1,000 months of a world, or in less than 95 % of them because labels of a rare kind are
missing, is in the table but not in coverage_min, coverage_max and bias_max: whether it is known
there depends on the same chance as its value.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.quality.simulate import Figure, simulate
from bench.quality.worlds import WORLDS, World

FEWEST: Final = 1000
FIVE_POINTS: Final = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.quality", description=__doc__)
    parser.add_argument("--months", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="merge the figures into this file")
    arguments = parser.parse_args()
    figures = [
        figure
        for seed, world in enumerate(WORLDS)
        for figure in simulate(world, arguments.months, seed)
    ]
    for figure in figures:
        print(row(figure))
    result = {**summary(figures, arguments.months), **labels_for_five_points()}
    print(json.dumps(result, indent=2))
    if arguments.json:
        merge(arguments.json, {**result, "worlds": [asdict(figure) for figure in figures]})
    return 0 if result["coverage_min"] >= 0.93 and result["coverage_max"] <= 0.97 else 1


def row(figure: Figure) -> str:
    """Return a line of the table."""
    return (
        f"{figure.world:32} {figure.estimate:24} truth {figure.truth:.3f} known {figure.known:5.3f}"
        f" coverage {figure.coverage:.4f} bias {figure.bias:+.4f} half {figure.half:.4f}"
    )


def counted(figure: Figure, months: int) -> bool:
    """Return whether a figure counts; see the module."""
    return figure.known * months >= FEWEST and (
        figure.known >= 0.95 or figure.estimate == "precision of one policy"
    )


def summary(figures: Sequence[Figure], months: int) -> dict[str, Any]:
    """Return the figures by their names."""
    kept = [figure for figure in figures if counted(figure, months)]
    return {
        "months": months,
        "worlds_estimates": len(kept),
        "coverage_min": min(figure.coverage for figure in kept),
        "coverage_max": max(figure.coverage for figure in kept),
        "bias_max": max(abs(figure.bias) for figure in kept),
    }


def labels_for_five_points() -> dict[str, Any]:
    """Return how many labels it takes until the interval is ± 5 points.

    In a world of 10 % prevalence with calibrated scores, where all that is flagged is removed and
    only the random sample is reviewed, and in one where policies send a fifth of a band to review.
    """
    sampled = World("sampled", 0.10, 100_000, 0.02, 0.5, 0.5, spread=2)
    mixed = World("mixed", 0.10, 100_000, 0.005, 0.7, 0.3, 0.2, spread=2)
    return {
        f"labels_for_5_points_{world.name}": {
            name: needed(world, name)
            for name in ("precision", "precision, difference", "recall", "recall, difference")
        }
        for world in (sampled, mixed)
    }


def needed(world: World, estimate: str) -> dict[str, int]:
    """Return the labels that the estimate is of, and all that are reviewed for it.

    By bisection over the texts of a month: the fewest whose median interval is narrow enough.
    """
    low, high = 1_000, 8_000_000
    for _ in range(14):
        texts = round((low * high) ** 0.5)
        found = [f for f in simulate(replace(world, texts=texts), 200, 1) if f.estimate == estimate]
        if found and found[0].half <= FIVE_POINTS:
            high = texts
        else:
            low = texts
    found = [f for f in simulate(replace(world, texts=high), 200, 1) if f.estimate == estimate]
    return {
        "labels": round(median(figure.labels for figure in found)),
        "reviewed": round(median(figure.reviewed for figure in found)),
    }


def merge(path: Path, figures: dict[str, Any]) -> None:
    """Write the figures beside those that are there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text()) if path.exists() else {}
    top = {name: figures.pop(name) for name in ("coverage_min", "coverage_max", "bias_max")}
    path.write_text(json.dumps({**before, **top, "quality": figures}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
