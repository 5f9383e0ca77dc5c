"""The audit chain finds every record that was changed, dropped, swapped or added."""

import pytest
from desk_world import World
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, text, update

from textmod_console.errors import DataError
from textmod_console.store import auditing, chain
from textmod_console.store.chain import Record
from textmod_console.store.schema import audit, head

FIELDS = st.sampled_from(["at", "actor", "act", "item", "detail", "number"])


def written(count: int) -> list[tuple[Record, str]]:
    found: list[tuple[Record, str]] = []
    before = ""
    for number in range(1, count + 1):
        record = Record(number, number * 10, f"actor {number % 3}", "claim", None, "{}")
        before = record.digest(before)
        found.append((record, before))
    return found


def end(records: list[tuple[Record, str]]) -> tuple[int, str]:
    return records[-1][0].number, records[-1][1]


@given(st.integers(1, 12))
def test_a_chain_as_written_is_whole(count: int) -> None:
    records = written(count)
    assert chain.verify(records, end(records)) == count


@given(st.integers(2, 12), st.data())
def test_any_record_changed_dropped_swapped_or_added_is_found(
    count: int, data: st.DataObject
) -> None:
    records = written(count)
    good = end(records)
    place = data.draw(st.integers(0, count - 1))
    record, digest = records[place]
    match data.draw(st.sampled_from(["change", "change with its digest", "drop", "swap", "add"])):
        case "change" | "change with its digest" as how:
            field = data.draw(FIELDS)
            value = 99 if field in {"at", "number"} else "else"
            values = {name: getattr(record, name) for name in Record.__slots__}
            changed = Record(**(values | {field: value}))
            before = records[place - 1][1] if place else ""
            digest = changed.digest(before) if how != "change" else digest
            records[place] = (changed, digest)
        case "drop":
            del records[place]
        case "swap":
            other = (place + 1) % count
            records[place], records[other] = records[other], records[place]
        case "add":
            records.insert(place, records[place])
    with pytest.raises(DataError, match="the audit chain is broken"):
        chain.verify(records, good)


@pytest.mark.parametrize(
    "damage",
    [
        update(audit).where(audit.c.number == 2).values(actor="eve"),
        update(audit).where(audit.c.number == 3).values(detail='{"a": 1}'),
        delete(audit).where(audit.c.number == 1),
        delete(audit).where(audit.c.number == 3),
        delete(audit),
        update(head).values(number=2),
        text("UPDATE audit SET number = 7 - number WHERE number IN (2, 3)"),
    ],
)
def test_the_database_is_checked_as_it_is(world: World, damage: object) -> None:
    for act in ("reveal", "claim", "export"):
        world.desk.record("ann", act)
    assert world.verify() == 3
    with world.database.write() as connection:
        connection.execute(damage)  # type: ignore[call-overload]
    with pytest.raises(DataError, match="the audit chain is broken"):
        world.verify()


def test_a_record_that_is_appended_meanwhile_is_no_damage(world: World) -> None:
    world.desk.record("ann", "reveal")
    with world.database.read() as connection:
        assert auditing.verify(connection) == 1
        world.desk.record("ann", "claim")
        assert auditing.verify(connection) == 1
    assert world.verify() == 2
