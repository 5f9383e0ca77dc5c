"""Store messages of a topic in the database, in one transaction with the offsets behind them.

So each message counts once, even if the process is killed at any moment.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select

from textmod_console import metrics
from textmod_console.errors import DataError, RecordError
from textmod_console.events import Appeal, Counted, Decision, Event, ReviewRequested, parse
from textmod_console.store import auditing, counting, outbox, projection
from textmod_console.store.chain import Record
from textmod_console.store.deliveries import Subscriptions
from textmod_console.store.projection import Place
from textmod_console.store.schema import positions

NO_SUBSCRIPTIONS: Final = Subscriptions()
log = logging.getLogger(__name__)


class Role(StrEnum):
    """The purpose of a topic."""

    REVIEW = "review"
    FEEDBACK = "feedback"


@dataclass(frozen=True, slots=True)
class Message:
    """The parts of a Kafka message that are stored."""

    place: Place
    key: bytes | None
    ce_type: str
    ce_id: str
    value: bytes | None


def take_in(
    connection: Connection,
    topic: str,
    role: Role,
    messages: Sequence[Message],
    next_offsets: Mapping[int, int],
    *,
    subscriptions: Subscriptions = NO_SUBSCRIPTIONS,
    kept: Mapping[int, int] | None = None,
) -> int:
    """Store messages of one topic, in order, and the offsets to continue from.

    Args:
        connection: of a write; both are committed or neither.
        topic: the name under which offsets are stored.
        role: the topic's purpose.
        messages: in order within each partition.
        next_offsets: by partition, behind the messages and the control records that follow them.
        subscriptions: the webhooks that decisions are to be sent to.
        kept: by partition, the offsets that the database held when the messages before were stored.

    Returns:
        how many messages were not known already.

    Raises:
        RecordError: the database holds earlier offsets than it did. A standby that lacked the last
            transactions has taken the place of its primary, so the messages from there on are
            missing.
    """
    stored = _locked_offsets(connection, topic)
    if any(stored.get(partition, 0) < offset for partition, offset in (kept or {}).items()):
        message = f"the database has lost messages of topic {topic} that were stored in it."
        raise RecordError(message)
    # Another leader may have stored some of them meanwhile.
    fresh = [one for one in messages if one.place.offset >= stored.get(one.place.partition, 0)]
    if role is Role.REVIEW:
        taken = _requests(connection, fresh)
    else:
        taken = _feedback(connection, fresh, subscriptions)
    moved = {
        partition: offset
        for partition, offset in next_offsets.items()
        if offset > stored.get(partition, -1)
    }
    projection.move_to(connection, topic, moved)
    metrics.INGESTED.labels(role).inc(len(fresh))
    return taken


def _locked_offsets(connection: Connection, topic: str) -> dict[int, int]:
    query = select(positions).where(positions.c.topic == topic).with_for_update()
    return {row.partition: row.next_offset for row in connection.execute(query)}


def _requests(connection: Connection, messages: Sequence[Message]) -> int:
    """Take in review requests and counts; a tombstone erases the text whose item is its key."""
    taken = 0
    waiting: list[tuple[ReviewRequested, Place]] = []
    for message in messages:
        if message.value is None:
            taken += len(projection.take_requests(connection, waiting))
            waiting = []
            taken += projection.erase(connection, _askable([_text(message.key)]))
            continue
        event = _parsed(message, Role.REVIEW)
        if isinstance(event, ReviewRequested):
            waiting.append((event, message.place))
        elif isinstance(event, Counted):
            taken += counting.take(connection, [event])
    return taken + len(projection.take_requests(connection, waiting))


def _feedback(
    connection: Connection, messages: Sequence[Message], subscriptions: Subscriptions
) -> int:
    taken = 0
    settled: list[str] = []
    audited: list[tuple[Record, str]] = []
    decided: list[tuple[Decision, str, Place | None]] = []
    for message, event in _events(messages):
        if isinstance(event, Decision):
            decided.append((event, (message.value or b"").decode(), message.place))
            settled.append(event.id)
        elif isinstance(event, Appeal):
            body = (message.value or b"").decode()
            taken += projection.take_appeal(connection, event, body)
            settled.append(event.appeal)
        elif message.ce_type == auditing.AUDIT and message.value is not None:
            audited += _audit(message)
            settled.append(message.ce_id)
    taken += projection.take_decisions(connection, decided)
    subscriptions.take(connection, [decision for decision, _, _ in decided])
    taken += auditing.take(connection, audited)
    outbox.settle(connection, _askable(settled))
    return taken


def _text(key: bytes | None) -> str:
    return (key or b"").decode(errors="replace")


def _askable(names: Sequence[str]) -> list[str]:
    """Return the names that a row can have: Postgres refuses a query with a NUL, too."""
    return [one for one in names if "\x00" not in one]


def _events(
    messages: Sequence[Message],
) -> Iterator[tuple[Message, Event | None]]:
    for message in messages:
        yield message, None if message.value is None else _parsed(message, Role.FEEDBACK)


def _audit(message: Message) -> list[tuple[Record, str]]:
    try:
        return [auditing.read(message.value or b"")]
    except DataError as error:
        _skip(message, Role.FEEDBACK, error)
        return []


def _parsed(message: Message, role: Role) -> Event | None:
    """Return the event; None, with a warning, if it can't be read."""
    try:
        return parse(message.ce_type, message.value or b"")
    except DataError as error:
        _skip(message, role, error)
        return None


def _skip(message: Message, role: Role, error: DataError) -> None:
    metrics.REFUSED.labels(role).inc()
    place = message.place
    log.warning("skip partition %d offset %d: %s", place.partition, place.offset, error)
