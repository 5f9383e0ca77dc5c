"""The reader over stand-ins for Kafka: where it goes on, and what a database has lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console_client import settings
from desk_world import World, request
from sqlalchemy import update

from textmod_console.errors import RecordError
from textmod_console.events import REVIEW_REQUESTED
from textmod_console.record import kafka
from textmod_console.record.reader import Reader
from textmod_console.store import projection
from textmod_console.store.intake import Message
from textmod_console.store.projection import Place
from textmod_console.store.schema import positions

REVIEW = "review"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A desk in a file."""
    with World(f"sqlite:///{tmp_path}/console.db") as made:
        yield made


class Kafka:
    """Two topics of one partition; of the review topic all before offset 5 is removed."""

    def __init__(self) -> None:
        self.offset = 5

    def assign(self, _: object) -> None:
        """Take the partitions."""

    def consume(self, *_: object) -> list[Message]:
        name = f"i{self.offset}"
        place, value = Place(0, self.offset), request(name).value()
        self.offset += 1
        return [Message(place, name.encode(), REVIEW_REQUESTED, name, value)]


def split(received: list[Message]) -> tuple[list[tuple[str, Message]], dict[tuple[str, int], int]]:
    return [(REVIEW, one) for one in received], {
        (REVIEW, one.place.partition): one.place.offset + 1 for one in received
    }


def test_what_a_database_has_lost_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    brokers = Kafka()
    stand_ins: dict[str, Any] = {
        "open_consumer": lambda _: brokers,
        "open_admin": lambda _: None,
        "topic_id": lambda *_: None,
        "partitions": lambda *_: [0],
        "bounds": lambda _, topic, __: (5, 100) if topic == REVIEW else (0, 0),
        "split": split,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(kafka, name, stand_in)
    found = settings(TEXTMOD_REVIEW_TOPIC=REVIEW, TEXTMOD_FEEDBACK_TOPIC="feedback")
    reader = Reader(found, world.database)
    reader.assign()
    reader.turn(0)
    reader.turn(0)
    with world.database.write() as connection:
        connection.execute(update(positions).values(next_offset=6))
    with pytest.raises(RecordError, match="has lost messages"):
        reader.turn(0)
    again = Reader(found, world.database)
    again.assign()
    brokers.offset = 6
    again.turn(0)
    with world.database.read() as connection:
        assert projection.next_offsets(connection, REVIEW) == {0: 7}
