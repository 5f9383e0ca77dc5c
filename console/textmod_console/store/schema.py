"""The tables. Moments are whole microseconds since 1970 in UTC, the same in both databases.

`items`, `decisions`, `appeals`, `score_bins`, `counted` and `counted_ranges` are a projection of
the topics, with the offsets up to which they were read in `positions`. `claims` and `absences`
expire. `outbox` holds events that were accepted here and not yet read back from the feedback topic;
`audit` is a chain of its own.

A change of a table needs a migration (`migrations/versions`); a test compares the two.
"""

from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    literal_column,
    text,
)


def _partial(name: str, *columns: str, where: str) -> Index:
    """An index of the rows for which `where` holds, in both databases."""
    condition = text(where)
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


metadata: Final = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"}
)
_BIG: Final = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the key is an INTEGER."""


class State(IntEnum):
    """The state of an item."""

    OPEN = 0
    DECIDED = 1
    ESCALATED = 2
    ERASED = 3
    """The text was erased; the item can't be decided any more."""


class Lane(IntEnum):
    """The two queues: items that a policy asked for, and items chosen at random alone."""

    ASKED = 0
    RANDOM = 1


class Rank(IntEnum):
    """The order within a lane; below that, the earliest first."""

    HELD = 0
    DUE = 1
    OTHER = 2


items: Final = Table(
    "items",
    metadata,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("item", Text, nullable=False),
    Column("text", Text),  # None: erased, and `author` and `context` with it
    Column("author", Text),
    Column("context", Text),
    Column("text_sha256", Text, nullable=False),
    Column("request", Text, nullable=False),  # the event without text, author and context
    Column("requested_at", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("rank", SmallInteger, nullable=False),
    Column("order_at", BigInteger, nullable=False),
    Column("hold", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("standing", Text),  # the id of the decision that counts
    Column("appeal", Text),  # the id of an appeal that is open
    Column("partition", Integer, nullable=False),  # where its latest copy is in the review topic
    Column("offset", BigInteger, nullable=False),
    Index("ux_items_item", "item", unique=True),
    _partial("ix_items_queue", "lane", "rank", "order_at", "id", where="state = 0"),
    Index("ix_items_requested", "requested_at"),
    # What retention erases next: the oldest offsets whose texts are still here.
    _partial("ix_items_kept", "partition", "offset", where="text IS NOT NULL"),
    _partial("ix_items_author", "author", where="author IS NOT NULL"),
    _partial("ix_items_escalated", "order_at", where="state = 2"),
)

decisions: Final = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("item", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("requested_at", BigInteger),
    Column("body", Text, nullable=False),  # the event's value, as it is in the topic
    # Where it is in the feedback topic; None: accepted here, and not yet read back.
    Column("partition", Integer),
    Column("offset", BigInteger),
    Index("ix_decisions_item", "item"),
    Index("ix_decisions_at", "at"),
    Index("ix_decisions_requested", "requested_at"),
)

appeals: Final = Table(
    "appeals",
    metadata,
    Column("appeal", Text, primary_key=True),
    Column("item", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_appeals_item", "item"),
)

score_bins: Final = Table(
    "score_bins",
    metadata,
    Column("hour", BigInteger, primary_key=True, autoincrement=False),  # since 1970
    Column("label", Text, primary_key=True),
    Column("bin", SmallInteger, primary_key=True, autoincrement=False),
    Column("weight", Float, nullable=False),  # the sum of 1/p of the selection
)

counted: Final = Table(  # all texts with a verdict, by the ten minutes of their messages' time
    "counted",
    metadata,
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),  # of the policies; empty without any
    Column("flagged", Boolean, primary_key=True),
    Column("policies", Text, primary_key=True),  # (name, action) of those that act, as JSON
    Column("texts", Float, nullable=False),
    Column("scores", Float, nullable=False),  # the sum of the scores that decided
)

counted_ranges: Final = Table(  # of which offsets of the input; those that touch are one
    "counted_ranges",
    metadata,
    Column("source", Text, primary_key=True),  # topic/partition
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("until", BigInteger, nullable=False),
)

positions: Final = Table(
    "positions",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
)

topics: Final = Table(  # the ids of the topics that the positions are of
    "topics",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("id", Text, nullable=False),
)

claims: Final = Table(
    "claims",
    metadata,
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
    Column("reviewer", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("ix_claims_reviewer", "reviewer"),
)

absences: Final = Table(  # a reviewer who skipped an item is not given it again at once
    "absences",
    metadata,
    Column("item", Text, primary_key=True),
    Column("reviewer", Text, primary_key=True),
    Column("until", BigInteger, nullable=False),
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("ce_id", Text, nullable=False),
    Column("ce_type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    # The leader's term that it was taken in, to be written: from then on it can't be undone.
    Column("taken", BigInteger, nullable=False),
    Index("ux_outbox_ce_id", "ce_id", unique=True),
    Index("ix_outbox_not_before", "not_before"),
    sqlite_autoincrement=True,
)

deliveries: Final = Table(  # decisions that wait to be sent to webhooks
    "deliveries",
    metadata,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("hook", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Index("ux_deliveries", "decision", "hook", unique=True),
    Index("ix_deliveries_due", "hook", "not_before"),
)

ended_sessions: Final = Table(  # before their time; rows are deleted after a day
    "ended_sessions",
    metadata,
    Column("subject", Text, primary_key=True),  # `session ID`, or `person NAME`
    Column("at", BigInteger, nullable=False),
)

last_read: Final = Table(  # one row: when the leader last reached Kafka
    "last_read",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
)

audit: Final = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("item", Text),
    Column("detail", Text, nullable=False),
    Column("digest", Text, nullable=False),
)

head: Final = Table(  # one row: the end of the audit chain, and the lock that appending takes
    "head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("caught_up", Boolean, nullable=False),  # the feedback topic was read to its end once
)


def written(value: IntEnum) -> ColumnElement[int]:
    """Return the number itself, not a parameter: only so does a partial index serve a query."""
    return literal_column(str(int(value)))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
MICROS_PER_HOUR: Final = timedelta(hours=1) // _MICROSECOND


def micros(moment: datetime) -> int:
    """Return the moment as the tables hold it."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Return the moment that the tables hold."""
    return _EPOCH + value * _MICROSECOND
