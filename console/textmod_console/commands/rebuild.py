"""`textmod-console rebuild`: read the database from the topics, as if it had been lost."""

import argparse
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from textmod_console.commands import opening
from textmod_console.errors import RecordError
from textmod_console.record.leader import catch_up, mark_caught_up
from textmod_console.record.reader import Reader
from textmod_console.settings import Settings
from textmod_console.store import auditing
from textmod_console.store.database_desk import now_utc
from textmod_console.store.digest import digest, forget
from textmod_console.store.engine import Database
from textmod_console.store.leadership import Leadership

if TYPE_CHECKING:
    from textmod_console.commands import Subparsers


def add(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "rebuild",
        help="read both topics into the database again (stop the console first)",
        description="Delete everything that the topics hold, and read both from their beginning. "
        "Decisions that are not written yet stay; open claims end.",
    )
    opening.add_actor(parser)
    parser.set_defaults(run=opening.command(_run))


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    settings.require_kafka()
    with closing(opening.database(settings, beside=False)) as database:
        leadership = Leadership(database)
        if not leadership.acquire():
            message = "a console serves from this database: stop it first (scale it to 0)."
            raise RecordError(message)
        try:
            found = rebuild(settings, database)
            with database.write() as connection:
                auditing.append(
                    connection,
                    now_utc(),
                    opening.actor(arguments),
                    "rebuild",
                    detail={"digest": found},
                )
        finally:
            leadership.release()
    sys.stdout.write(f"{found}\n")
    return 0


def rebuild(settings: Settings, database: Database) -> str:
    """Read both topics to their ends into an emptied database; returns the digest."""
    with database.write() as connection:
        forget(connection)
    reader = Reader(settings, database)
    try:
        reader.assign()
        catch_up(reader, lambda: False)
        reader.erase_expired()
    finally:
        reader.close()
    mark_caught_up(database)
    with database.read() as connection:
        return digest(connection)
