"""What pages show: a card, a history, counts, the scores of a day."""

from collections import defaultdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select

from textmod_console.desk import LEASE, Card, Entry, Histogram, QueueCounts
from textmod_console.errors import NotFoundError
from textmod_console.events import Decision, ReviewRequested, plain
from textmod_console.store import arrival, projection
from textmod_console.store.schema import (
    MICROS_PER_HOUR,
    Rank,
    State,
    claims,
    decisions,
    items,
    micros,
    moment,
    score_bins,
    written,
)
from textmod_console.store.standing import in_order

_CARD: Final = (
    select(items, claims.c.reviewer, claims.c.until)
    .outerjoin(claims, (claims.c.item_id == items.c.id) & (claims.c.until > bindparam("now")))
    .where(items.c.item == bindparam("name"))
)


def card(connection: Connection, item: str, now: datetime) -> Card:
    """Return one item. Raises NotFoundError."""
    row = connection.execute(_CARD, {"name": item, "now": micros(now)}).first()
    if row is None:
        raise NotFoundError("there is no such item in the queue.")
    until = None if row.until is None else moment(row.until)
    return _card(row, _decided(connection, row), row.reviewer, until)


def claimed(connection: Connection, row: Row[Any], reviewer: str, now: datetime) -> Card:
    """Return the card of an item's row that the reviewer has just claimed."""
    return _card(row, _decided(connection, row), reviewer, now + LEASE)


def _decided(connection: Connection, row: Row[Any]) -> list[Decision]:
    if row.version == 0:  # the first decision raises the version
        return []
    return in_order(projection.decisions_of(connection, [row.item])[row.item])


def _card(
    row: Row[Any], decided: list[Decision], reviewer: str | None, until: datetime | None
) -> Card:
    request = ReviewRequested.model_validate_json(row.request)
    hidden = request.blind and not any(one.judges for one in decided)
    return Card(
        item=row.item,
        text=row.text,
        author=row.author,
        context=row.context,
        reasons=request.reasons,
        hold=row.hold,
        blind=request.blind,
        due=request.due,
        label=request.label,
        scores=None if hidden else request.scores,
        explanation=None if hidden else request.explanation,
        action=None if hidden else request.action,
        policies=tuple(dict.fromkeys(one.policy for one in request.reasons if one.policy)),
        version=row.version,
        claimed_until=until,
        claimed_by=reviewer,
        decided=tuple(decided),
        requested_at=request.at,
        appeal=row.appeal,
        truncated_from=request.truncated_from,
    )


def history(connection: Connection, item: str) -> list[Entry]:
    """Return what happened to an item, oldest first. Raises NotFoundError."""
    row = connection.execute(select(items.c.request).where(items.c.item == item)).first()
    decided = projection.decisions_of(connection, [item])[item]
    appealed = projection.appeals_of(connection, [item])[item]
    if row is None and not decided and not appealed:
        raise NotFoundError("there is no such item.")
    found: list[Entry] = []
    if row is not None:
        request = ReviewRequested.model_validate_json(row.request)
        kinds = ", ".join(dict.fromkeys(reason.kind for reason in request.reasons))
        detail = {"selection": plain(request.selection), "model": request.model}
        found.append(Entry(request.at, "Requested", None, kinds, detail))
    found += [
        Entry(one.at, "Decision", one.actor, one.decision, plain(one)) for one in in_order(decided)
    ]
    found += [
        Entry(appeal.at, "Appeal", appeal.by, appeal.reason, plain(appeal)) for appeal in appealed
    ]
    return sorted(found, key=lambda entry: (entry.kind != "Requested", entry.at))


def counts(connection: Connection, now: datetime) -> QueueCounts:
    """Return how much there is to do. Counts the open items one by one: keep the answer a while."""
    is_open = items.c.state == written(State.OPEN)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return QueueCounts(
        open=_count(connection, is_open),
        # By the rank, not by `hold`: so the index alone answers.
        held=_count(connection, is_open & (items.c.rank == written(Rank.HELD))),
        claimed=_count(connection, claims.c.until > micros(now)),
        decided_today=_count(
            connection, (decisions.c.at >= micros(midnight)) & (decisions.c.decision != "Skip")
        ),
        escalated=_count(connection, items.c.state == written(State.ESCALATED)),
        silent_since=arrival.silent_since(connection, now),
    )


def _count(connection: Connection, which: ColumnElement[bool]) -> int:
    return int(connection.execute(select(func.count()).where(which)).scalar_one())


def scores_since(connection: Connection, since: datetime) -> Histogram:
    """Return the scores of the items requested since then, to the hour."""
    query = select(score_bins).where(score_bins.c.hour >= micros(since) // MICROS_PER_HOUR)
    found: dict[str, list[float]] = defaultdict(lambda: [0.0] * projection.BINS)
    for row in connection.execute(query):
        found[row.label][row.bin] += row.weight
    return Histogram(since, {label: tuple(bins) for label, bins in sorted(found.items())})


def escalated(connection: Connection, limit: int) -> list[str]:
    """Return the items that wait for a lead, the oldest first."""
    query = (
        select(items.c.item)
        .where(items.c.state == written(State.ESCALATED))
        .order_by(items.c.order_at)
        .limit(limit)
    )
    return list(connection.scalars(query))
