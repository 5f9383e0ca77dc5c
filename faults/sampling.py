"""Look at processes and groups now and then, and keep what was seen."""

from __future__ import annotations

import csv
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from faults.client_statistics import parsed, queued
from faults.growth import Sample
from faults.observed import LINES
from textmod_dev.processes import ManagedProcess

SECONDS: Final = 5.0
"""Between two looks."""
FRESH_SECONDS: Final = 10.0
"""Statistics that are older are those of a client that was closed."""
_TAIL_BYTES: Final = 64 << 10


class GroupSample(NamedTuple):
    """One look at a consumer group at a quiet moment."""

    members: int | None
    """None: unknown, as topics."""
    workers: int
    """That run."""
    topics: frozenset[str] | None


class Sampler:
    """Samples of every worker, taken in a thread of its own; a context manager."""

    def __init__(self, workers: Callable[[], Iterable[ManagedProcess]]) -> None:
        self._workers = workers
        self._seen: dict[str, list[Sample]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="samples")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def look(self, *, quiet: bool = False) -> None:
        """Take a sample of each worker that runs; `quiet`: nothing is left to do."""
        with self._lock:
            for worker in self._workers():
                found = sample(worker, quiet=quiet)
                if found is not None:
                    self._seen.setdefault(worker.name, []).append(found)

    def samples(self) -> dict[str, list[Sample]]:
        """Return the samples so far, by worker."""
        with self._lock:
            return {name: list(seen) for name, seen in self._seen.items()}

    def _run(self) -> None:
        while not self._stopped.wait(SECONDS):
            self.look()


def sample(worker: ManagedProcess, *, quiet: bool) -> Sample | None:
    """Look at a process; None if it has ended."""
    folder = Path("/proc") / str(worker.pid)
    try:
        lines = (line.partition(":") for line in (folder / "status").read_text().splitlines())
        status = {name: value.strip() for name, _, value in lines}
        descriptors = len(os.listdir(folder / "fd"))  # noqa: PTH208 - names alone
    except OSError:
        return None
    if "VmRSS" not in status:  # a zombie
        return None
    return Sample(
        at=time.monotonic(),
        memory=int(status["VmRSS"].split()[0]) * 1024,
        descriptors=descriptors,
        threads=int(status["Threads"]),
        queued=_queued(worker.log.with_suffix("")),
        quiet=quiet,
    )


def write_samples(path: Path, samples: Mapping[str, Sequence[Sample]]) -> None:
    """Write the samples of each worker as CSV, one a line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["worker", *Sample._fields])
        for worker, taken in samples.items():
            writer.writerows([worker, *one] for one in taken)


def _queued(prefix: Path) -> int | None:
    """Return what waits in the queues of a worker's clients, by the last lines they wrote."""
    try:
        with Path(f"{prefix}{LINES}").open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    fresh = [one for one in parsed(text) if one["at"] >= time.time() - FRESH_SECONDS]
    return queued(fresh) if fresh else None
