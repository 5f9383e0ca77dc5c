"""Whether texts arrive: when the leader last reached Kafka, for the pages of every replica."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from textmod_console.store.projection import insert_into
from textmod_console.store.schema import last_read, micros, moment

SILENT: Final = timedelta(minutes=2)
"""The leader reaches Kafka every ten seconds; another one takes over within a minute."""


def note(connection: Connection, now: datetime) -> None:
    """Store that Kafka was reached."""
    at = micros(now)
    statement = insert_into(connection, last_read).values(id=1, at=at)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"at": at}))


def silent_since(connection: Connection, now: datetime) -> datetime | None:
    """Return since when Kafka has not been reached; None while it is."""
    at = connection.scalar(select(last_read.c.at))
    if at is None or now - moment(at) <= SILENT:
        return None
    return moment(at)
