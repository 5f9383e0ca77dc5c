"""A volume without space: what was accepted stays, the rest is refused, and it goes on later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from desk_world import World, request
from sqlalchemy import event

from textmod_console.desk import Answer
from textmod_console.errors import RecordError
from textmod_console.events import REVIEW_REQUESTED
from textmod_console.store import outbox, projection
from textmod_console.store.intake import Message, Role, take_in
from textmod_console.store.projection import Place


@contextmanager
def no_space(world: World, pages: int) -> Iterator[None]:
    """Let the database's file grow by so many pages of 4 KiB, and no more."""
    engine = world.database.engine

    def limit(connection: Any, _: object) -> None:
        (size,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {size + pages}")

    engine.dispose()
    event.listen(engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(engine, "connect", limit)
        engine.dispose()


def decide_all(world: World, items: list[str]) -> list[str]:
    """Decide until the database refuses; return what was accepted."""
    accepted = []
    for item in items:
        try:
            made = world.desk.decide(item, "ann", Answer("Remove", note="n" * 1500), 0)
        except RecordError as error:
            assert "full" in str(error)
            break
        accepted.append(made.id)
    return accepted


def test_a_full_disk_loses_no_decision_that_was_accepted(tmp_path: Path) -> None:
    with World(f"sqlite:///{tmp_path}/console.db") as world:
        items = [f"i{n}" for n in range(60)]
        world.ask(*(request(item) for item in items))
        with no_space(world, 20):
            accepted = decide_all(world, items)
            assert 0 < len(accepted) < 60
            assert world.desk.card(items[-1], "ann").text == f"text of {items[-1]}"
            value = request("more", text="t" * 200_000).value()
            message = Message(Place(0, 99), b"more", REVIEW_REQUESTED, "more", value)
            with pytest.raises(RecordError, match="full"), world.database.write() as connection:
                take_in(connection, "r", Role.REVIEW, [message], {0: 100})
        with world.database.read() as connection:
            assert projection.next_offsets(connection, "r") == {}  # it is read again
        assert [one.id for item in items for one in world.desk.card(item, None).decided] == accepted
        accepted += decide_all(world, items[len(accepted) :])
        assert len(accepted) == 60
        world.wait(seconds=10)
        with world.database.write() as connection:
            waiting = [one.ce_id for one in outbox.take(connection, world.now, 500, 1)]
        assert [one for one in waiting if not one.startswith("audit-")] == accepted
        assert world.verify() == 60
