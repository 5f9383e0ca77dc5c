"""How long a decision and the next card take with a million items, on SQLite and on Postgres.

    python -m bench.console.speed [--items 1000000] [--decisions 5000] [--reviewers 100]

The database is filled as the reader fills it; then reviewers work over HTTP, each with a pause of
two seconds on average. Times are those of the client, the way through the server included; memory
is the console process's largest resident set.
"""

import argparse
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import psutil

from bench.console.crowd import Crowd
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


def measure(console: Console, decisions: int, reviewers: int, pace: float) -> dict[str, float]:
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
            console.port, size=reviewers, wanted=decisions, seed=1, undo_share=0, pace=pace
        )
        crowd.start()
        try:
            wait_until(crowd.done, "all decisions came", timeout=3600)
        finally:
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
        "memory_mib": round(largest[0] / 2**20, 1),
        "errors": crowd.seen.errors,
    }


def _percentile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


def main() -> None:
    """Run both, and keep the figures; the larger of both stands for the promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--decisions", type=int, default=5_000)
    parser.add_argument("--reviewers", type=int, default=100)
    parser.add_argument("--pace", type=float, default=2.0)
    parser.add_argument("--database", choices=["sqlite", "postgres"], action="append")
    given = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        kafka = stack.enter_context(KafkaBroker(folder / "kafka"))
        make_topics(kafka.bootstrap_servers)
        for name in given.database or ["sqlite", "postgres"]:
            url = f"sqlite:///{folder}/console.db"
            if name == "postgres":
                url = stack.enter_context(Postgres()).new_database()
            fill(url, given.items)
            console = Console(kafka.bootstrap_servers, folder, url)
            found[name] = measure(console, given.decisions, given.reviewers, given.pace)
    worst = {
        name: max(figures[name] for figures in found.values())
        for name in ("decision_p99_ms", "next_card_p99_ms", "memory_mib")
    }
    merge_figures(RESULTS / "console.json", worst | {"speed": found, "speed_items": given.items})


if __name__ == "__main__":
    main()
