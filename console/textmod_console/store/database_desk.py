"""The desk over a database: each of its methods is one transaction."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row

from textmod_console import metrics
from textmod_console.desk import Answer, AuditEntry, Card, Entry, Histogram, QueueCounts
from textmod_console.errors import OutdatedError
from textmod_console.events import Decision
from textmod_console.measurement import Quality
from textmod_console.policies import ReadPolicies, no_policies
from textmod_console.store import auditing, deciding, ended, queue, reading
from textmod_console.store.engine import Database
from textmod_console.store.kept import Kept
from textmod_console.store.schema import Lane

COUNTS_SECONDS: Final = 5.0
"""How long counts are kept: counting a million items takes a tenth of a second."""
SCORES_SECONDS: Final = 60.0


def now_utc() -> datetime:
    """Return the moment."""
    return datetime.now(UTC)


class DatabaseDesk:
    """A `desk.Desk` over SQLite or Postgres; may be used from several threads."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime] = now_utc,
        draw: Callable[[], float] = random.random,
        quality: Callable[[], Quality | None] = lambda: None,
        policies: ReadPolicies = no_policies,
    ) -> None:
        self._database = database
        self._now = clock
        self._draw = draw
        self._quality = quality
        self._policies = policies
        self._counts = Kept(COUNTS_SECONDS, self._count)
        self._scores = Kept(SCORES_SECONDS, self._read_scores)

    def next_card(self, reviewer: str, skip: frozenset[str] = frozenset()) -> Card | None:
        """Claim the next item for the reviewer; an open claim of the reviewer comes first."""
        with _timed("next_card"), self._database.write(grouped=True) as connection:
            now = self._now()
            item = queue.own(connection, reviewer, now, skip)
            if item is not None:
                row = _hold(connection, item, reviewer, now)
                return reading.claimed(connection, row, reviewer, now)
            lanes = [Lane.ASKED, Lane.RANDOM]
            if self._draw() < queue.RANDOM_SHARE:
                lanes.reverse()
            for lane in lanes:
                picked = queue.pick(connection, reviewer, now, lane, skip)
                if picked is not None:
                    return _newly_claimed(connection, picked, reviewer, now)
            return None

    def card(self, item: str, reviewer: str | None) -> Card:
        """Return one item, without claiming it. Raises NotFoundError."""
        del reviewer  # everybody sees the same
        with _timed("card"), self._database.read() as connection:
            return reading.card(connection, item, self._now())

    def claim(self, item: str, reviewer: str) -> Card:
        """Claim this item, or renew the claim. Raises NotFoundError, ClaimedByAnotherError."""
        with _timed("claim"), self._database.write(grouped=True) as connection:
            now = self._now()
            renewed = queue.holds(connection, item, reviewer, now)
            row = _hold(connection, item, reviewer, now)
            if renewed:
                return reading.claimed(connection, row, reviewer, now)
            return _newly_claimed(connection, row, reviewer, now)

    def release(self, item: str, reviewer: str) -> None:
        """Give a claim back; nothing happens if the reviewer holds none."""
        with _timed("release"), self._database.write(grouped=True) as connection:
            if queue.release(connection, item, reviewer):
                auditing.append(connection, self._now(), reviewer, "release", item=item)

    def decide(self, item: str, reviewer: str, answer: Answer, version: int) -> Decision:
        """Accept a decision: once this returns it is never lost."""
        in_force = self._policies()
        with _timed("decide"), self._database.write(grouped=True) as connection:
            now = self._now()
            try:
                decision = deciding.decide(
                    connection, item, reviewer, answer, version=version, now=now, policies=in_force
                )
            except OutdatedError:
                same = deciding.repeated(
                    connection, item, reviewer, answer, version=version, now=now
                )
                if same is None:
                    raise
                return same
            detail = {"decision": decision.decision, "id": decision.id}
            auditing.append(connection, now, reviewer, "decide", item=item, detail=detail)
        metrics.DECISIONS.labels(decision.decision).inc()
        return decision

    def undo(self, decision_id: str, reviewer: str) -> None:
        """Take a decision back within `UNDO`. Raises NotFoundError, TooLateError."""
        with _timed("undo"), self._database.write(grouped=True) as connection:
            now = self._now()
            decision = deciding.undo(connection, decision_id, reviewer, now)
            auditing.append(
                connection, now, reviewer, "undo", item=decision.item, detail={"id": decision_id}
            )

    def history(self, item: str) -> list[Entry]:
        """Return what happened to an item, oldest first. Raises NotFoundError."""
        with _timed("history"), self._database.read() as connection:
            return reading.history(connection, item)

    def counts(self) -> QueueCounts:
        """Return how much there is to do, a few seconds old at most."""
        return self._counts.value()

    def escalated(self, limit: int = 100) -> list[str]:
        """Return the items that wait for a lead, the oldest first."""
        with self._database.read() as connection:
            return reading.escalated(connection, limit)

    def audit(self, before: int | None, limit: int) -> list[AuditEntry]:
        """Return up to `limit` records older than number `before`, newest first."""
        with _timed("audit"), self._database.read() as connection:
            return auditing.page(connection, before, limit)

    def record(
        self, actor: str, act: str, item: str | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Append to the audit chain: a reveal, an export, a change of a setting."""
        with _timed("record"), self._database.write(grouped=True) as connection:
            auditing.append(connection, self._now(), actor, act, item=item, detail=detail)

    def end_session(self, person: str, session: str) -> None:
        """End one session of a person, in every browser that holds its cookie."""
        with _timed("record"), self._database.write(grouped=True) as connection:
            ended.end(connection, session, self._now())
            auditing.append(connection, self._now(), person, "sign-out")

    def end_sessions_of(self, person: str, actor: str) -> None:
        """End all sessions that a person has begun."""
        with _timed("record"), self._database.write(grouped=True) as connection:
            ended.end_all(connection, person, self._now())
            detail = {"person": person}
            auditing.append(connection, self._now(), actor, "sign-out-all", detail=detail)

    def has_ended(self, person: str, session: str, began: int) -> bool:
        """Whether a session was ended; it began at this Unix time in seconds."""
        with self._database.read() as connection:
            return ended.has_ended(connection, session, person, datetime.fromtimestamp(began, UTC))

    def quality(self) -> Quality | None:
        """Return the figures of the current window; None while there is nothing to measure."""
        return self._quality()

    def scores_of_the_day(self) -> Histogram:
        """Return the scores of the last 24 hours, a minute old at most."""
        return self._scores.value()

    def _count(self) -> QueueCounts:
        with self._database.read() as connection:
            return reading.counts(connection, self._now())

    def _read_scores(self) -> Histogram:
        with self._database.read() as connection:
            return reading.scores_since(connection, self._now() - timedelta(days=1))


def _hold(connection: Connection, item: str, reviewer: str, now: datetime) -> Row[Any]:
    """Claim the item or renew the claim. Raises NotFoundError, ClaimedByAnotherError."""
    row = deciding.locked(connection, item)
    queue.require(connection, row.id, reviewer, now)
    return row


def _newly_claimed(connection: Connection, row: Row[Any], reviewer: str, now: datetime) -> Card:
    """Return the card of an item that was claimed just now, and append the claim to the audit."""
    card = reading.claimed(connection, row, reviewer, now)
    auditing.append(connection, now, reviewer, "claim", item=row.item)
    return card


@contextmanager
def _timed(operation: str) -> Iterator[None]:
    with metrics.DESK_SECONDS.labels(operation).time():
        yield
