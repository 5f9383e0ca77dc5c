"""Soak: streams under load and random faults for an hour, counted, and watched for growth.

    python -m faults.soak [--minutes 60] [--seed 1]

Two streams, one for each delivery, with review and policies, share three brokers. Each has workers
that live for the whole time and others that faults end. The time is cut into pieces: a burst that
shows what a stream can do, then 70 % of that beside faults of the campaign, then a quiet moment,
where all is counted by the campaign's checker and descriptors, threads, queues, members and topics
are compared. Exit code 1 if a property did not hold, something grew, or, in 45 minutes and more,
no worker lived long enough to tell. Figures go to
.state/faults/soak.json and a RESULTS.md beside it, with RECORD=1 to faults/.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from faults.bundle import copy_worker, write_bundle
from faults.checker import check
from faults.history import History
from faults.lanes import COMMANDS, brokers_up
from faults.lasting import LastingWorld
from faults.plan import DELIVERIES, TEXTMOD
from faults.report import write_between
from faults.rows import Row, commit
from faults.sampling import GroupSample, Sampler, write_samples
from faults.scenarios import SCENARIOS, restore
from faults.sender import TAIL_RATE
from faults.soak_figures import SOAK_BEGIN, SOAK_END, figures, tables
from faults.surroundings import policies, write_policies
from faults.world import Stage
from textmod_dev.figures import figures_dir
from textmod_dev.model_image import trained_model, training_data
from textmod_dev.paths import repository_root
from textmod_dev.processes import ManagedProcess, ProcessKeeper
from textmod_dev.progress import Progress
from textmod_model.training.sample import comments

HERE: Final = Path(__file__).resolve().parent
BROKERS: Final = 3
LASTING: Final = 2
"""Workers of a stream that no fault ends."""
MORTAL: Final = 1
"""Workers of a stream that faults end and replace."""
LOAD: Final = 0.7
"""Of what a stream does while it works through a burst."""
POISON: Final = 0.02
"""The share of hostile messages."""
PIECE_SECONDS: Final = 150.0
"""Faults of a piece begin for so long."""
QUIET_SECONDS: Final = 15.0
"""Until sessions of killed members have expired and clients have nothing to do."""
BURST_SECONDS: Final = 8.0
"""That a burst should take, by the one before."""
BURST: Final = (2_000, 40_000)
"""Messages of a burst, at least and at most."""
JUDGED_AFTER_MINUTES: Final = 45
"""That none of the lasting workers could be judged by then is a failure of its own."""
VALUES: Final = 4_000
"""Texts of a piece. Each piece has its own, so that the scorer always meets new words."""
POLICIES: Final = policies(0.5, "Allow")
"""Reviews are of the random sample, and of what faults change the policies to."""

OF_WORKERS: Final = (
    "worker-sigkill", "worker-sigterm", "storm", "worker-out-of-memory", "model-rolled",
    "policies-changed", "review",
)  # fmt: skip
"""End workers: those that are there for it."""
OF_ALL: Final = (
    "worker-freeze", "broker-sigkill", "broker-freeze", "brokers-rolled", "brokers-down",
    "broker-slow", "broker-disk-full", "insync-lost", "output-limit", "net-reset", "net-cut",
    "net-half-open", "net-answers-lost", "net-stall", "net-slow", "net-commit-cut",
)  # fmt: skip
"""End none. The brokers and the network are those of both streams."""


@dataclass(slots=True)
class Stream:
    """One of the streams."""

    world: LastingWorld
    mortals: LastingWorld
    """The same stream, with the workers that faults end."""
    burst: int = BURST[0]
    capacity: float = 0.0
    """Messages a second, by the last burst."""
    pieces: list[Row] = field(default_factory=list)
    groups: list[GroupSample] = field(default_factory=list)
    """One for each quiet moment."""

    def begin(self) -> None:
        """Start the workers."""
        write_policies(self.world, POLICIES)
        for _ in range(LASTING):
            self.world.start_worker()
        for _ in range(MORTAL):
            self.mortals.start_worker()
        self.world.watch()

    def be_quiet(self) -> None:
        """Note members and topics, when nothing is left to do."""
        workers = len(self.world.every_worker())
        self.groups.append(GroupSample(self.world.members(), workers, self.world.topics()))


@dataclass(slots=True)
class Soak:
    """What a soak does, and what was seen."""

    stage: Stage
    streams: dict[str, Stream]
    """By delivery."""
    sampler: Sampler
    random: Random
    bundles: Path
    command: str
    """Repeats it."""
    faults: list[str] = field(default_factory=list)
    """In the order in which they were carried out."""
    failures: list[str] = field(default_factory=list)
    """Faults and requests that broke off: the campaign's trouble, and not the stream's."""

    def piece(self, until: float) -> None:
        """Carry out one piece; its faults begin before `until` on the monotonic clock."""
        begun = time.monotonic()
        number = len(self.faults)
        values = _values(self.random)
        for stream in self.streams.values():
            write_policies(stream.world, POLICIES)
        self._burst(values)
        for stream in self.streams.values():
            rate = stream.capacity * LOAD
            stream.world.load(0, rate, POISON, values, rate)
        end = min(until, time.monotonic() + PIECE_SECONDS)
        while time.monotonic() < end:
            time.sleep(self.random.uniform(3, 10))
            self._fault()
        for stream in self.streams.values():
            stream.world.fault_is_over()
        for stream in self.streams.values():
            stream.world.all_sent()
        for stream in self.streams.values():
            stream.world.wait_until_done()
        time.sleep(QUIET_SECONDS)
        self.sampler.look(quiet=True)
        for stream in self.streams.values():
            stream.be_quiet()
        for delivery, stream in self.streams.items():
            row = self._judged(delivery, stream, self.faults[number:])
            stream.pieces.append(row | {"seconds": round(time.monotonic() - begun, 1)})
            self._try("delete records", stream.world.forget)

    def figures(self) -> dict[str, Any]:
        """Add up what was seen so far."""
        return figures(
            {name: stream.pieces for name, stream in self.streams.items()},
            {name: stream.groups for name, stream in self.streams.items()},
            self.sampler.samples(),
            faults=self.faults,
            failures=self.failures,
            ended=[one for stream in self.streams.values() for one in stream.world.ended],
        )

    def keep(self, named: list[str]) -> None:
        """Keep what a person reads: logs and statistics of the workers that lines begin with.

        The samples are those of all workers.
        """
        folder = self.bundles / "soak-growth"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for stream in self.streams.values():
            for log in stream.world.logs():
                if any(one.startswith(f"{log.stem}: ") for one in named):
                    copy_worker(log, folder)
        write_samples(folder / "samples.csv", self.sampler.samples())

    def _burst(self, values: list[bytes]) -> None:
        """Measure what each stream can do while the other one does the same, for a minute at most.

        A stream that does nothing in that time is not judged here but at the end of the piece.
        """
        begun = time.monotonic()
        for stream in self.streams.values():
            stream.world.load(stream.burst, math.inf, POISON, values, TAIL_RATE)
            stream.world.fault_is_over()
        for stream in self.streams.values():
            stream.world.all_sent()
        left = dict(self.streams)
        while left and time.monotonic() - begun < 60:
            time.sleep(0.2)
            for name, stream in list(left.items()):
                seen = stream.world.history.progress
                if seen and seen[-1].results >= len(stream.world.history.sent):
                    stream.capacity = stream.burst / (time.monotonic() - begun)
                    del left[name]
        for stream in left.values():
            seen = stream.world.history.progress
            stream.capacity = max(seen[-1].results if seen else 0, 60) / 60
        for stream in self.streams.values():
            wanted = int(stream.capacity * BURST_SECONDS)
            stream.burst = max(BURST[0], min(wanted, BURST[1]))

    def _fault(self) -> None:
        """Carry out one fault, chosen by the seed."""
        name = self.random.choice([*OF_WORKERS, *OF_ALL])
        stream = self.random.choice(list(self.streams.values()))
        scenario = SCENARIOS[name]
        stream.world.history.bare |= scenario.bare
        say(f"  {name} ({stream.world.history.delivery})")
        self.faults.append(name)
        world = stream.mortals if name in OF_WORKERS else stream.world
        if not self._try(name, lambda: scenario.fault(world)):
            restore(self.stage.brokers, BROKERS)

    def _try(self, name: str, work: Callable[[], object]) -> bool:
        """Do something that the soak can go on without; return whether it was done."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - it is reported
            self.failures.append(f"{name}: {type(error).__name__}: {error}")
            return False
        return True

    def _judged(self, delivery: str, stream: Stream, faults: list[str]) -> Row:
        history: History = stream.world.checkpoint()
        found = check(history)
        row = {
            "piece": len(stream.pieces) + 1,
            "delivery": delivery,
            "faults": faults,
            "capacity_per_second": round(stream.capacity),
            **asdict(found),
            "broken": found.broken(delivery),
        }
        if row["broken"]:
            folder = self.bundles / f"soak-{delivery}-{row['piece']}"
            row["bundle"] = str(
                write_bundle(
                    folder,
                    self.command,
                    row,
                    history,
                    logs=stream.world.logs(),
                    ended=stream.world.ended,
                )
            )
        judged = row["broken"] or "held"
        say(f"{delivery} piece {row['piece']}: {row['messages']} messages, {judged}")
        return row


def _values(random: Random) -> list[bytes]:
    """Return texts of about a thousand characters, a tenth of them words that nobody has seen."""
    rows = [text for text, _ in comments(VALUES, seed=random.randrange(1 << 30))]
    values = []
    for _ in range(VALUES):
        words = ["".join(random.choices("abcdefghijklmnop", k=8)) for _ in range(12)]
        body = " ".join([*random.choices(rows, k=10), *words])
        values.append(json.dumps({"id": 0, "body": body}).encode())
    return values


@contextmanager
def running(seed: int, model: Path, bundles: Path, folder: Path) -> Iterator[Soak]:
    """Bring up brokers, streams and samples; end them afterwards."""
    random = Random(f"soak {seed}")  # noqa: S311 - a seeded run
    with (
        ProcessKeeper(folder / "logs") as keeper,
        brokers_up(folder / "kafka", BROKERS, False) as (cluster, network),
    ):
        stage = Stage(cluster, keeper, model, network, COMMANDS[TEXTMOD])
        streams: dict[str, Stream] = {}
        try:
            for delivery in DELIVERIES:
                own = Random(random.random())  # noqa: S311
                world = LastingWorld(stage, delivery, own, BROKERS)
                streams[delivery] = Stream(world, world.companion(own))
                streams[delivery].begin()
            with Sampler(lambda: _workers(streams)) as it:
                yield Soak(stage, streams, it, random, bundles, f"make soak SEED={seed}")
        finally:
            for stream in streams.values():
                stream.world.close()


def _workers(streams: dict[str, Stream]) -> list[ManagedProcess]:
    return [one for stream in streams.values() for one in stream.world.every_worker()]


def main() -> int:
    """Soak for as long as was asked for; 1 if something was broken or grew."""
    parser = argparse.ArgumentParser(prog="faults.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="begin no piece after these")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out = figures_dir(HERE)
    state = commit()
    model = trained_model(training_data(None, Progress()), Progress())
    bundles = repository_root() / ".state" / HERE.name / "bundles"
    begun = time.monotonic()
    until = begun + args.minutes * 60
    held = True
    with (
        tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder,
        running(args.seed, model, bundles, Path(folder)) as soak,
    ):
        while time.monotonic() < until:
            soak.piece(until)
            minutes = round((time.monotonic() - begun) / 60, 1)
            heading = {"commit": state, "seed": args.seed, "minutes": minutes}
            # After every piece, so that what is known stays if the rest is cut off.
            found = heading | soak.figures()
            soak.keep([*found["grows"], *found["ended"]])
            held = _write(out, found)
    say(f"written to {out / 'soak.json'}")
    return int(not held)


def _write(out: Path, found: dict[str, Any]) -> bool:
    """Write the figures; return whether everything held, as far as that can be known by now."""
    (out / "soak.json").write_text(json.dumps(found, indent=1) + "\n")
    write_between(HERE / "RESULTS.md", out / "RESULTS.md", SOAK_BEGIN, SOAK_END, tables(found))
    unknown = found["minutes"] >= JUDGED_AFTER_MINUTES and not found["workers_judged"]
    return not (found["broken"] or found["grows"] or unknown)


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
