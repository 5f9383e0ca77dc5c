"""Starts processes that never outlive the one that started them.

Every process gets the environment variable `MARKER`, which its own children inherit. A guardian
(`textmod_dev.guardian`) waits on a pipe from here: when this process ends, whichever way, SIGKILL
included, the pipe closes and the guardian ends everything that carries the marker. So nothing is
left behind even by programs that fork, and no process id is ever trusted to still mean what it did.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import SystemRandom
from typing import Self

from textmod_dev import guardian
from textmod_dev.errors import LocalClusterError
from textmod_dev.guardian import MARKER


class ManagedProcess:
    """One started process and the file its output goes to."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._popen = popen

    @property
    def pid(self) -> int:
        """The process id, which is its process group's id too."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal, as `subprocess` has it."""
        return self._popen.poll()

    def last_words(self, lines: int = 8) -> str:
        """The end of its log, for an error message."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def stop(self, grace_seconds: float = 10) -> None:
        """SIGTERM, then SIGKILL to its whole group once the grace has passed."""
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace_seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to its whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


class ProcessKeeper:
    """The processes of one cluster, started in order and stopped in the reverse order.

    Use as a context manager. `identity` is what the marker holds; write it down to be able to
    clean up after a crash with `guardian.end_marked`.
    """

    def __init__(self, log_dir: Path) -> None:
        self.identity = uuid.uuid4().hex
        self.log_dir = log_dir
        self._running: list[ManagedProcess] = []
        self._guardian: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self._guardian = guardian.start(self.identity)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.stop()
        self._running.clear()
        if self._guardian is not None:
            assert self._guardian.stdin is not None  # noqa: S101 - asked for with PIPE
            self._guardian.stdin.close()
            self._guardian.wait()
            self._guardian = None

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> ManagedProcess:
        """Starts `argv` in a session of its own, output appended to ``<log_dir>/<name>.log``.

        `env` is added to this process's environment.

        Raises:
            LocalClusterError: the command cannot be started.
        """
        log = self.log_dir / f"{name}.log"
        with log.open("ab") as output:
            try:
                popen = subprocess.Popen(
                    [str(part) for part in argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    env={**os.environ, **(env or {}), MARKER: self.identity},
                    start_new_session=True,
                )
            except OSError as error:
                raise LocalClusterError(f"{name} cannot be started: {error}") from error
        process = ManagedProcess(name, popen, log)
        self._running.append(process)
        return process

    def stop(self, process: ManagedProcess, grace_seconds: float = 10) -> None:
        """Stops one process before its turn."""
        process.stop(grace_seconds)
        self._running.remove(process)

    def ended(self) -> list[ManagedProcess]:
        """The processes that should run and do not."""
        return [process for process in self._running if process.exit_code() is not None]


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    timeout: float = 60,
    process: ManagedProcess | None = None,
    every: float = 0.1,
) -> None:
    """Returns once `condition` holds; fails at once when `process` ends before.

    Raises:
        LocalClusterError: `timeout` seconds passed or the process ended; the message ends with the
            last lines of the process's log.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if process is not None and (code := process.exit_code()) is not None:
            raise LocalClusterError(
                f"{process.name} ended with exit code {code} before {what}; "
                f"the end of {process.log}:\n{process.last_words()}"
            )
        if time.monotonic() > deadline:
            end = f"; the end of {process.log}:\n{process.last_words()}" if process else ""
            raise LocalClusterError(f"Waited {timeout:.0f} s in vain: {what}{end}")
        time.sleep(every)


class _Reserved:
    """Ports that are given out, so that no two processes of this machine's user get the same one
    between the moment it was found free and the moment its server listens.

    A reservation is a lock on one byte of a common file, at the port's number. The kernel drops it
    when this process ends; a port is not given out twice by one process.
    """

    def __init__(self, path: Path) -> None:
        # Open for as long as this process lives: closing it would drop every lock.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._own: set[int] = set()

    def take(self, port: int) -> bool:
        if port in self._own:
            return False
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        self._own.add(port)
        return True


@functools.cache
def _reserved() -> _Reserved:
    return _Reserved(Path(tempfile.gettempdir()) / f"textmod-ports-{os.getuid()}")


def free_port() -> int:
    """A port that is free on 127.0.0.1, below the ephemeral range, and that no other process gets
    by this function while this one lives.

    Ports from the ephemeral range, which `bind` to port 0 gives, may be taken by any outgoing
    connection before the server that is meant to have them has started.
    """
    random = SystemRandom()
    for _ in range(500):
        port = random.randrange(20_000, 32_000)
        if is_free(port) and _reserved().take(port):
            return port
    raise LocalClusterError("No free port was found on 127.0.0.1 between 20000 and 32000.")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: a connection that lingers after its server's end does not take the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
