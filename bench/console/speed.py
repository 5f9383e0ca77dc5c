"""How long a decision and the next card take with a million items, on SQLite and on Postgres.

    python -m bench.console.speed [--items 1000000] [--reviewers 100] [--pace 2.5]

The database is filled as the reader fills it; then reviewers work over HTTP. Each asks for a card,
decides it at once, and pauses for a random time, exponential with the mean `--pace`; the first
requests are spread over one such time. The leader reads and publishes meanwhile. Times are those of
the client, the way through the server and its queues included; memory is the console process's
largest resident set.
"""

import argparse
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.console.crowd import Crowd
from bench.console.parts import of_speed
from bench.console.stage import Console, make_topics, requests
from textmod_console.record.leader import mark_caught_up
from textmod_console.store import migrations, projection
from textmod_console.store.engine import Database
from textmod_console.store.projection import Place
from textmod_dev.figures import figures_dir, merge_figures
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.postgres import Postgres
from textmod_dev.processes import wait_until

RESULTS = figures_dir(Path(__file__).resolve().parents[1] / "results")
BATCH = 1000


@dataclass(frozen=True)
class Asked:
    """How many reviewers work at once, and how many seconds each takes for a text on average."""

    reviewers: int
    pace: float


def fill(url: str, count: int) -> None:
    """Put `count` open items into the database."""
    database = Database(url)
    migrations.upgrade(database)
    for first in range(0, count, BATCH):
        placed = [(one, Place(0, 0)) for one in requests(min(BATCH, count - first), first)]
        with database.write() as connection:
            projection.take_requests(connection, placed)
    mark_caught_up(database)
    database.close()


def measure(console: Console, decisions: int, asked: Asked) -> dict[str, float]:
    """Let reviewers work; returns the figures in milliseconds and MiB."""
    console.start()
    try:
        console.wait(300)
        assert console.process is not None
        process = psutil.Process(console.process.pid)
        largest, stopping = [0], threading.Event()

        def watch() -> None:
            while not stopping.wait(0.5):
                largest[0] = max(largest[0], process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        crowd = Crowd(
            console.port,
            size=asked.reviewers,
            wanted=decisions,
            seed=1,
            undo_share=0,
            pace=asked.pace,
        )
        crowd.start()
        began = time.monotonic()
        try:
            wait_until(crowd.done, "all decisions came", timeout=3600)
        finally:
            seconds = time.monotonic() - began
            crowd.stop()
            stopping.set()
            watcher.join()
    finally:
        console.stop()
    return {
        "decision_p99_ms": _percentile(crowd.seen.decide_seconds, 0.99),
        "decision_p50_ms": _percentile(crowd.seen.decide_seconds, 0.5),
        "next_card_p99_ms": _percentile(crowd.seen.next_seconds, 0.99),
        "next_card_p50_ms": _percentile(crowd.seen.next_seconds, 0.5),
        "decisions_per_second": round(decisions / seconds, 1),
        "memory_mib": round(largest[0] / 2**20, 1),
        "errors": crowd.seen.errors,
    }


def _percentile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


def one(database: str, *, items: int, decisions: int, crowd: Asked) -> dict[str, Any]:
    """Fill a database and let reviewers work on it; returns the figures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        kafka = stack.enter_context(KafkaBroker(folder / "kafka"))
        make_topics(kafka.bootstrap_servers)
        url = f"sqlite:///{folder}/console.db"
        if database == "postgres":
            url = stack.enter_context(Postgres()).new_database()
        fill(url, items)
        console = Console(kafka.bootstrap_servers, folder, url)
        return measure(console, decisions, crowd) | {"decisions": decisions}


def main() -> None:
    """Run both, and keep the figures; the larger of both is held against the promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--decisions", type=int, default=4_000)
    parser.add_argument("--reviewers", type=int, default=100)
    parser.add_argument("--pace", type=float, default=2.5)
    parser.add_argument("--database", choices=["sqlite", "postgres"], action="append")
    given = parser.parse_args()
    asked = Asked(given.reviewers, given.pace)
    found = {
        name: one(name, items=given.items, decisions=given.decisions, crowd=asked)
        for name in given.database or ["sqlite", "postgres"]
    }
    merge_figures(RESULTS / "console.json", of_speed(found, given.items))


if __name__ == "__main__":
    main()
