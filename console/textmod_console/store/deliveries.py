"""Decisions that wait to be sent to webhooks, one row for each webhook.

A row is added in the transaction that reads the decision from the feedback topic, and removed once
the webhook has accepted it or has refused it too often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from textmod_console.events import Decision
from textmod_console.settings import Webhook
from textmod_console.store.schema import decisions, deliveries, micros

FRESH: Final = timedelta(hours=24)
"""Older decisions are not sent when they are read: a database that is rebuilt reads all of them."""


@dataclass(frozen=True, slots=True)
class Due:
    """A decision to be sent now."""

    id: int
    decision: str
    """The decision's id."""
    body: str
    """The event's value, as it is in the topic; it holds no text."""
    attempts: int
    """That failed so far."""


class Subscriptions:
    """Which decisions which webhook gets.

    Args:
        hooks: the webhooks of the object.
        clock: the moment, with a time zone.
    """

    def __init__(
        self,
        hooks: Sequence[Webhook] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._hooks = hooks
        self._clock = clock

    def take(self, connection: Connection, found: Sequence[Decision]) -> None:
        """Add deliveries of decisions that were read from the topic for the first time."""
        if not self._hooks or not found:
            return
        now = self._clock()
        fresh = {
            one.id: one for one in found if one.actor_kind == "Human" and one.at >= now - FRESH
        }
        rows = {
            (hook.name, one.id): {
                "hook": hook.name, "decision": one.id, "attempts": 0, "not_before": micros(now)
            }
            for one in fresh.values()
            for hook in self._hooks
            if one.decision in hook.decisions
        }  # fmt: skip
        if not rows:
            return
        query = select(deliveries.c.hook, deliveries.c.decision).where(
            deliveries.c.decision.in_(list(fresh))
        )
        for row in connection.execute(query):
            rows.pop((row.hook, row.decision), None)
        if rows:
            connection.execute(insert(deliveries), list(rows.values()))


def due(connection: Connection, hook: str, now: datetime, limit: int) -> list[Due]:
    """Return the deliveries that are due for a webhook, the oldest first."""
    query = (
        select(deliveries.c.id, deliveries.c.decision, decisions.c.body, deliveries.c.attempts)
        .join(decisions, decisions.c.id == deliveries.c.decision)
        .where(deliveries.c.hook == hook, deliveries.c.not_before <= micros(now))
        .order_by(deliveries.c.not_before, deliveries.c.id)
        .limit(limit)
    )
    return [Due(row.id, row.decision, row.body, row.attempts) for row in connection.execute(query)]


def done(connection: Connection, delivery: int) -> None:
    """Remove a delivery: it was accepted, or given up."""
    connection.execute(delete(deliveries).where(deliveries.c.id == delivery))


def postpone(connection: Connection, delivery: int, attempts: int, not_before: datetime) -> None:
    """Note a failed attempt, and when the next one is due."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery)
        .values(attempts=attempts, not_before=micros(not_before))
    )


def waiting(connection: Connection, hook: str) -> int:
    """Return how many decisions wait for a webhook."""
    query = select(func.count()).select_from(deliveries).where(deliveries.c.hook == hook)
    return int(connection.execute(query).scalar_one())


def drop_others(connection: Connection, hooks: Sequence[str]) -> None:
    """Remove the deliveries of webhooks that the object no longer has."""
    connection.execute(delete(deliveries).where(deliveries.c.hook.not_in(list(hooks))))
