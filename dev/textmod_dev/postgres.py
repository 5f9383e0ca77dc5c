"""A real Postgres on a socket in a folder, from the installed `initdb` and `postgres`.

It refuses to run as root; then it runs as Debian's user `postgres`.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import psycopg

from textmod_dev.errors import LocalClusterError
from textmod_dev.processes import wait_until

USER = "postgres"


def binaries() -> Path | None:
    """Return the folder of `initdb` and `postgres`, the newest there is; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _as_user() -> dict[str, Any]:
    """Return how `subprocess` starts what root may not run."""
    return {"user": USER, "group": USER, "extra_groups": []} if os.getuid() == 0 else {}


class Postgres:
    """One server, a context manager; `kill` and `start` are a crash and its recovery."""

    def __init__(self) -> None:
        found = binaries()
        if found is None:
            raise LocalClusterError("no Postgres here: install it (Debian: postgresql)")
        self._bin = found
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        # Short: the path of a socket has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="textmod-pg-"))

    def __enter__(self) -> Self:
        try:
            if os.getuid() == 0:
                shutil.chown(self.folder, USER, USER)
            subprocess.run(
                [
                    str(self._bin / "initdb"), "-D", f"{self.folder}/data", "-U", USER,
                    "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
                ],
                check=True, capture_output=True, cwd=self.folder, **_as_user(),
            )  # fmt: skip
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # at once; nothing of it is kept
            self._process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        # Without fsync: a crash of the server alone loses nothing that the kernel has.
        options = [
            "-D", f"{self.folder}/data", "-k", str(self.folder), "-h", "",
            "-c", "fsync=off", "-c", "max_connections=60",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._bin / "postgres"), *options],
                stdout=log, stderr=log, cwd=self.folder, **_as_user(),
            )  # fmt: skip
        wait_until(self._answers, "Postgres answered", timeout=60, every=0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(host=str(self.folder), user=USER, dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """End the server by SIGKILL, as a node that dies; its children notice and end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def new_database(self) -> str:
        """Make an empty database; returns its URL."""
        self._made += 1
        name = f"test_{self._made}"
        with psycopg.connect(
            host=str(self.folder), user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE test_{self._made}".encode())
        return f"postgresql://{USER}@/{name}?host={self.folder}"
