"""The tables of bench/RESULTS.md, written from the recorded figures of one law.

A table is between `<!-- autoscaling: NAME -->` and `<!-- autoscaling: end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Row = Sequence[str]


def write(path: Path, answer: dict[str, Any]) -> None:
    """Replace every marked table of the page at `path`.

    Raises:
        KeyError: the page marks a table that does not exist, or whose figures are missing.
    """

    def table(found: re.Match[str]) -> str:
        begin, name = found[1], found[2]
        return f"{begin}\n{TABLES[name](answer)}\n<!-- autoscaling: end -->"

    marked = r"(<!-- autoscaling: (?!end)([\w -]+) -->).*?<!-- autoscaling: end -->"
    path.write_text(re.sub(marked, table, path.read_text(), flags=re.DOTALL))


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _share(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.1%}".replace("%", " %")


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _grid(answer: dict[str, Any]) -> str:
    def row(name: str, f: dict[str, Any]) -> Row:
        ours, theirs = f["avoidable_seconds_over"], f["avoidable_seconds_over_keda_best"]
        return [
            name,
            f"{ours:,.0f} / {theirs:,.0f} ({f['keda_best']})",
            _share(f["avoidable_seconds_over_vs_keda_best"]),
            f"{f['replica_hours_vs_clairvoyant']:.3f}",
            f"{f['replica_hours_vs_keda_best']:.3f}",
            f"{f['reversals']:.0f} / {f['reversals_keda_min']:.0f}",
            f"{f['scale_downs_while_lag_unknown']:.0f}",
        ]

    held = answer["held_out"]
    rows = [row("the whole grid", answer)]
    rows += [row(f"pods start in {s} s", f) for s, f in answer["by_start_seconds"].items()]
    rows += [row("traces that no setting was tuned on", held)]
    rows += [row("… of these, pods start in 2 or 8 s", held["starts_up_to_8_seconds"])]
    head = [
        "",
        "avoidable seconds over: ours / best KEDA",
        "ratio",
        "replica-hours ÷ clairvoyant",
        "÷ best KEDA",
        "reversals: ours / fewest of KEDA",
        "scale-downs while lag unknown",
    ]
    return _table(head, rows)


def _frontier(answer: dict[str, Any]) -> str:
    foresight = answer["totals_by_start_seconds"]["60"]["clairvoyant"]
    best = answer["by_start_seconds"]["60"]["avoidable_seconds_over_keda_best"]
    memory = {1.0: "no memory", 600.0: "600 s", 1e9: "for ever"}
    rows = [
        [
            f"{'reserve' if f['reserve'] else 'no reserve'}, {memory[f['half_life_seconds']]}",
            f"{f['seconds_over'] - foresight['seconds_over']:,.0f}",
            f"{f['replica_hours'] / foresight['replica_hours']:.2f}",
        ]
        for f in answer["start_60_frontier"]
    ]
    head = ["", f"avoidable seconds over (best KEDA: {best:,.0f})", "replica-hours ÷ clairvoyant"]
    return _table(head, rows)


def _prompt(answer: dict[str, Any]) -> str:
    names = ("prompt", "ours", "keda_best")
    rows = [
        [f"{start} s", *(f"{f[f'{name}_beyond_clairvoyant']:,.0f}" for name in names)]
        for start, f in answer["beyond_prompt_by_start_seconds"].items()
    ]
    return _table(["pods start in", "the prompt's avoidable seconds", "ours", "best KEDA"], rows)


def _totals(sums: dict[str, dict[str, float]], names: Iterable[str]) -> str:
    figures = ("seconds_over", "replica_hours", "reversals")
    rows = [[name, *(f"{sums[name][what]:,.0f}" for what in figures)] for name in names]
    return _table(["", "seconds over", "replica-hours", "reversals"], rows)


def _all_laws(answer: dict[str, Any]) -> str:
    sums, few = answer["totals"], answer["totals_with_12_partitions"]
    return _totals(sums, [n for n in sums if sums[n]["replica_hours"] > few[n]["replica_hours"]])


def _few_laws(answer: dict[str, Any]) -> str:
    names = ("ours", "ours, perfect information", "prompt", "clairvoyant", "clairvoyant, borrowing")
    return _totals(answer["totals_with_12_partitions"], names)


STREAM_HEAD = (
    "",
    "hours",
    "seconds over: ours / unavoidable / clairvoyant / best KEDA",
    "avoidable ÷ best KEDA's",
    "replica-hours ÷ clairvoyant: ours / best KEDA",
    "reversals: ours / clairvoyant / best KEDA / fewest of KEDA",
)


def _stream_row(name: str, f: dict[str, Any]) -> Row:
    over = (
        "seconds_over",
        "seconds_unavoidable",
        "seconds_over_clairvoyant",
        "seconds_over_keda_best",
    )
    changes = ("", "_clairvoyant", "_keda_best", "_keda_min")
    return [
        name,
        f"{f['hours']}",
        " / ".join(f"{f[what]:.0f}" for what in over),
        _ratio(f["avoidable_vs_keda_best"]),
        f"{f['hours_vs_clairvoyant']:.2f} / {f['keda_best_hours_vs_clairvoyant']:.2f}",
        " / ".join(f"{f[f'reversals{who}']:.0f}" for who in changes),
    ]


def _streams(answer: dict[str, Any], part: str, kinds: Sequence[str]) -> str:
    found = answer[part]
    rows = [_stream_row("**all**", found["all"])]
    rows += [_stream_row(name, f) for kind in kinds for name, f in found[kind].items()]
    fewest = found["all"]["seconds_over_of_keda_with_fewest_reversals"]
    blind = found["all"]["blind_scale_downs"]
    beyond = _ratio(found.get("beyond_best_of_all_vs_keda_best"))
    return (
        _table(STREAM_HEAD, rows)
        + f"\nSeconds beyond the fewest that any law that scales had on each stream, ours ÷ KEDA's"
        f" best: {beyond}. KEDA's setting with the fewest reversals has {fewest:,.0f} seconds over."
        f" Scale-downs while the lag was unknown: {blind:.0f}.\n"
    )


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "grid": _grid,
    "slow start": _frontier,
    "prompt": _prompt,
    "all laws": _all_laws,
    "few laws": _few_laws,
    "unseen": lambda answer: _streams(answer, "unseen", ("family", "place")),
    "held out": lambda answer: _streams(answer, "held_out_streams", ("family", "place")),
    "shapes": lambda answer: _streams(answer, "shapes", ("shape", "place")),
}
