"""A real Postgres of the test's own, on a socket in a folder; skipped where none is installed."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from textmod_dev.processes import wait_until

USER = "postgres"  # Debian's; Postgres refuses to run as root


def binaries() -> Path | None:
    """Return the folder of `initdb` and `postgres`, the newest there is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _as_user() -> dict[str, object]:
    """Return how `subprocess` starts what root may not run."""
    if os.getuid() != 0:
        return {}
    return {"user": USER, "group": USER, "extra_groups": []}


class Postgres:
    """One server; `kill` and `start` are a crash and its recovery."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        bin_dir = binaries()
        assert bin_dir is not None
        # Without fsync: a crash of the server alone loses nothing that the kernel has.
        options = [
            "-D", f"{self.folder}/data", "-k", str(self.folder), "-h", "",
            "-c", "fsync=off", "-c", "max_connections=60",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(bin_dir / "postgres"), *options],
                stdout=log, stderr=log, cwd=self.folder, **_as_user(),
            )  # fmt: skip
        wait_until(self._answers, "Postgres answered", timeout=30, every=0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(host=str(self.folder), user=USER, dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, as a node that dies; its children notice and end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # at once; nothing of it is kept
            self._process.wait(30)

    def new_database(self) -> str:
        """Make an empty database; returns its URL."""
        self._made += 1
        name = f"test_{self._made}"
        with psycopg.connect(
            host=str(self.folder), user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return f"postgresql://{USER}@/{name}?host={self.folder}"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a server, or skip the test and say why."""
    bin_dir = binaries()
    if bin_dir is None:
        pytest.skip("no Postgres here: install postgresql to try the console on it")
    folder = Path(tempfile.mkdtemp(prefix="textmod-pg-"))  # short: a socket's path has 107 bytes
    try:
        if os.getuid() == 0:
            shutil.chown(folder, USER, USER)
        subprocess.run(
            [
                str(bin_dir / "initdb"), "-D", f"{folder}/data", "-U", USER, "-A", "trust",
                "-E", "UTF8", "--locale=C", "--no-sync",
            ],
            check=True, capture_output=True, cwd=folder, **_as_user(),
        )  # fmt: skip
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
