"""Several runs at the same time: each lane is a process with brokers of its own.

Most of a run is waiting, so lanes share the machine well; and a lane that hangs or crashes costs
its run and is replaced.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Final, Self

from faults.network import Network
from faults.plan import BARE, TEXTMOD, Run
from faults.rows import FAILED, Row, of
from faults.run import carry_out
from faults.world import Stage
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import ProcessKeeper

RUN_SECONDS: Final = 900.0
"""The longest that a run may take; a lane that has not answered by then is ended."""
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    TEXTMOD: (sys.executable, "-m", "faults.observed", "stream"),
    BARE: (sys.executable, "-m", "faults.bare"),
}
SESSION: Final = {
    # Kafka's defaults let a killed member hold its partitions for 45 s; these are a promise's.
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
}
RULES: Final = {
    # Without a rule all is allowed; scenarios add rules. For one broker only: several would need
    # users of their own to elect a controller.
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
CLASSIC: Final = {"group.coordinator.rebalance.protocols": "classic"}


@dataclass(frozen=True, slots=True)
class Place:
    """The folders that all lanes share."""

    folder: Path
    """For brokers and logs; the caller removes it."""
    model: Path
    """The artifact's folder."""
    bundles: Path
    """Where broken runs leave a folder each."""


def carry_out_all(
    runs: Sequence[Run],
    place: Place,
    lanes: Mapping[int, int],
    finished: Callable[[Row], None],
    in_time: Callable[[], bool],
) -> None:
    """Carry out runs, some at once; `finished` gets each row, from several threads.

    `lanes` says how many at once for a number of brokers, with one more for runs with the classic
    group protocol. No run begins once `in_time` is False.
    """
    threads: list[threading.Thread] = []
    stopped = threading.Event()
    for cluster in sorted({run.resolved().cluster for run in runs}):
        waiting = deque(run for run in runs if run.resolved().cluster == cluster)
        brokers, classic = cluster
        for number in range(min(1 if classic else lanes[brokers], len(waiting))):
            lane = _Lane(cluster, place, f"{brokers}-{'classic-' * classic}{number}")

            def drain(lane: _Lane = lane, waiting: deque[Run] = waiting) -> None:
                with lane:
                    while in_time() and not stopped.is_set():
                        try:
                            run = waiting.popleft()
                        except IndexError:
                            return
                        row = lane.carry_out(run)
                        if not stopped.is_set():  # else it was cut short, and is run again
                            finished(row)

            threads.append(threading.Thread(target=drain, daemon=True))
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stopped.set()


@dataclass(slots=True)
class _Lane:
    """The process of a lane, seen from the campaign; started when it is first needed."""

    cluster: tuple[int, bool]
    """As `Scenario.cluster`."""
    place: Place
    name: str
    _started: int = 0
    _process: BaseProcess | None = None
    _pipe: Connection | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def carry_out(self, run: Run) -> Row:
        pipe = self._pipe or self._start()
        try:
            pipe.send(run)
            if not pipe.poll(RUN_SECONDS):
                raise TimeoutError(f"no answer in {RUN_SECONDS:.0f} s")
            row: Row = pipe.recv()
        except (EOFError, OSError) as error:  # TimeoutError is an OSError
            row = _failed(run, f"the lane ended: {error}")
        if FAILED in row["broken"]:
            self._end()
        return row

    def _start(self) -> Connection:
        self._started += 1
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        folder = self.place.folder / f"lane-{self.name}-{self._started}"
        self._process = context.Process(
            target=_serve, args=(theirs, self.cluster, self.place, folder), daemon=True
        )
        self._process.start()
        theirs.close()
        return self._pipe

    def _end(self) -> None:
        """Let the process end by itself, or after a while by a signal."""
        if self._pipe is None or self._process is None:
            return
        self._pipe.close()
        self._process.join(60)
        self._process.kill()
        self._process.join()
        self._pipe = self._process = None


def _serve(pipe: Connection, kind: tuple[int, bool], place: Place, folder: Path) -> None:
    """The lane's process: bring up brokers, carry out runs until the pipe ends or one fails."""
    with (
        contextlib.suppress(EOFError, OSError),
        ProcessKeeper(folder / "logs") as keeper,
        brokers_up(folder / "kafka", *kind) as (cluster, network),
    ):
        while True:
            run: Run = pipe.recv()
            stage = Stage(cluster, keeper, place.model, network, COMMANDS[run.worker])
            try:
                row = carry_out(run, stage, place.bundles)
            except Exception as error:  # noqa: BLE001 - reported in the row; the lane is replaced
                pipe.send(_failed(run, f"{type(error).__name__}: {error}"))
                return
            pipe.send(row)


def _failed(run: Run, why: str) -> Row:
    return of(run) | {"broken": [FAILED], "error": why}


@contextlib.contextmanager
def brokers_up(folder: Path, count: int, classic: bool) -> Iterator[tuple[KafkaBroker, Network]]:
    properties = SESSION | (RULES if count == 1 else {}) | (CLASSIC if classic else {})
    with (
        Network(count, Random(0)) as network,  # noqa: S311 - nothing secret
        KafkaBroker(folder, brokers=count, properties=properties, behind=network.ports) as brokers,
    ):
        network.connect(brokers.own_ports)
        yield brokers, network
