"""Read decisions from the database and add them to it, for the commands `export` and `import`."""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, func, select

from textmod_console.errors import InvalidAnswerError, sentences
from textmod_console.events import Decision, ReviewRequested, labels_of
from textmod_console.exchange import Exported, Given
from textmod_console.store import deciding
from textmod_console.store.schema import decisions, items, micros

_NAMESPACE: Final = uuid.UUID("6f0c4a34-6d0b-4d6b-9f7e-0c8a52a3f7d1")


def count(connection: Connection, since: datetime | None) -> int:
    """Return how many decisions `rows` yields."""
    query = select(func.count()).select_from(decisions)
    if since is not None:
        query = query.where(decisions.c.at >= micros(since))
    return int(connection.execute(query).scalar_one())


def rows(connection: Connection, since: datetime | None, *, texts: bool) -> Iterator[Exported]:
    """Yield decisions, by item and in the order in which they were made."""
    query = (
        select(decisions.c.body, items.c.request, items.c.text)
        .select_from(decisions.outerjoin(items, items.c.item == decisions.c.item))
        .order_by(decisions.c.item, decisions.c.at, decisions.c.id)
        .execution_options(yield_per=500)
    )
    if since is not None:
        query = query.where(decisions.c.at >= micros(since))
    for row in connection.execute(query):
        decision = Decision.model_validate_json(row.body)
        label = None
        if row.request is not None:
            label = ReviewRequested.model_validate_json(row.request).label
        yield Exported(decision, label, row.text if texts else None)


@dataclass
class Imported:
    """What an import did."""

    added: int = 0
    known: int = 0
    """Decisions that the database had already, from an earlier import or from its own console."""
    refused: list[str] = field(default_factory=list)
    """A sentence for each decision that could not be added."""


def take(connection: Connection, given: Iterable[Given], now: datetime, found: Imported) -> None:
    """Add the decisions of a file; each once, however often it is imported."""
    for one in given:
        row = connection.execute(select(items).where(items.c.item == one.item)).first()
        if row is None and not one.labels and one.decision in {"Approve", "Remove"}:
            found.refused.append(
                f"{one.place}: there is no such item, and the file names no labels for it."
            )
            continue
        try:
            decision = _decision(one, row, now)
        except ValidationError as error:
            found.refused.append(f"{one.place}: {' '.join(sentences(error))}")
            continue
        decision = _new(connection, one, decision, now)
        if _contradicts(one) and not _has(connection, decision.id):
            found.refused.append(
                f"{one.place}: the decision is {one.decision} and its label is"
                f" {next(iter(one.labels.values())):g}: change both, or leave the labels out."
            )
            continue
        try:
            added = deciding.keep(connection, decision, now)
        except InvalidAnswerError as error:
            found.refused.append(f"{one.place}: {error}")
            continue
        found.added += added
        found.known += not added


def _contradicts(one: Given) -> bool:
    """Tell whether the one label says the opposite: somebody changed the decision alone."""
    return len(one.labels) == 1 and any(
        {name: 1.0 - share} == labels_of(one.decision, name) for name, share in one.labels.items()
    )


def _has(connection: Connection, decision: str) -> bool:
    query = select(decisions.c.id).where(decisions.c.id == decision)
    return connection.scalar(query) is not None


def _new(connection: Connection, one: Given, decision: Decision, now: datetime) -> Decision:
    """Return a decision of its own if the line has the id of another.

    Somebody exported it, decided otherwise in the file, and imported that; or another tool numbers
    the rows of each of its files.
    """
    body = connection.scalar(select(decisions.c.body).where(decisions.c.id == decision.id))
    if body is None:
        return decision
    there = Decision.model_validate_json(body)
    if there.item != decision.item:
        return decision.model_copy(update={"id": _id(one)})
    if there.decision == decision.decision and (not one.labels or there.labels == one.labels):
        return decision
    return decision.model_copy(update={"id": _id(one), "at": now})


def _decision(one: Given, row: Any, now: datetime) -> Decision:  # noqa: ANN401 - a row
    request = None if row is None else ReviewRequested.model_validate_json(row.request)
    labels = dict(one.labels)
    if not labels and request is not None:
        labels = labels_of(one.decision, request.label)
    copied = {} if request is None else deciding.copied(request, row.text_sha256)
    return Decision(
        id=one.id or _id(one),
        item=one.item,
        decision=one.decision,
        labels=labels,
        note=one.note,
        reason=one.reason,
        actor=one.actor,
        actor_kind="Import",
        tool=deciding.tool(),
        at=one.at or now,
        **copied,
    )


def _id(one: Given) -> str:
    """Return an id that the same line has at every import."""
    at = one.at.isoformat() if one.at else None
    parts = [
        one.item,
        one.decision,
        sorted(one.labels.items()),
        one.actor,
        at,
        one.note,
        one.reason,
    ]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(parts)))
