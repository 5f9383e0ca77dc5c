"""The queries of every request are answered by an index, however long the queue is."""

from typing import Any

import pytest
from desk_world import World, request
from sqlalchemy import Connection, text

from textmod_console.store import queue
from textmod_console.store.schema import Lane


def plan(connection: Connection, query: Any, **given: Any) -> str:
    compiled = query.params(**given).compile(
        connection.engine, compile_kwargs={"literal_binds": True}
    )
    word = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    return "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(f"{word} {compiled}"))


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("skip", [[], ["i1", "i2"]])
def test_the_next_item_is_the_first_of_an_index(world: World, lane: Lane, skip: list[str]) -> None:
    world.ask(*(request(f"i{n}", blind=n % 5 == 0) for n in range(2000)))
    with world.database.write() as connection:
        connection.execute(text("ANALYZE"))
    with world.database.read() as connection:
        found = plan(
            connection, queue._first(lane, bool(skip)), **queue._given("ann", world.now, skip)
        )
    assert "ix_items_queue" in found
    assert "TEMP B-TREE" not in found
    assert "Sort" not in found
    assert "Seq Scan on items" not in found
