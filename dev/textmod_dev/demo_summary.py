"""The demo's result: its figures, as a table and as JSON, and the way to a kept cluster."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from textmod_dev import console_visit
from textmod_dev.supervisor import Running


@dataclass(frozen=True)
class Summary:
    """The demo's result, as written to ``demo.json``. Latencies are end to end, milliseconds."""

    comments_in: int
    verdicts: int
    dead_letters: int
    lost: int
    duplicates: int
    peak_lag: int
    max_replicas: int
    final_replicas: int
    p50_ms: float | None
    p99_ms: float | None
    replicas: list[tuple[float, int]]
    one_replica_per_second: int
    burst_per_second: int
    decisions: tuple[str, ...] = ()
    """What the policies did, in sentences."""

    def failure(self) -> str | None:
        """What went wrong, in a sentence; None when all is well."""
        if self.lost:
            return f"{self.lost} of {self.comments_in} comments were lost."
        if not self.comments_in:
            return "No comment was sent."
        if self.max_replicas < 2:
            return "The burst did not scale the workload up."
        if self.final_replicas != 1:
            return f"The workload did not scale down again: {self.final_replicas} replicas."
        return None


def report(summary: Summary, arguments: argparse.Namespace, cluster: Running) -> int:
    """Prints and writes it; 0 when all is well.

    Raises:
        LocalClusterError: the cluster is kept and has no console.
    """
    path = arguments.state_dir / "demo.json"
    path.write_text(json.dumps(asdict(summary), indent=2))
    table = Table.grid(padding=(0, 2))
    answered = f"{summary.verdicts:,} verdicts + {summary.dead_letters:,} dead letters"
    table.add_row("comments in", f"{summary.comments_in:,} = {answered}")
    table.add_row("lost, duplicates", f"{summary.lost}, {summary.duplicates}")
    speed = f"{summary.one_replica_per_second:,}/s; the burst: {summary.burst_per_second:,}/s"
    table.add_row("one replica", speed)
    table.add_row("peak lag", f"{summary.peak_lag:,} messages")
    steps = " → ".join(f"{number} ({seconds:.0f} s)" for seconds, number in summary.replicas)
    table.add_row("replicas", steps)
    table.add_row("end to end", f"p50 {summary.p50_ms} ms, p99 {summary.p99_ms} ms")
    for number, decision in enumerate(summary.decisions):
        table.add_row("" if number else "decided", escape(decision))
    table.add_row("as JSON", str(path))
    console = Console()
    console.print(table, soft_wrap=True)
    if arguments.keep:
        _say(f"The cluster stays up until `make down`.\nexport KUBECONFIG={cluster.kubeconfig}")
        _say("\n".join(console_visit.sign_in(console_visit.kubectl_of(cluster))))
    if (failure := summary.failure()) is not None:
        _say(failure)
        return 1
    return 0


def _say(text: str) -> None:
    print(text, flush=True)
