"""One TextModeration as a user deals with it: kubectl, a producer, and the topics themselves."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from textmod_dev.demo_stream import Count, Meter, Topics, count
from textmod_dev.kubectl import Kubectl
from textmod_dev.model_image import text_column
from textmod_dev.paths import repository_root
from textmod_dev.processes import ManagedProcess, ProcessKeeper


def wait_for(condition: Callable[[], object], what: str, timeout: float = 120) -> None:
    """Returns once `condition` is true; fails the test when it takes longer, saying what for."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"Waited {timeout:.0f} s in vain: {what}")
        time.sleep(0.25)


@dataclass(frozen=True)
class Moderation:
    """A TextModeration named `name` in the namespace of the same name."""

    kubectl: Kubectl
    name: str
    bootstrap_servers: str
    """Of the broker, from this machine."""

    @property
    def topics(self) -> Topics:
        """Its topics and its group, under the names that the defaults give them."""
        return Topics(
            input=f"{self.name}-input",
            output=f"{self.name}-output",
            dead_letter=f"{self.name}-dead-letter",
            group=f"textmod.{self.name}.{self.name}",
        )

    def ask(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl in its namespace."""
        return self.kubectl(f"--namespace={self.name}", *arguments, stdin=stdin)

    def field(self, path: str, *what: str) -> str:
        """A field of the object (or of another, if named) by JSONPath."""
        return self.ask("get", *(what or ("tm", self.name)), f"--output=jsonpath={{{path}}}")

    def rollouts(self) -> tuple[str, str]:
        """The ReplicaSets and the revisions of StatefulSets. They change if pods are replaced, but
        not if only their number changes or old ones end."""
        return (
            self.field(".items[*].metadata.uid", "replicasets"),
            self.field(".items[*].status.updateRevision", "statefulsets"),
        )

    def patch(self, spec: dict[str, Any]) -> None:
        """kubectl patch of its spec."""
        self.ask("patch", "tm", self.name, "--type=merge", f"--patch={json.dumps({'spec': spec})}")

    def wait_ready(self, timeout: int = 180) -> None:
        """kubectl wait; fails with the conditions as they are."""
        try:
            self.ask("wait", "--for=condition=Ready", f"tm/{self.name}", f"--timeout={timeout}s")
        except Exception as error:
            raise AssertionError(f"{error}\n{self.ask('describe', 'tm', self.name)}") from error

    def send(self, keeper: ProcessKeeper, data: Path, comments: int, rate: float) -> ManagedProcess:
        """Starts ``examples/produce.py``."""
        return keeper.start(
            f"producer-{self.name}",
            [
                sys.executable, str(repository_root() / "examples" / "produce.py"),
                f"--bootstrap-servers={self.bootstrap_servers}", f"--topic={self.topics.input}",
                f"--file={data}", f"--column={text_column(data)}",
                f"--limit={comments}", f"--rate={rate}",
            ],
        )  # fmt: skip

    def count(self) -> Count:
        """The books, from the topics."""
        return count(self.bootstrap_servers, self.topics)

    def sent(self) -> int:
        """Comments in the input topic."""
        return Meter(self.bootstrap_servers, self.topics).read()[0]

    def wait_answered(self, timeout: float = 180) -> Count:
        """The books, once the group has committed every comment or time is up."""
        meter = Meter(self.bootstrap_servers, self.topics)
        deadline = time.monotonic() + timeout
        while meter.read()[1] != 0 and time.monotonic() < deadline:
            time.sleep(0.5)
        return self.count()


def finished(process: ManagedProcess) -> bool:
    """Whether a producer has sent everything.

    Raises:
        AssertionError: it failed.
    """
    code = process.exit_code()
    assert code in (None, 0), process.last_words()
    return code == 0
