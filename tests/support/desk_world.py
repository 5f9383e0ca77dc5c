"""A console's database with a clock that the test moves, and topics that are lists."""

from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sqlalchemy import delete, event, update

from textmod_console.desk import Desk
from textmod_console.events import Reason, ReviewRequested, Selection
from textmod_console.store import auditing, migrations, projection
from textmod_console.store.database_desk import DatabaseDesk
from textmod_console.store.engine import Database
from textmod_console.store.projection import Place
from textmod_console.store.schema import head, metadata

START = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
POLICY = Selection(strategy="Policy", probability=1.0)
RANDOM = Selection(strategy="Random", probability=0.005)


def request(item: str, **fields: Any) -> ReviewRequested:
    """Return a review request of a policy; `blind=True` makes it one of the random sample."""
    blind = fields.get("blind", False)
    given: dict[str, Any] = {
        "text": f"text of {item}",
        "author": "mallory",
        "reasons": (Reason(kind="Random"),) if blind else (Reason(kind="Policy", policy="spam"),),
        "selection": RANDOM if blind else POLICY,
        "label": "removed",
        "scores": {"removed": 0.75},
        "explanation": {"offsets": "CodePoint", "spans": []},
        "model": "sha256:ab",
        "action": "Review",
        "flagged": not blind,
        "at": START,
    }
    return ReviewRequested(item=item, **(given | fields))


def _without_fsync(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")


class World:
    """A database, its desk, and a clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = START
        self.luck = 0.99
        """What the desk draws; below 0.125 the random lane comes first."""
        self.offset = 0

    def __enter__(self) -> Self:
        self.database = Database(self.url)
        if self.database.is_sqlite:  # a test needs no durability
            event.listen(self.database.engine, "connect", _without_fsync)
        migrations.upgrade(self.database)
        with self.database.write() as connection:  # as of a console that serves
            connection.execute(update(head).values(caught_up=True))
        self.desk: Desk = DatabaseDesk(self.database, lambda: self.now, lambda: self.luck)
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def empty(self) -> None:
        """Make it a new console's database again, which is quicker than another database."""
        with self.database.write() as connection:
            for table in metadata.sorted_tables:
                if table is not head:
                    connection.execute(delete(table))
            connection.execute(update(head).values(number=0, digest="", caught_up=True))
        self.now = START

    def wait(self, **span: float) -> None:
        """Move the clock on."""
        self.now += timedelta(**span)

    def ask(self, *requests: ReviewRequested) -> list[str]:
        """Put items into the queue; returns those that were new."""
        placed = []
        for one in requests:
            placed.append((one, Place(0, self.offset)))
            self.offset += 1
        with self.database.write() as connection:
            return projection.take_requests(connection, placed)

    def verify(self) -> int:
        """Check the audit chain; returns its length."""
        with self.database.read() as connection:
            return auditing.verify(connection)
