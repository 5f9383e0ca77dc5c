"""Events that were accepted here and not yet read back from the feedback topic.

A row is added in the transaction of the act that it reports, and removed when its event is read
back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from textmod_console.store.schema import micros, moment, outbox

_ADD: Final = insert(outbox).inline()


@dataclass(frozen=True, slots=True)
class Waiting:
    """One event to be written."""

    id: int
    ce_id: str
    ce_type: str
    key: str
    value: bytes
    at: datetime


def add(
    connection: Connection,
    *,
    ce_type: str,
    ce_id: str,
    key: str,
    value: str,
    at: datetime,
    not_before: datetime,
) -> None:
    """Add an event to be written at `not_before` or later."""
    row = {
        "ce_id": ce_id,
        "ce_type": ce_type,
        "key": key,
        "value": value,
        "at": micros(at),
        "not_before": micros(not_before),
        "taken": 0,
    }
    connection.execute(_ADD, row)


def take(connection: Connection, now: datetime, limit: int, term: int) -> list[Waiting]:
    """Return the events to write now, in order; they can't be withdrawn any more.

    Args:
        connection: of a write.
        now: the moment.
        limit: the most events.
        term: a number of this leader alone, not 0. Events that an earlier leader took and did not
            read back are taken again.
    """
    due = (
        select(outbox)
        .where(outbox.c.not_before <= micros(now), outbox.c.taken != term)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    rows = connection.execute(due.with_for_update()).all()
    if rows:
        ids = [row.id for row in rows]
        connection.execute(update(outbox).where(outbox.c.id.in_(ids)).values(taken=term))
    return [
        Waiting(row.id, row.ce_id, row.ce_type, row.key, row.value.encode(), moment(row.at))
        for row in rows
    ]


def withdraw(connection: Connection, ce_id: str) -> bool:
    """Remove an event that was not taken yet; False if it was."""
    query = delete(outbox).where(outbox.c.ce_id == ce_id, outbox.c.taken == 0)
    return connection.execute(query).rowcount == 1


def settle(connection: Connection, ce_ids: Sequence[str]) -> None:
    """Remove events that were read back."""
    if ce_ids:
        connection.execute(delete(outbox).where(outbox.c.ce_id.in_(ce_ids)))


def size(connection: Connection) -> int:
    """Return how many events wait."""
    return int(connection.execute(select(func.count()).select_from(outbox)).scalar_one())
