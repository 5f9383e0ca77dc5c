"""`textmod-console erase`: erase one person's texts, or those of single items."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from sqlalchemy import select

from textmod_console.commands import opening
from textmod_console.record.tombstones import write_tombstones
from textmod_console.settings import Settings
from textmod_console.store import auditing, projection
from textmod_console.store.database_desk import now_utc
from textmod_console.store.engine import Database
from textmod_console.store.schema import items

if TYPE_CHECKING:
    from textmod_console.commands import Subparsers


def add(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "erase",
        help="erase texts from the database now, and mark them in the review topic",
        description="Decisions about the texts stay. The review topic keeps its messages "
        "until its retention ends; a tombstone for each makes every later rebuild erase them too.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--author", help="every text of this author")
    which.add_argument("--item", action="append", help="this item; may be given several times")
    opening.add_actor(parser)
    parser.set_defaults(run=opening.command(_erase))


def _erase(arguments: argparse.Namespace, settings: Settings) -> int:
    settings.require_kafka()
    with closing(opening.whole_database(settings)) as database:
        count = erase_texts(
            settings,
            database,
            author=arguments.author,
            names=arguments.item or (),
            actor=opening.actor(arguments),
        )
    sys.stderr.write(f"erased {count} texts\n")
    return 0


def erase_texts(
    settings: Settings,
    database: Database,
    *,
    author: str | None = None,
    names: Sequence[str] = (),
    actor: str,
) -> int:
    """Erase an author's texts, or else those of the named items. Returns how many.

    The topic comes first: after a crash in between, the same command finds the texts again.
    """
    which = (
        items.c.author == projection.stored_author(author) if author else items.c.item.in_(names)
    )
    with database.read() as connection:
        query = select(items.c.item, items.c.partition).where(which, items.c.text.is_not(None))
        found = {row.item: row.partition for row in connection.execute(query)}
    write_tombstones(settings, found)
    with database.write() as connection:
        for batch in _batches(list(found)):
            projection.erase(connection, batch)
        auditing.append(connection, now_utc(), actor, "erase", detail={"texts": len(found)})
    return len(found)


def _batches(names: list[str], size: int = 1000) -> Iterator[list[str]]:
    return (names[first : first + size] for first in range(0, len(names), size))
