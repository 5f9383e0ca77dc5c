"""The order of the queue, and claims with a lease.

An item is one reviewer's as long as its claim lasts. The claim's primary key is the item, so two
transactions that pick the same one can't both keep it; on Postgres a locked row is passed over.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, select

from textmod_console.desk import LEASE
from textmod_console.errors import ClaimedByAnotherError
from textmod_console.store.projection import insert_into
from textmod_console.store.schema import Lane, State, absences, claims, items, micros, written

RANDOM_SHARE = 0.125
"""One card in eight is of the random sample while both lanes have some: held items come first, but
a sample that is not reviewed measures nothing."""


def own(
    connection: Connection, reviewer: str, now: datetime, skip: Collection[str] = ()
) -> str | None:
    """Return the item that the reviewer has claimed already, the oldest claim first."""
    query = (
        select(items.c.item)
        .join(claims, claims.c.item_id == items.c.id)
        .where(
            claims.c.reviewer == reviewer,
            claims.c.until > micros(now),
            items.c.state == State.OPEN,
            items.c.item.not_in(skip),
        )
        .order_by(claims.c.until, items.c.id)
        .limit(1)
    )
    return connection.execute(query).scalar()


def pick(
    connection: Connection, reviewer: str, now: datetime, lane: Lane, skip: Collection[str] = ()
) -> str | None:
    """Claim the first item of a lane that is free for the reviewer; None if there is none."""
    for _ in range(8):  # another transaction may take what this one sees as free
        found = connection.execute(_first(reviewer, now, lane, skip)).first()
        if found is None:
            return None
        if hold(connection, found.id, reviewer, now):
            return str(found.item)
    return None


def _first(reviewer: str, now: datetime, lane: Lane, skip: Collection[str]) -> Select[int, str]:
    return (
        select(items.c.id, items.c.item)
        .where(
            items.c.state == written(State.OPEN),
            items.c.lane == written(lane),
            ~_claimed(now),
            ~_absent(reviewer, now),
            *([items.c.item.not_in(skip)] if skip else []),
        )
        .order_by(items.c.rank, items.c.order_at, items.c.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=items)
    )


def _claimed(now: datetime) -> ColumnElement[bool]:
    return exists().where(claims.c.item_id == items.c.id, claims.c.until > micros(now))


def _absent(reviewer: str, now: datetime) -> ColumnElement[bool]:
    return exists().where(
        absences.c.item == items.c.item,
        absences.c.reviewer == reviewer,
        absences.c.until > micros(now),
    )


def hold(connection: Connection, item_id: int, reviewer: str, now: datetime) -> bool:
    """Claim an item or renew the claim; False if somebody else holds it."""
    until = micros(now + LEASE)
    statement = insert_into(connection, claims).values(
        item_id=item_id, reviewer=reviewer, until=until
    )
    statement = statement.on_conflict_do_update(
        index_elements=["item_id"],
        set_={"reviewer": reviewer, "until": until},
        where=(claims.c.until <= micros(now)) | (claims.c.reviewer == reviewer),
    )
    # No row is returned where the condition did not hold.
    return connection.execute(statement.returning(claims.c.item_id)).first() is not None


def holds(connection: Connection, item: str, reviewer: str, now: datetime) -> bool:
    """Tell whether the item is the reviewer's at the moment."""
    query = (
        select(claims.c.item_id)
        .join(items, items.c.id == claims.c.item_id)
        .where(items.c.item == item, claims.c.reviewer == reviewer, claims.c.until > micros(now))
    )
    return connection.execute(query).first() is not None


def require(connection: Connection, item_id: int, reviewer: str, now: datetime) -> None:
    """Claim an item or renew the claim. Raises ClaimedByAnotherError."""
    if not hold(connection, item_id, reviewer, now):
        message = "another reviewer is working on this item: take the next one."
        raise ClaimedByAnotherError(message)


def release(connection: Connection, item: str, reviewer: str) -> bool:
    """Give a claim back; False if the reviewer holds none."""
    found = select(items.c.id).where(items.c.item == item).scalar_subquery()
    query = delete(claims).where(claims.c.item_id == found, claims.c.reviewer == reviewer)
    return connection.execute(query).rowcount == 1


def expire(connection: Connection, now: datetime) -> int:
    """Delete expired claims and absences, which have no effect any more."""
    gone = connection.execute(delete(claims).where(claims.c.until <= micros(now))).rowcount
    connection.execute(delete(absences).where(absences.c.until <= micros(now)))
    return gone
