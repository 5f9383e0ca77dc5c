"""Appending to the audit chain and reading it. Each record goes to the feedback topic as well."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, insert, select, update

from textmod_console.desk import AuditEntry
from textmod_console.errors import DataError
from textmod_console.events import PREFIX
from textmod_console.store import chain, outbox
from textmod_console.store.chain import Record
from textmod_console.store.schema import audit, head, micros, moment

AUDIT: Final = f"{PREFIX}audit.v1"
KEY: Final = "audit"
"""One key, so that the records of a console stay in order in one partition."""
_LAST: Final = 10**15 - 1
"""No console appends as many: others follow a record that was read, and must have numbers left."""
# Statements of every request are made once: making one costs more than running it.
_HEAD: Final = select(head.c.number, head.c.digest).where(head.c.id == 1).with_for_update()
_APPEND: Final = insert(audit)
_MOVE_HEAD: Final = (
    update(head)
    .where(head.c.id == 1, head.c.number < bindparam("to_number"))
    .values(number=bindparam("to_number"), digest=bindparam("to_digest"))
)


def append(
    connection: Connection,
    now: datetime,
    actor: str,
    act: str,
    *,
    item: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append a record, as the last step of a transaction: until its end no other can append."""
    number, before = connection.execute(_HEAD).one()
    record = Record(number + 1, micros(now), actor, act, item, chain.written(detail))
    digest = record.digest(before)
    connection.execute(_APPEND, event(record, digest))
    _move_head(connection, record, digest)
    value = orjson.dumps(event(record, digest)).decode()
    outbox.add(
        connection,
        ce_type=AUDIT,
        ce_id=event_id(record),
        key=KEY,
        value=value,
        at=now,
        not_before=now,
    )


def event(record: Record, digest: str) -> dict[str, Any]:
    """Return the event of a record."""
    return {**_plain(record), "digest": digest}


def event_id(record: Record) -> str:
    """Return the id of a record's event."""
    return f"audit-{record.number}"


def read(value: bytes) -> tuple[Record, str]:
    """Return a record and its digest from the topic. Raises DataError."""
    try:
        found = orjson.loads(value)
        record = Record(
            int(found["number"]),
            int(found["at"]),
            str(found["actor"]),
            str(found["act"]),
            None if found["item"] is None else str(found["item"]),
            str(found["detail"]),
        )
        digest = str(found["digest"])
        moment(record.at)
        detail = orjson.loads(record.detail)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise DataError("an audit record can't be read.") from None
    if not 1 <= record.number <= _LAST or not isinstance(detail, dict):
        raise DataError("an audit record is none of a console's.")
    if "\x00" in f"{record.actor}{record.act}{record.item}{record.detail}{digest}":
        raise DataError("an audit record holds a NUL character.")
    return record, digest


def take(connection: Connection, found: Iterable[tuple[Record, str]]) -> int:
    """Take in records that were read from the topic. Returns how many were not here."""
    given = {one[0].number: one for one in found}
    query = select(audit.c.number).where(audit.c.number.in_(list(given)))
    known = set(connection.scalars(query))
    fresh = [given[number] for number in sorted(given.keys() - known)]
    if fresh:
        connection.execute(insert(audit), [event(record, digest) for record, digest in fresh])
        _move_head(connection, *fresh[-1])
    return len(fresh)


def _plain(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in Record.__slots__}


def _move_head(connection: Connection, record: Record, digest: str) -> None:
    connection.execute(_MOVE_HEAD, {"to_number": record.number, "to_digest": digest})


def page(connection: Connection, before: int | None, limit: int) -> list[AuditEntry]:
    """Return up to `limit` records older than number `before`, newest first."""
    query = select(audit).order_by(audit.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.number < before)
    return [
        AuditEntry(
            number=row.number,
            at=moment(row.at),
            actor=row.actor,
            act=row.act,
            item=row.item,
            detail=orjson.loads(row.detail),
            digest=row.digest,
        )
        for row in connection.execute(query)
    ]


def records(connection: Connection) -> Generator[tuple[Record, str], None, None]:
    """Yield every record with its stored digest, oldest first."""
    query = select(audit).order_by(audit.c.number).execution_options(yield_per=1000)
    with connection.execute(query) as rows:
        for row in rows:
            yield Record(row.number, row.at, row.actor, row.act, row.item, row.detail), row.digest


def verify(connection: Connection) -> int:
    """Check the whole chain. Returns the number of records; raises DataError."""
    end = connection.execute(select(head.c.number, head.c.digest).where(head.c.id == 1)).one()
    with closing(records(connection)) as found:  # its cursor, also where the chain is broken
        return chain.verify(found, (end.number, end.digest))
