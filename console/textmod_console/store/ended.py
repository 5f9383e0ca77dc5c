"""Sessions that were ended before their time: one that was signed out, or all of a person.

A session is a cookie that any replica can open. This table is what a copied cookie can't avoid.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, select

from textmod_console.store.projection import insert_into
from textmod_console.store.schema import ended_sessions, micros

KEPT: Final = timedelta(hours=24)
"""Longer than any session lasts."""


def end(connection: Connection, session: str, now: datetime) -> None:
    """End one session, by its id."""
    _end(connection, f"session {session}", now)


def end_all(connection: Connection, person: str, now: datetime) -> None:
    """End the sessions that a person has begun until now."""
    _end(connection, f"person {person}", now)


def _end(connection: Connection, subject: str, now: datetime) -> None:
    at = micros(now)
    statement = insert_into(connection, ended_sessions).values(subject=subject, at=at)
    connection.execute(statement.on_conflict_do_update(index_elements=["subject"], set_={"at": at}))


def has_ended(connection: Connection, session: str, person: str, began: datetime) -> bool:
    """Whether this session was ended, or all that its person had begun by then."""
    one, everyone = f"session {session}", f"person {person}"
    query = select(ended_sessions).where(ended_sessions.c.subject.in_([one, everyone]))
    return any(row.subject == one or row.at >= micros(began) for row in connection.execute(query))


def expire(connection: Connection, now: datetime) -> None:
    """Delete what no session can be as old as."""
    connection.execute(delete(ended_sessions).where(ended_sessions.c.at < micros(now - KEPT)))
