"""The fault campaign.

    python -m faults [--scenario NAME …] [--delivery AtLeastOnce|ExactlyOnce] [--seeds 1-3]
                     [--pairs 4] [--messages 3000] [--minutes M]

Each run is a stream of its own under load, broken by one scenario and one seed, and judged by the
checker. Exit code 1 if a property did not hold; what then happened is in a folder of its own
(history, workers' logs). Figures go to .state/faults/results.json, with RECORD=1 to faults/.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random

from faults.checker import check
from faults.history import History
from faults.network import Network
from faults.pairs import some_pairs
from faults.scenarios import SCENARIOS, Scenario, restore
from faults.surroundings import policies, write_policies
from faults.world import Stage, World
from textmod_dev.figures import figures_dir
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.model_image import trained_model, training_data
from textmod_dev.processes import ProcessKeeper
from textmod_dev.progress import Progress

HERE = Path(__file__).resolve().parent
DELIVERIES = ("AtLeastOnce", "ExactlyOnce")
WORKERS = 2
COMMANDS = {
    "textmod": (sys.executable, "-m", "textmod_model", "stream"),
    "bare": (sys.executable, "-m", "faults.bare"),
}
RATE = 400.0
"""Messages a second."""
SESSION = {
    # Kafka's defaults let a killed member hold its partitions for 45 s; these are a promise's.
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
}
RULES = {
    # Without a rule all is allowed; scenarios add rules. For one broker only: several would need
    # users of their own to elect a controller.
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


def main() -> int:
    """Run what was asked for; 1 if anything was broken."""
    args = _parser().parse_args()
    deadline = time.monotonic() + args.minutes * 60
    rows: list[dict[str, object]] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keeper = stack.enter_context(ProcessKeeper(folder / "logs"))
        model = trained_model(training_data(None, Progress()), Progress())
        wanted = [SCENARIOS[name] for name in args.scenario]
        for count in sorted({one.brokers for one in (*wanted, *_pairs(args))}):
            chosen = [one for one in wanted if one.brokers == count]
            with _brokers(folder / f"kafka-{count}", count) as (brokers, network):
                stage = Stage(brokers, keeper, model, network, COMMANDS[args.worker])
                rows += [
                    _run(stage, one, delivery, seed, args)
                    for one, delivery, seed in _runs(chosen, count, args, deadline)
                ]
    return _report(rows, args.out)


def _pairs(args: argparse.Namespace) -> list[Scenario]:
    return [one for seed in args.seeds for one in some_pairs(seed, args.pairs)]


def _runs(
    scenarios: list[Scenario], count: int, args: argparse.Namespace, deadline: float
) -> Iterator[tuple[Scenario, str, int]]:
    """Yield the runs, all scenarios once before any of them a second time, while time lasts."""
    for seed in args.seeds:
        pairs = [one for one in some_pairs(seed, args.pairs) if one.brokers == count]
        for one in (*scenarios, *pairs):
            for delivery in args.delivery:
                if time.monotonic() > deadline:
                    _say("time is up; the remaining runs are left out")
                    return
                yield one, delivery, seed


@contextlib.contextmanager
def _brokers(folder: Path, count: int) -> Iterator[tuple[KafkaBroker, Network]]:
    properties = SESSION | RULES if count == 1 else SESSION
    with (
        Network(count, Random(0)) as network,  # noqa: S311 - nothing secret
        KafkaBroker(folder, brokers=count, properties=properties, behind=network.ports) as brokers,
    ):
        network.connect(brokers.own_ports)
        yield brokers, network


def _run(
    stage: Stage, one: Scenario, delivery: str, seed: int, args: argparse.Namespace
) -> dict[str, object]:
    """Run one scenario; return its row."""
    random = Random(f"{one.name} {delivery} {seed}")  # noqa: S311 - a seeded run
    world = World(stage, delivery, random, min(3, one.brokers), proxied=one.proxied)
    world.history.bare = one.bare
    begun = time.monotonic()
    row: dict[str, object] = {"scenario": one.name, "delivery": delivery, "seed": seed}
    try:
        if one.policies:
            write_policies(world, policies(0.5))
        world.begin(args.messages, WORKERS, RATE, one.poison)
        one.fault(world)
        world.fault_is_over()
        history = world.finish()
        found = check(history)
        broken = found.broken(delivery)
        row |= asdict(found) | {"broken": broken, "workers_started": len(world.logs())}
        if broken:
            row["bundle"] = str(_bundle(args.out / "bundles", row, history, world))
    finally:
        world.close()
        restore(stage.brokers, one.brokers)
    row["seconds"] = round(time.monotonic() - begun, 1)
    _say(
        f"{one.name:36} {delivery:11} seed {seed}: {row.get('broken') or 'held'}"
        f" ({found.messages} messages, {found.duplicated} repeated, {row['seconds']} s)"
    )
    return row


def _bundle(out: Path, row: dict[str, object], history: History, world: World) -> Path:
    """Keep what a person needs to understand a broken run."""
    name = f"{row['scenario']}-{row['delivery']}-{row['seed']}"
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "findings.json").write_text(json.dumps(row, indent=2) + "\n")
    with (folder / "history.txt").open("w") as file:
        done = {result.number for result in history.results}
        for sent in history.sent:
            if sent.number not in done:
                file.write(f"missing {sent.number} at {sent.partition}/{sent.offset}\n")
        for progress in history.progress:
            file.write(f"{progress.at:8.1f} s {progress.results} committed\n")
        file.writelines(f"group: {line}\n" for line in history.group)
        file.write(f"the last fault was over after {history.last_fault:.1f} s\n")
        file.writelines(f"{result}\n" for result in history.results)
    for log in world.logs():
        if log.exists():
            shutil.copy(log, folder / log.name)
    return folder


def _report(rows: list[dict[str, object]], out: Path) -> int:
    def total(name: str, delivery: str | None = None) -> int:
        return sum(int(str(row[name])) for row in rows if delivery in (None, row["delivery"]))

    recoveries = [row["recovery_seconds"] for row in rows if row["recovery_seconds"] is not None]
    results = {
        "runs": len(rows),
        "messages": total("messages"),
        "lost": total("lost"),
        "duplicated_exactly_once": total("duplicated", "ExactlyOnce"),
        "order_breaks": total("order_breaks"),
        "stalls": sum(bool(row["stalled"]) for row in rows),
        "slowest_recovery_seconds": max((float(str(one)) for one in recoveries), default=None),
        "rows": rows,
    }
    out.mkdir(parents=True, exist_ok=True)
    file = out / "results.json"
    file.write_text(json.dumps(results, indent=2) + "\n")
    _say(json.dumps({name: value for name, value in results.items() if name != "rows"}))
    _say(f"written to {file}")
    return int(any(row["broken"] for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", nargs="*", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--pairs", type=int, default=0, help="of faults at once, for each seed")
    parser.add_argument("--delivery", nargs="+", choices=DELIVERIES, default=list(DELIVERIES))
    parser.add_argument(
        "--worker",
        choices=COMMANDS,
        default="textmod",
        help="bare: a consumer and a producer alone",
    )
    parser.add_argument("--seeds", type=_seeds, default=[1], help="such as 7, or 1-20")
    parser.add_argument("--messages", type=int, default=4000, help="of each run")
    parser.add_argument("--out", type=Path, default=figures_dir(HERE), help="folder of the results")
    parser.add_argument("--minutes", type=float, default=1000, help="begin no run after these")
    return parser


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
