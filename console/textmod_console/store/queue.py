"""The order of the queue, and claims with a lease.

An item is one reviewer's as long as its claim lasts. The claim's primary key is the item, so two
transactions that pick the same one can't both keep it; on Postgres a locked row is passed over.
"""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, delete, exists, select
from sqlalchemy.sql.dml import ReturningInsert

from textmod_console.desk import LEASE
from textmod_console.errors import ClaimedByAnotherError
from textmod_console.store.projection import insert_for
from textmod_console.store.schema import Lane, State, absences, claims, items, micros, written

RANDOM_SHARE = 0.125
"""One card in eight is of the random sample while both lanes have some: held items come first, but
a sample that is not reviewed measures nothing."""
_CLAIMED: Final = "another reviewer is working on this item: take the next one."

# Statements of every request are made once: making one costs more than running it.


def own(
    connection: Connection, reviewer: str, now: datetime, skip: Collection[str] = ()
) -> str | None:
    """Return the item that the reviewer has claimed already, the oldest claim first."""
    return connection.execute(_own(bool(skip)), _given(reviewer, now, skip)).scalar()


@cache
def _own(skipping: bool) -> Select[str]:
    return (
        select(items.c.item)
        .join(claims, claims.c.item_id == items.c.id)
        .where(
            claims.c.reviewer == bindparam("reviewer"),
            claims.c.until > bindparam("now"),
            items.c.state == written(State.OPEN),
            *_others(skipping),
        )
        .order_by(claims.c.until, items.c.id)
        .limit(1)
    )


def _given(reviewer: str, now: datetime, skip: Collection[str]) -> dict[str, Any]:
    given: dict[str, Any] = {"reviewer": reviewer, "now": micros(now)}
    return given | {"skip": list(skip)} if skip else given


def _others(skipping: bool) -> list[ColumnElement[bool]]:
    return [items.c.item.not_in(bindparam("skip", expanding=True))] if skipping else []


def pick(
    connection: Connection, reviewer: str, now: datetime, lane: Lane, skip: Collection[str] = ()
) -> Row[Any] | None:
    """Claim the first item of a lane that is free for the reviewer; None if there is none."""
    for _ in range(8):  # another transaction may take what this one sees as free
        given = _given(reviewer, now, skip)
        found = connection.execute(_first(lane, bool(skip)), given).first()
        if found is None:
            return None
        if hold(connection, found.id, reviewer, now):
            return found
    return None


@cache
def _first(lane: Lane, skipping: bool) -> Select[Any]:
    claimed = exists().where(claims.c.item_id == items.c.id, claims.c.until > bindparam("now"))
    absent = exists().where(
        absences.c.item == items.c.item,
        absences.c.reviewer == bindparam("reviewer"),
        absences.c.until > bindparam("now"),
    )
    return (
        select(items)
        .where(
            items.c.state == written(State.OPEN),
            items.c.lane == written(lane),
            ~claimed,
            ~absent,
            *_others(skipping),
        )
        .order_by(items.c.rank, items.c.order_at, items.c.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=items)
    )


def hold(connection: Connection, item_id: int, reviewer: str, now: datetime) -> bool:
    """Claim an item or renew the claim; False if somebody else holds it."""
    given = {
        "item_id": item_id,
        "reviewer": reviewer,
        "until": micros(now + LEASE),
        "now": micros(now),
    }
    # No row is returned where the condition did not hold.
    return connection.execute(_hold(connection.dialect.name), given).first() is not None


@cache
def _hold(dialect: str) -> ReturningInsert[int]:
    statement = insert_for(dialect, claims)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["item_id"],
        set_={"reviewer": new.reviewer, "until": new.until},
        where=(claims.c.until <= bindparam("now")) | (claims.c.reviewer == new.reviewer),
    ).returning(claims.c.item_id)


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
        raise ClaimedByAnotherError(_CLAIMED)


_GIVE_UP: Final = delete(claims).where(
    claims.c.item_id == bindparam("id"),
    (claims.c.reviewer == bindparam("by")) | (claims.c.until <= bindparam("now")),
)
_HELD: Final = select(claims.c.item_id).where(claims.c.item_id == bindparam("id"))


def give_up(connection: Connection, item_id: int, reviewer: str, now: datetime) -> None:
    """Delete the claim on an item whose row is locked. Raises ClaimedByAnotherError."""
    given = {"id": item_id, "by": reviewer, "now": micros(now)}
    deleted = connection.execute(_GIVE_UP, given).rowcount
    if not deleted and connection.execute(_HELD, {"id": item_id}).first() is not None:
        raise ClaimedByAnotherError(_CLAIMED)


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
