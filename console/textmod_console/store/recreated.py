"""A topic that was deleted and created again: known by its id, read from its beginning.

Its offsets begin at 0 again, so the stored ones would skip messages. What this database holds
stays: texts until the new topic's retention has passed once, decisions for ever. Decisions, appeals
and audit records that were in a feedback topic are put into the outbox again. The leader reads a
topic to its end before it writes, so only those are written that the new topic does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import Connection, delete, insert, literal, select, update

from textmod_console.events import APPEAL, DECISION
from textmod_console.store import auditing, projection
from textmod_console.store.intake import Role
from textmod_console.store.projection import insert_into
from textmod_console.store.schema import (
    appeals,
    decisions,
    items,
    micros,
    outbox,
    positions,
    topics,
)

ACTOR: Final = "textmod-console"
ACT: Final = "topic-created-again"
_ROWS: Final = 1000


def known_id(connection: Connection, topic: str) -> str | None:
    """Return the id that the topic had when it was read last; None if it is not known."""
    return connection.scalar(select(topics.c.id).where(topics.c.topic == topic))


def keep_id(connection: Connection, topic: str, found: str) -> None:
    """Store the topic's id."""
    statement = insert_into(connection, topics).values(topic=topic, id=found)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["topic"], set_={"id": found})
    )


def begin_again(
    connection: Connection, topic: str, role: Role, lows: Mapping[int, int], now: datetime
) -> None:
    """Continue from the first offset of each partition, and append what happened to the audit.

    Args:
        connection: of a write.
        topic: the name that both topics have.
        role: its purpose.
        lows: the first offset of each partition of the new topic; not empty.
        now: the moment, with a time zone.
    """
    connection.execute(delete(positions).where(positions.c.topic == topic))
    projection.move_to(connection, topic, lows)
    if role is Role.REVIEW:
        _keep_texts(connection, lows)
        detail: dict[str, Any] = {"topic": topic, "role": str(role)}
    else:
        detail = {"topic": topic, "role": str(role), "written_again": _write_again(connection, now)}
    auditing.append(connection, now, ACTOR, ACT, detail=detail)


def _keep_texts(connection: Connection, lows: Mapping[int, int]) -> None:
    """Let texts go with the first records that the new topic's retention removes."""
    first = min(lows)
    kept = update(items).where(items.c.text.is_not(None))
    connection.execute(kept.values(partition=first, offset=lows[first]))


def _write_again(connection: Connection, now: datetime) -> int:
    """Put everything that was read from the feedback topic into the outbox; return how much."""
    here = set(connection.scalars(select(outbox.c.ce_id)))
    at, was_read = literal(micros(now)), decisions.c.offset.is_not(None)
    columns = ["ce_id", "ce_type", "key", "value", "at", "not_before", "taken"]
    made = select(
        decisions.c.id, literal(DECISION), decisions.c.item, decisions.c.body, decisions.c.at, at,
        literal(0),
    ).where(was_read)  # fmt: skip
    count = connection.execute(insert(outbox).from_select(columns, made)).rowcount
    connection.execute(update(decisions).where(was_read).values(partition=None, offset=None))
    for rows in _batches(_others(connection, micros(now)), here):
        connection.execute(insert(outbox), rows)
        count += len(rows)
    return count


def _others(connection: Connection, now: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of appeals and audit records."""
    for row in connection.execute(select(appeals)).all():
        fields = {"ce_id": row.appeal, "ce_type": APPEAL, "key": row.item}
        yield {**fields, "value": row.body, "at": row.at, "not_before": now, "taken": 0}
    with closing(auditing.records(connection)) as records:
        for record, digest in records:
            value = orjson.dumps(auditing.event(record, digest)).decode()
            name = auditing.event_id(record)
            fields = {"ce_id": name, "ce_type": auditing.AUDIT, "key": auditing.KEY}
            yield {**fields, "value": value, "at": record.at, "not_before": now, "taken": 0}


def _batches(rows: Iterable[dict[str, Any]], here: set[str]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        if row["ce_id"] not in here:
            batch.append(row)
        if len(batch) == _ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
