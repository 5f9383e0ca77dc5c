"""The leader's loop over stand-ins for Kafka: what it notes while the brokers answer, and then."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from console_client import settings
from desk_world import START, World

from textmod_console.errors import RecordError
from textmod_console.record import leader as module
from textmod_console.record.leader import Leader


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A desk in a file."""
    with World(f"sqlite:///{tmp_path}/console.db") as made:
        yield made


class Kafka:
    """A reader, a publisher and webhooks; brokers are away after some requests."""

    def __init__(self, world: World, stopping: threading.Event, answers: int) -> None:
        self._world = world
        self._stopping = stopping
        self._answers = answers

    def __call__(self, *_: object) -> "Kafka":
        return self

    def assign(self) -> bool:
        self._world.wait(minutes=1)
        self._answers -= 1
        if self._answers < 0:
            self._stopping.set()
            raise RecordError("can't read the topics: no broker answers.")
        return True

    def turn(self, _: object) -> int:
        return 0

    def ends(self) -> dict[tuple[str, int], int]:
        return {}

    def has_read(self, _: object) -> bool:
        return True

    def erase_expired(self) -> int:
        return 0

    def start(self) -> None:
        """Do nothing."""

    stop = close = start


def test_only_brokers_that_answer_are_noted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = threading.Event()
    kafka = Kafka(world, stopping, 2)  # at the start of a term, and once in it
    for name in ("Reader", "Publisher", "Webhooks"):
        monkeypatch.setattr(module, name, kafka)
    monkeypatch.setattr(module, "HOUSEKEEPING_SECONDS", 0.0)
    Leader(settings(), world.database, lambda: world.now, stopping).run()
    assert (world.now - START).total_seconds() == 180
    world.wait(minutes=2)
    since = world.desk.counts().silent_since
    assert since is not None
    assert (since - START).total_seconds() == 120  # the second answer, not the failure after it
