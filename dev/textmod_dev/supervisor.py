"""The cluster of `make up`: a process in the background that holds it until `make down`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import psutil

from textmod_dev.errors import LocalClusterError
from textmod_dev.guardian import clean_up
from textmod_dev.local_cluster import LocalCluster, identity_file
from textmod_dev.processes import wait_until


@dataclass(frozen=True)
class Running:
    """What other commands need to know of a running cluster; a file in its state folder."""

    pid: int
    started: float
    kubeconfig: str
    binaries: str
    bootstrap_servers: str

    def is_alive(self) -> bool:
        """The process is there and is the same one: process ids come back."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            is_over = process.status() == psutil.STATUS_ZOMBIE  # and nobody has asked how it ended
            return not is_over and process.create_time() == self.started
        return False


def hold(cluster: LocalCluster, *, attached: bool = False) -> None:
    """Keeps a started cluster until SIGTERM or SIGINT, or until one of its processes ends.

    Attached, it also ends with standard input: when the process at the other end is gone.

    Raises:
        LocalClusterError: a process of the cluster ended by itself.
    """
    me = psutil.Process()
    running = Running(
        pid=me.pid,
        started=me.create_time(),
        kubeconfig=str(cluster.kubeconfig),
        binaries=str(cluster.binaries),
        bootstrap_servers=cluster.bootstrap_servers,
    )
    file = _file(cluster.state_dir)
    file.write_text(json.dumps(asdict(running)))
    try:
        while not (ended := cluster.keeper.ended()):
            if attached and select.select([sys.stdin], [], [], 1)[0]:
                return
            if not attached:
                time.sleep(1)
        first = ended[0]
        raise LocalClusterError(
            f"{first.name} ended with exit code {first.exit_code()}, so the cluster stops; "
            f"the end of {first.log}:\n{first.last_words()}"
        )
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Within it, SIGTERM and SIGHUP end the process as Ctrl-C does: by unwinding, once."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)  # stopping takes seconds; let it finish
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, interrupt)
    yield


def running(state_dir: Path) -> Running | None:
    """The cluster that runs in this state folder and is ready, if any."""
    try:
        found = Running(**json.loads(_file(state_dir).read_text()))
    except FileNotFoundError:
        return None
    return found if found.is_alive() else None


# Started and not waited for: as long as they are kept here, an attached one's pipe stays open.
_started: list[subprocess.Popen[bytes]] = []


def start_in_background(
    state_dir: Path, arguments: list[str], *, attached: bool = False, timeout: float = 120
) -> Running:
    """Starts ``textmod-dev run`` and returns once its cluster is ready.

    Attached, it ends with this process, however this one ends.

    Raises:
        LocalClusterError: it failed; the message is its own.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    log = state_dir / "supervisor.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "textmod_dev", "run", f"--state-dir={state_dir}"),
                *(["--attached"] if attached else []),
                *arguments,
            ],
            # The other end of the pipe stays open, unused, as long as this process lives.
            stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _started.append(process)
    try:
        return _ready(state_dir, process, log, timeout)
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _ready(state_dir: Path, process: subprocess.Popen[bytes], log: Path, timeout: float) -> Running:
    deadline = time.monotonic() + timeout
    while (found := running(state_dir)) is None or found.pid != process.pid:
        if process.poll() is not None:
            raise LocalClusterError(log.read_text().strip() or f"it ended at once; see {log}")
        if time.monotonic() > deadline:
            raise LocalClusterError(f"The cluster was not ready after {timeout:.0f} s; see {log}.")
        time.sleep(0.2)
    return found


def stop(state_dir: Path) -> bool:
    """Stops the cluster of a state folder and whatever a crashed one left; False: there was none.

    Raises:
        LocalClusterError: it does not stop.
    """
    found = running(state_dir)
    if found is not None:
        os.kill(found.pid, signal.SIGTERM)
        wait_until(lambda: not _is_held(state_dir), "the cluster had stopped", timeout=60)
    left = 0
    if (file := identity_file(state_dir)).exists() and not _is_held(state_dir):
        left = clean_up(file.read_text())
    return found is not None or left > 0


def _is_held(state_dir: Path) -> bool:
    with (state_dir / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _file(state_dir: Path) -> Path:
    return state_dir / "cluster.json"
