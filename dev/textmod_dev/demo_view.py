"""The demo's live picture. Pure: a snapshot in, something rich can draw out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 60


@dataclass(frozen=True)
class Snapshot:
    """One second of the demo. None means not known (yet), never zero."""

    seconds: float
    phase: str
    conditions: Sequence[dict[str, Any]] = ()
    lag: int | None = None
    behind_seconds: float | None = None
    desired: int = 0
    ready: int = 0
    sent: int = 0
    verdicts: int = 0
    dead_letters: int = 0
    in_per_second: float = 0
    out_per_second: float = 0
    last: Sequence[str] = ()


@dataclass
class History:
    """Figures over time, one a second."""

    lag: list[int] = field(default_factory=list)
    replicas: list[int] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)

    def add(self, snapshot: Snapshot) -> None:
        """Remembers one snapshot; an unknown lag repeats the last known one."""
        known = snapshot.lag if snapshot.lag is not None else (self.lag or [0])[-1]
        self.lag.append(known)
        self.replicas.append(snapshot.ready)
        self.rate.append(snapshot.out_per_second)


def line(snapshot: Snapshot) -> str:
    """One plain line, for output that is not a terminal."""
    lag = "?" if snapshot.lag is None else str(snapshot.lag)
    behind = "?" if snapshot.behind_seconds is None else f"{snapshot.behind_seconds:.0f}"
    return (
        f"{snapshot.seconds:5.0f} s  {snapshot.phase:<22} lag {lag:>6}  behind {behind:>3} s  "
        f"replicas {snapshot.ready}/{snapshot.desired}  in {snapshot.in_per_second:5.0f}/s  "
        f"out {snapshot.out_per_second:5.0f}/s  verdicts {snapshot.verdicts}"
    )


def picture(snapshot: Snapshot, history: History) -> RenderableType:
    """The whole screen."""
    figures = Table.grid(padding=(0, 2))
    figures.add_column(justify="right", style="bold", min_width=16)
    figures.add_column()
    unknown = "[dim]unknown[/dim]"
    lag = unknown if snapshot.lag is None else f"{snapshot.lag:,} messages"
    behind = unknown if snapshot.behind_seconds is None else f"{snapshot.behind_seconds:.1f} s"
    figures.add_row("lag", f"{lag:<22}{sparkline(history.lag)}")
    figures.add_row("latest verdict", f"{behind + ' after its comment':<22}")
    replicas = f"{snapshot.ready} ready of {snapshot.desired}"
    figures.add_row("replicas", f"{replicas:<22}{sparkline(history.replicas)}")
    figures.add_row("in", f"{snapshot.in_per_second:,.0f}/s ({snapshot.sent:,} comments)")
    out = f"{snapshot.out_per_second:,.0f}/s"
    figures.add_row("out", f"{out:<22}{sparkline(history.rate)}")
    figures.add_row("", f"{snapshot.verdicts:,} verdicts, {snapshot.dead_letters:,} dead letters")
    return Group(
        Panel(figures, title=f"science, {snapshot.seconds:.0f} s: {snapshot.phase}"),
        Panel(_conditions(snapshot.conditions), title="kubectl get tm science"),
        Panel(_verdicts(snapshot.last), title="last verdicts"),
    )


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """The last `width` groups of values as bars, scaled to the largest of all."""
    if not values or max(values) <= 0:
        return ""
    size = max(1, -(-len(values) // width))
    groups = [max(values[start : start + size]) for start in range(0, len(values), size)]
    top = max(groups)
    return "".join(BARS[round(value / top * (len(BARS) - 1))] for value in groups)


def _conditions(conditions: Sequence[dict[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for condition in conditions:
        # Reconciling and Stalled are good when False, all others when True.
        good = "False" if condition["type"] in {"Reconciling", "Stalled"} else "True"
        colour = "green" if condition["status"] == good else "yellow"
        table.add_row(
            condition["type"],
            f"[{colour}]{condition['status']}[/{colour}]",
            condition.get("reason", ""),
            Text(condition.get("message", ""), overflow="ellipsis", no_wrap=True, style="dim"),
        )
    return table


def _verdicts(values: Sequence[str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for value in values:
        table.add_row(*_verdict(value))
    return table


def _verdict(value: str) -> tuple[Text, ...]:
    try:
        verdict = json.loads(value)
        colour = "red" if verdict["flagged"] else "green"
        return (
            Text(verdict["label"], style=colour),
            Text(f"{verdict['score']:.2f}"),
            Text(str(verdict["id"]), style="dim"),
        )
    except (ValueError, KeyError, TypeError):
        return (Text(value, overflow="ellipsis", no_wrap=True),)
