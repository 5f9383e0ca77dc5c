"""Store the events of both topics, in one transaction with their offsets.

An item counts once by its name, a decision and an appeal once by their ids, however often they were
written; an item's state does not depend on the order (`standing`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.dml import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite.dml import Insert as SqliteInsert
from sqlalchemy.schema import Table

from textmod_console.events import Appeal, Decision, ReviewRequested
from textmod_console.store.schema import (
    MICROS_PER_HOUR,
    Lane,
    Rank,
    State,
    absences,
    appeals,
    claims,
    decisions,
    items,
    micros,
    positions,
    score_bins,
)
from textmod_console.store.standing import absent_until, standing

BINS = 64
"""Of a score between 0 and 1."""
LONGEST_REVIEWER: Final = 500
"""Bytes of a name in an index beside an item's."""
LONGEST_AUTHOR: Final = 500
"""Characters. The model server writes fewer."""

# Statements of every request are made once: making one costs more than running it.
_ADD_DECISION: Final = insert(decisions)
_RESTAND: Final = (
    update(items)
    .where(items.c.id == bindparam("of_id"), items.c.state != State.ERASED)
    .values(
        state=bindparam("new_state"),
        standing=bindparam("new_standing"),
        appeal=bindparam("new_appeal"),
        version=items.c.version + 1,
    )
)
_DECISIONS_OF: Final = select(decisions.c.item, decisions.c.body).where(
    decisions.c.item.in_(bindparam("names", expanding=True))
)
_APPEALS_OF: Final = select(appeals.c.item, appeals.c.body).where(
    appeals.c.item.in_(bindparam("names", expanding=True))
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is in its topic."""

    partition: int
    offset: int


def insert_into(connection: Connection, table: Table) -> "PostgresInsert | SqliteInsert":
    """Return the INSERT of the connection's dialect, which has an ON CONFLICT."""
    return insert_for(connection.dialect.name, table)


def insert_for(dialect: str, table: Table) -> "PostgresInsert | SqliteInsert":
    """Return the dialect's INSERT, which has an ON CONFLICT."""
    if dialect == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def take_requests(
    connection: Connection, requests: Sequence[tuple[ReviewRequested, Place]]
) -> list[str]:
    """Put the items that are new into the queue. Returns their names."""
    latest = {request.item: (request, place) for request, place in requests}
    known = _known(connection, latest)
    fresh = [latest[item] for item in latest if item not in known]
    if fresh:
        connection.execute(insert(items), [_row(request, place) for request, place in fresh])
        _count_scores(connection, [request for request, _ in fresh])
        # Decisions may be here before their item: both topics are read side by side.
        restand(connection, _decided(connection, [request.item for request, _ in fresh]))
    if known:  # written again: retention erases them later
        connection.execute(
            update(items)
            .where(
                items.c.item == bindparam("of_item"),
                items.c.partition == bindparam("at_partition"),
                items.c.offset < bindparam("at_offset"),
            )
            .values(offset=bindparam("at_offset")),
            [{"of_item": item, **_at(latest[item][1])} for item in known],
        )
    return [request.item for request, _ in fresh]


def _at(place: Place) -> dict[str, int]:
    return {"at_partition": place.partition, "at_offset": place.offset}


def _known(connection: Connection, names: Iterable[str]) -> set[str]:
    return set(connection.scalars(select(items.c.item).where(items.c.item.in_(list(names)))))


def _decided(connection: Connection, names: list[str]) -> set[str]:
    found = set(connection.scalars(select(decisions.c.item).where(decisions.c.item.in_(names))))
    return found | set(connection.scalars(select(appeals.c.item).where(appeals.c.item.in_(names))))


def _row(request: ReviewRequested, place: Place) -> dict[str, object]:
    kept = request.model_copy(update={"text": "", "author": None, "context": None})
    lane = Lane.RANDOM if request.blind else Lane.ASKED
    rank = Rank.HELD if request.hold else Rank.DUE if request.due else Rank.OTHER
    return {
        "item": request.item,
        "text": _storable(request.text),
        "author": stored_author(request.author),
        "context": _storable(request.context),
        "text_sha256": hashlib.sha256(request.text.encode()).hexdigest(),
        "request": kept.value().decode(),
        "requested_at": micros(request.at),
        "state": State.OPEN,
        "lane": lane,
        "rank": rank,
        "order_at": micros(request.due or request.at),
        "hold": request.hold,
        "version": 0,
        "standing": None,
        "appeal": None,
        "partition": place.partition,
        "offset": place.offset,
    }


def stored_author(author: str | None) -> str | None:
    """Return an author's name as it is stored: an index of Postgres holds 2,704 bytes a row."""
    return _storable(None if author is None else author[:LONGEST_AUTHOR])


def _storable(value: str | None) -> str | None:
    """Postgres holds every character but NUL; U+2400 is how it is shown anyway."""
    return None if value is None else value.replace("\x00", "\N{SYMBOL FOR NULL}")


def _count_scores(connection: Connection, requests: Iterable[ReviewRequested]) -> None:
    weights: defaultdict[tuple[int, str, int], float] = defaultdict(float)
    for request in requests:
        hour = micros(request.at) // MICROS_PER_HOUR
        for label, score in request.scores.items():
            place = min(BINS - 1, int(min(1.0, max(0.0, score)) * BINS))
            weights[hour, label, place] += 1 / request.selection.probability
    rows = [
        {"hour": hour, "label": label, "bin": place, "weight": weight}
        for (hour, label, place), weight in sorted(weights.items())
    ]
    if rows:
        statement = insert_into(connection, score_bins)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["hour", "label", "bin"],
                set_={"weight": score_bins.c.weight + statement.excluded.weight},
            ),
            rows,
        )


def take_decisions(
    connection: Connection, found: Sequence[tuple[Decision, str, Place | None]]
) -> int:
    """Add decisions with their bodies, read (with their place) or accepted here.

    Those whose id is known are not added again; a decision accepted here gets its place.

    Returns:
        how many were new.
    """
    given = {one[0].id: one for one in reversed(found)}  # the first of an id counts
    query = select(decisions.c.id).where(decisions.c.id.in_(list(given)))
    known = set(connection.scalars(query))
    fresh = [given[one] for one in given if one not in known]
    if fresh:
        connection.execute(insert(decisions), [_decision_row(*one) for one in fresh])
        restand(connection, {decision.item for decision, _, _ in fresh})
        _note_absences(connection, [decision for decision, _, _ in fresh])
    placed = [{"of_id": one, **_at(place)} for one in known if (place := given[one][2]) is not None]
    if placed:
        connection.execute(
            update(decisions)
            .where(decisions.c.id == bindparam("of_id"), decisions.c.offset.is_(None))
            .values(partition=bindparam("at_partition"), offset=bindparam("at_offset")),
            placed,
        )
    return len(fresh)


def add_decision(
    connection: Connection,
    row: Row[Any],
    decision: Decision,
    body: str,
    *,
    known: Sequence[Decision],
    appealed: Sequence[Appeal],
) -> None:
    """Add one new decision on the item of a locked row, with all of its others given."""
    connection.execute(_ADD_DECISION, _decision_row(decision, body, None))
    connection.execute(_RESTAND, _standing_row(row.id, [*known, decision], appealed))
    _note_absences(connection, [decision])


def _decision_row(decision: Decision, body: str, place: Place | None) -> dict[str, object]:
    return {
        "id": decision.id,
        "item": decision.item,
        "decision": decision.decision,
        "actor": decision.actor,
        "actor_kind": decision.actor_kind,
        "at": micros(decision.at),
        "requested_at": micros(decision.requested_at) if decision.requested_at else None,
        "body": body,
        "partition": place.partition if place else None,
        "offset": place.offset if place else None,
    }


def _note_absences(connection: Connection, found: Iterable[Decision]) -> None:
    rows = [
        {"item": one.item, "reviewer": one.actor, "until": micros(until)}
        for one in found
        if (until := absent_until(one)) is not None and len(one.actor.encode()) <= LONGEST_REVIEWER
    ]
    if rows:
        statement = insert_into(connection, absences)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["item", "reviewer"], set_={"until": statement.excluded.until}
            ),
            rows,
        )


def forget_absence(connection: Connection, item: str, reviewer: str) -> None:
    """Forget that the reviewer skipped the item."""
    connection.execute(
        delete(absences).where(absences.c.item == item, absences.c.reviewer == reviewer)
    )


def take_appeal(connection: Connection, appeal: Appeal, body: str) -> bool:
    """Take in an appeal, which opens its item again; False if it is known already."""
    statement = insert_into(connection, appeals).values(
        appeal=appeal.appeal, item=appeal.item, at=micros(appeal.at), body=body
    )
    added = statement.on_conflict_do_nothing().returning(appeals.c.appeal)
    if connection.execute(added).first() is None:
        return False
    restand(connection, [appeal.item])
    return True


def restand(connection: Connection, names: Collection[str]) -> None:
    """Recompute the state of these items from their decisions and appeals."""
    # Lock first, so that decisions of a concurrent transaction are read, not overwritten.
    query = select(items.c.id, items.c.item).where(items.c.item.in_(names)).order_by(items.c.id)
    rows = connection.execute(query.with_for_update()).all()
    if not rows:
        return
    decided = decisions_of(connection, [row.item for row in rows])
    appealed = appeals_of(connection, [row.item for row in rows])
    changed = [
        _standing_row(row.id, decided.get(row.item, ()), appealed.get(row.item, ())) for row in rows
    ]
    connection.execute(_RESTAND, changed)
    closed = [one["of_id"] for one in changed if one["new_state"] is not State.OPEN]
    if closed:
        connection.execute(delete(claims).where(claims.c.item_id.in_(closed)))


def _standing_row(
    item_id: int, decided: Iterable[Decision], appealed: Iterable[Appeal]
) -> dict[str, object]:
    found = standing(decided, appealed)
    return {
        "of_id": item_id,
        "new_state": found.state,
        "new_standing": found.decision,
        "new_appeal": found.appeal,
    }


def decisions_of(connection: Connection, names: Collection[str]) -> dict[str, list[Decision]]:
    """Return the items' decisions, in no order."""
    found: dict[str, list[Decision]] = defaultdict(list)
    for row in connection.execute(_DECISIONS_OF, {"names": list(names)}):
        found[row.item].append(Decision.model_validate_json(row.body))
    return found


def appeals_of(connection: Connection, names: Collection[str]) -> dict[str, list[Appeal]]:
    """Return the items' appeals, in no order."""
    found: dict[str, list[Appeal]] = defaultdict(list)
    for row in connection.execute(_APPEALS_OF, {"names": list(names)}):
        found[row.item].append(Appeal.model_validate_json(row.body))
    return found


# --- erasing texts -------------------------------------------------------------------------------


def erase(connection: Connection, names: Sequence[str]) -> int:
    """Erase the texts of these items; their decisions stay. Returns how many."""
    return _erase(connection, items.c.item.in_(names)) if names else 0


def erase_before(connection: Connection, partition: int, log_start: int) -> int:
    """Erase the texts that the review topic's retention has removed. Returns how many."""
    return _erase(connection, (items.c.partition == partition) & (items.c.offset < log_start))


def _erase(connection: Connection, which: object) -> int:
    ids = list(
        connection.scalars(
            select(items.c.id).where(which, items.c.text.is_not(None)).limit(10_000)  # type: ignore[arg-type]
        )
    )
    if ids:
        # Lock items before their claims, in the order of a decision: otherwise the two deadlock.
        locked = select(items.c.id).where(items.c.id.in_(ids)).order_by(items.c.id)
        connection.execute(locked.with_for_update())
        connection.execute(delete(claims).where(claims.c.item_id.in_(ids)))
        connection.execute(
            update(items)
            .where(items.c.id.in_(ids))
            .values(text=None, author=None, context=None, version=items.c.version + 1)
        )
        # An item without a text can't be decided any more; a decided item stays decided.
        connection.execute(
            update(items)
            .where(items.c.id.in_(ids), items.c.state != State.DECIDED)
            .values(state=State.ERASED)
        )
    return len(ids)


# --- offsets -------------------------------------------------------------------------------------


def next_offsets(connection: Connection, topic: str) -> dict[int, int]:
    """Return the offset to continue from, by partition."""
    query = select(positions.c.partition, positions.c.next_offset).where(positions.c.topic == topic)
    return {row.partition: row.next_offset for row in connection.execute(query)}


def move_to(connection: Connection, topic: str, offsets: Mapping[int, int]) -> None:
    """Store the offset to continue from, by partition."""
    rows = [
        {"topic": topic, "partition": partition, "next_offset": offset}
        for partition, offset in offsets.items()
    ]
    if rows:
        statement = insert_into(connection, positions)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["topic", "partition"],
                set_={"next_offset": statement.excluded.next_offset},
            ),
            rows,
        )
