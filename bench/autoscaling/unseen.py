"""The streams of `streams`, under our law and its rivals.

    python -m autoscaling.unseen train|test|held-out|shape [--seeds N] [--places N]

KEDA's best setting is chosen for each place, afterwards, over all of its streams: the one with the
fewest seconds over the promise.

The *unavoidable* seconds of a stream are the fewest seconds over the promise of any law. One of the
laws always runs all replicas, whatever they cost, and never rebalances. The clairvoyant gives no
lower bound of the seconds: it assumes that all replicas have the average speed, and takes the
fewest replicas that are just in time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from autoscaling.bound import fluid_optimum
from autoscaling.policies import Clairvoyant, Fixed, Ours, rivals
from autoscaling.shapes import SHAPES
from autoscaling.simulator import Policy, Run, simulate_all
from autoscaling.streams import (
    FAMILIES,
    HELD_OUT_PLACES,
    SHAPE_PLACES,
    TEST,
    TEST_PLACES,
    TRAIN_PLACES,
    Place,
    stream,
)
from textmod_dev.paths import cache_dir
from textmod_operator import scaling

PLACES = {
    "train": TRAIN_PLACES,
    "test": TEST_PLACES,
    "held-out": HELD_OUT_PLACES,
    "shape": SHAPE_PLACES,
}
NAMES: dict[str, Sequence[str]] = {
    **{kind: tuple(families) for kind, families in FAMILIES.items()},
    "shape": tuple(SHAPES),
}


SHOWN = (None, 1.0, 1.5, 2.0, 3.0)
"""Reserves that the bound of the unseen streams is reckoned for, None where all is known: see
`bound`."""
ALONE: dict[str, Callable[[], Policy]] = {
    "ours": Ours,
    "clairvoyant": Clairvoyant,
    "all replicas": Fixed,
}
"""The laws beside the rivals."""


@dataclass(frozen=True)
class Cell:
    """One stream at one place under one law."""

    kind: str
    family: str
    seed: int
    place: str
    policy: str
    over: int
    replica_hours: float
    reversals: int
    blind_scale_downs: int


Job = tuple[str, str, int, Place, str]
"""(kind, family, seed, place, which): which is `rivals` or one of ALONE."""


def run(job: Job) -> list[Cell]:
    kind, family, seed, place, which = job
    trace = stream(kind, family, seed, place)
    policies = rivals(place.world.rate) if which == "rivals" else [ALONE[which]()]
    runs = simulate_all(trace, place.world, policies)
    return [_cell(job, one, n) for n, one in enumerate(runs)]


def _cell(job: Job, run: Run, number: int) -> Cell:
    kind, family, seed, place, which = job
    # A rival is named by its place in the list: its thresholds go by the speed of a replica.
    policy = which if which != "rivals" else rivals(100.0)[number].name
    return Cell(
        kind, family, seed, place.name, policy,
        run.over, round(run.replica_hours, 3), run.reversals, run.blind_scale_downs,
    )  # fmt: skip


def jobs(kind: str, seeds: Iterable[int], places: Sequence[Place]) -> list[tuple[Any, ...]]:
    return list(product((kind,), NAMES[kind], seeds, places))


def rotated(seeds: int, each: int = 1, kind: str = "test") -> list[tuple[Any, ...]]:
    """The streams of a kind, each at `each` of its places, in turn."""
    places, streams = PLACES[kind], product(NAMES[kind], range(seeds))
    return [
        (kind, family, seed, places[(number + 2 * turn) % len(places)])
        for number, (family, seed) in enumerate(streams)
        for turn in range(each)
    ]


def run_all(
    streams: Sequence[tuple[Any, ...]], workers: ProcessPoolExecutor | None = None
) -> list[Cell]:
    """All laws over these streams. Runs that were made before come from the cache."""
    cells: list[Cell] = []
    for which in ("rivals", *ALONE):
        path = _file(which)
        lines = path.read_text().splitlines() if path.exists() else []
        done: dict[tuple[Any, ...], list[Cell]] = {}
        for line in lines:
            cell = Cell(*json.loads(line))
            done.setdefault((cell.kind, cell.family, cell.seed, cell.place), []).append(cell)
        missing = [(*s, which) for s in streams if (*s[:3], s[3].name) not in done]
        found = map(run, missing) if workers is None else workers.map(run, missing, chunksize=2)
        with path.open("a", buffering=1) as file:
            for job, made in zip(missing, found, strict=True):
                done[(*job[:3], job[3].name)] = made
                file.writelines(json.dumps(list(asdict(c).values())) + "\n" for c in made)
        cells += [cell for s in streams for cell in done[(*s[:3], s[3].name)]]
    return cells


def _file(which: str) -> Path:
    """Named after the content of all that decides how a run ends."""
    here = Path(__file__).parent
    deciding = ["simulator", "policies", "traces", "hpa", "drawn", "shapes", "held_out", "streams"]
    sources = [here / f"{name}.py" for name in deciding]
    if which == "ours":
        sources += sorted(Path(scaling.__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = cache_dir() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"unseen-{which.replace(' ', '-')}-{digest}.jsonl"


# --- Figures ------------------------------------------------------------------------------------


def _sum(cells: Iterable[Cell], what: str) -> float:
    return float(sum(getattr(cell, what) for cell in cells))


def figures(cells: Sequence[Cell]) -> dict[str, Any]:
    """Ours beside the clairvoyant, the unavoidable and, at each place, its best KEDA setting."""
    ours = [c for c in cells if c.policy == "ours"]
    foresight = [c for c in cells if c.policy == "clairvoyant"]
    keda = [c for c in cells if c.policy.startswith("KEDA")]
    best: list[Cell] = []
    chosen = {}
    for place in dict.fromkeys(c.place for c in cells):
        there: dict[str, list[Cell]] = {}
        for cell in keda:
            if cell.place == place:
                there.setdefault(cell.policy, []).append(cell)
        name = min(there, key=lambda n: (_sum(there[n], "over"), _sum(there[n], "replica_hours")))
        best += there[name]
        chosen[place] = name
    over, theirs, known = (_sum(group, "over") for group in (ours, best, foresight))
    unavoidable = float(sum(fewest_over(cells).values()))
    hours = _sum(foresight, "replica_hours")
    settings = dict.fromkeys(c.policy for c in keda)
    reversals = {n: _sum([c for c in keda if c.policy == n], "reversals") for n in settings}
    seconds = {n: _sum([c for c in keda if c.policy == n], "over") for n in settings}
    fewest = min(reversals, key=reversals.__getitem__)
    return {
        "hours": len(ours),
        "seconds_over": over,
        "seconds_over_clairvoyant": known,
        "seconds_over_keda_best": theirs,
        "seconds_unavoidable": unavoidable,
        "avoidable_vs_keda_best": round((over - unavoidable) / (theirs - unavoidable), 4)
        if theirs > unavoidable
        else None,
        "replica_hours": round(_sum(ours, "replica_hours"), 2),
        "hours_vs_clairvoyant": round(_sum(ours, "replica_hours") / hours, 4),
        "keda_best_hours_vs_clairvoyant": round(_sum(best, "replica_hours") / hours, 4),
        "reversals": _sum(ours, "reversals"),
        "reversals_clairvoyant": _sum(foresight, "reversals"),
        "reversals_keda_best": _sum(best, "reversals"),
        "reversals_keda_min": reversals[fewest],
        "seconds_over_of_keda_with_fewest_reversals": seconds[fewest],
        "blind_scale_downs": _sum(ours, "blind_scale_downs"),
        "keda_best": chosen,
    }


Stream = tuple[str, int, str]
"""(family, seed, place)."""


def fewest_over(cells: Sequence[Cell]) -> dict[Stream, int]:
    """The fewest seconds over the promise that any of the laws had, by stream."""
    fewest: dict[Stream, int] = {}
    for cell in cells:
        key = (cell.family, cell.seed, cell.place)
        fewest[key] = min(cell.over, fewest.get(key, cell.over))
    return fewest


def beyond_best(cells: Sequence[Cell]) -> float | None:
    """Ours over KEDA's best settings, in seconds over the promise beyond the fewest that any law or
    setting which scales had on each stream: all replicas all the time are not among them."""
    return figures([c for c in cells if c.policy != "all replicas"])["avoidable_vs_keda_best"]


def by(cells: Sequence[Cell], what: str) -> dict[str, dict[str, Any]]:
    """The figures by family or by place."""
    return {
        name: figures([c for c in cells if getattr(c, what) == name])
        for name in dict.fromkeys(getattr(c, what) for c in cells)
    }


def _bound(job: tuple[tuple[Any, ...], float | None]) -> tuple[float, float]:
    (kind, family, seed, place), shown = job
    return fluid_optimum(stream(kind, family, seed, place), place.world, shown)


def bounds(
    streams: Sequence[tuple[Any, ...]], workers: ProcessPoolExecutor | None = None
) -> list[dict[str, float | None]]:
    """The lower bound of what a law with a reserve of `shown` loses, for each of SHOWN."""
    asked = list(product(streams, SHOWN))
    found = list(map(_bound, asked) if workers is None else workers.map(_bound, asked, chunksize=4))
    return [
        {
            "shown": shown,
            "seconds_over": sum(over for over, _ in found[i :: len(SHOWN)]),
            "replica_hours": round(sum(hours for _, hours in found[i :: len(SHOWN)]), 2),
        }
        for i, shown in enumerate(SHOWN)
    ]


def report(workers: ProcessPoolExecutor, seeds: int = 5) -> dict[str, Any]:
    """The figures of `autoscaling.json`: unseen streams, and the eight shapes with their bounds."""
    shapes = run_all(jobs("shape", (0,), SHAPE_PLACES), workers)
    cells = run_all(rotated(seeds), workers)
    held = run_all(rotated(4, kind="held-out"), workers)
    found = figures(cells)
    optimum = {
        name: [
            fluid_optimum(stream("shape", name, 0, place), place.world) for place in SHAPE_PLACES
        ]
        for name in SHAPES
    }
    return {
        "unseen_streams": seeds * len(TEST),
        "unseen_worlds": len(TEST_PLACES),
        "unseen_avoidable_vs_keda_best": found["avoidable_vs_keda_best"],
        "unseen_beyond_best_of_all_vs_keda_best": beyond_best(cells),
        "unseen_hours_vs_clairvoyant": found["hours_vs_clairvoyant"],
        "unseen_reversals": found["reversals"],
        "unseen_reversals_keda_min": found["reversals_keda_min"],
        "unseen_scale_downs_while_lag_unknown": found["blind_scale_downs"],
        "unseen": {
            "all": found,
            "beyond_best_of_all_vs_keda_best": beyond_best(cells),
            "family": by(cells, "family"),
            "place": by(cells, "place"),
            "bound": bounds(rotated(seeds), workers),
        },
        "held_out_streams": {
            "all": figures(held),
            "beyond_best_of_all_vs_keda_best": beyond_best(held),
            "family": by(held, "family"),
            "place": by(held, "place"),
        },
        "shapes": {
            "all": figures(shapes),
            "beyond_best_of_all_vs_keda_best": beyond_best(shapes),
            "shape": by(shapes, "family"),
            "place": by(shapes, "place"),
            "fluid_optimum": {
                name: {
                    "seconds_over": sum(over for over, _ in there),
                    "replica_hours": round(sum(hours for _, hours in there), 2),
                }
                for name, there in optimum.items()
            },
        },
    }


def line(name: str, f: dict[str, Any]) -> str:
    ratio = f["avoidable_vs_keda_best"]
    return (
        f"{name:44.44} over {f['seconds_over']:6.0f}"
        f" (unavoidable {f['seconds_unavoidable']:6.0f},"
        f" clairvoyant {f['seconds_over_clairvoyant']:6.0f},"
        f" KEDA {f['seconds_over_keda_best']:6.0f}) {'-' if ratio is None else f'{ratio:.3f}':>7}"
        f" hours {f['replica_hours']:7.1f} ×{f['hours_vs_clairvoyant']:.3f}"
        f" (KEDA ×{f['keda_best_hours_vs_clairvoyant']:.2f}) reversals {f['reversals']:4.0f}"
        f" (clairvoyant {f['reversals_clairvoyant']:.0f}, KEDA {f['reversals_keda_best']:.0f},"
        f" least {f['reversals_keda_min']:.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m autoscaling.unseen", description=__doc__)
    parser.add_argument("kind", choices=tuple(PLACES))
    parser.add_argument("--seeds", type=int, default=1, help="streams of each family")
    parser.add_argument("--cells", action="store_true", help="every stream at every place")
    parser.add_argument("--bound", action="store_true", help="only the bound")
    asked = parser.parse_args()
    rotating = asked.kind in ("test", "held-out")
    streams = jobs(asked.kind, range(asked.seeds), PLACES[asked.kind])
    streams = rotated(asked.seeds, kind=asked.kind) if rotating else streams
    if asked.bound:
        print(*bounds(streams), sep="\n")
        return
    cells = run_all(streams)
    for what in ("family", "place"):
        for name, found in by(cells, what).items():
            print(line(name, found))
    print(line("all", figures(cells)))
    if asked.cells:
        for cell in cells:
            if cell.policy in ("ours", "clairvoyant"):
                print(*asdict(cell).values(), sep="\t")


if __name__ == "__main__":
    main()
