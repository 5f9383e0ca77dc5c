"""A real schema registry with Confluent's API on 127.0.0.1, in memory, for tests.

Apicurio's, from the archive pinned in ``dev/schema-registry/pom.xml``::

    with SchemaRegistry(tmp_path / "registry") as registry:
        SchemaRegistryClient({"url": registry.url})
"""

from __future__ import annotations

import http.client
import os
import signal
from pathlib import Path
from typing import Self

from textmod_dev.build import java, schema_registry_folder
from textmod_dev.errors import LocalClusterError
from textmod_dev.processes import ManagedProcess, ProcessKeeper, free_port, wait_until
from textmod_dev.progress import Progress

API = "/apis/ccompat/v7"
HEAP = "256m"


class SchemaRegistry:
    """One process; what it holds is gone when it ends.

    Attributes:
        url: of Confluent's API, known before the start and the same after `stop` and `start`.

    Args:
        folder: its logs go below; made if absent.
    """

    def __init__(self, folder: Path, *, progress: Progress | None = None) -> None:
        self._progress = progress or Progress(quiet=True)
        self._keeper = ProcessKeeper(folder / "logs")
        self._port = free_port()
        self._process: ManagedProcess | None = None
        self.url = f"http://127.0.0.1:{self._port}{API}"

    def __enter__(self) -> Self:
        self._keeper.__enter__()
        try:
            self.start()
        except BaseException:
            self._keeper.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.__exit__(None, None, None)

    def start(self) -> None:
        """Start the process and wait until it answers.

        Raises:
            LocalClusterError: Java or Maven is missing, the download failed, or it did not answer.
        """
        folder = schema_registry_folder(self._progress)
        jars = list(folder.rglob("apicurio-registry-app-*-runner.jar"))
        if len(jars) != 1:
            raise LocalClusterError(f"{folder} holds no schema registry: remove it and try again.")
        options = [f"-Dquarkus.http.port={self._port}", "-Dquarkus.http.host=127.0.0.1"]
        self._process = self._keeper.start(
            "schema-registry", [java(), f"-Xmx{HEAP}", *options, "-jar", str(jars[0])]
        )
        wait_until(
            self._answers, "the schema registry answered", timeout=120, process=self._process
        )

    def stop(self) -> None:
        """Stop the process, as a test of an outage wants it; its schemas are gone."""
        assert self._process is not None  # noqa: S101 - started before
        self._keeper.stop(self._process, grace_seconds=10)

    def pause(self) -> None:
        """Freeze the process: it keeps its schemas and answers nothing until `resume`."""
        assert self._process is not None  # noqa: S101 - started before
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process go on after `pause`."""
        assert self._process is not None  # noqa: S101 - started before
        os.kill(self._process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", f"{API}/subjects")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
