"""Accept a decision and undo it, each in one transaction with its outbox row."""

import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import version as installed_version
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, select

from textmod_console.desk import UNDO, Answer
from textmod_console.errors import (
    InvalidAnswerError,
    NotFoundError,
    OutdatedError,
    TooLateError,
)
from textmod_console.events import (
    DECISION,
    Appeal,
    Decision,
    ReviewRequested,
    Seen,
    Tool,
    labels_of,
)
from textmod_console.policies import InForce
from textmod_console.store import outbox, projection, queue
from textmod_console.store.schema import State, decisions, items, moment
from textmod_console.store.standing import later
from textmod_console.store.statements import statement

TOOL: Final = "textmod-console"
MAX_NOTE: Final = 2_000
"""Characters of a note or a reason; more is refused."""
LARGEST_EVENT: Final = 900_000
"""Bytes of a decision's event. Kafka takes a million for a message and its headers: one that it
refuses would be tried again for ever, and every later one would wait behind it."""

_LOCKED: Final = select(items).where(items.c.item == bindparam("name")).with_for_update()


def new_id() -> str:
    """Return a new decision's id."""
    return str(uuid.uuid4())


def locked(connection: Connection, item: str) -> Row[Any]:
    """Return the item's row, locked until the transaction ends. Raises NotFoundError."""
    row = connection.execute(_LOCKED, {"name": item}).first()
    if row is None:
        raise NotFoundError("there is no such item in the queue.")
    return row


def decide(
    connection: Connection,
    item: str,
    reviewer: str,
    answer: Answer,
    *,
    version: int,
    now: datetime,
    make_id: Callable[[], str] = new_id,
    policies: InForce | None = None,
) -> Decision:
    """Accept a reviewer's decision.

    Raises:
        NotFoundError: no such item, or its text is erased.
        ClaimedByAnotherError: somebody else holds the item.
        OutdatedError: the item has changed since version `version`.
        InvalidAnswerError: the answer makes no sense for this item.

    Args:
        policies: those in force, for statements of reasons; None: not known.
    """
    row = locked(connection, item)
    if row.state == State.ERASED:
        raise NotFoundError("the item's text was erased, so it can't be decided any more.")
    queue.give_up(connection, row.id, reviewer, now)
    if row.version != version:
        message = "the item has changed since it was shown: look at it again."
        raise OutdatedError(message)
    _check(answer, row)
    known, appealed = _history(connection, row)
    at = _after_the_last(known, now)
    decision = _decision(row, reviewer, answer, now=at, made=make_id(), policies=policies)
    body = _body(decision)
    projection.add_decision(connection, row, decision, body, known=known, appealed=appealed)
    _publish(connection, decision, body, now + UNDO)
    return decision


def repeated(
    connection: Connection,
    item: str,
    reviewer: str,
    answer: Answer,
    *,
    version: int,
    now: datetime,
) -> Decision | None:
    """Return the decision that this answer has made already; None if there is none.

    A form that is sent twice, by a double click or after an answer that was lost, is one decision.
    """
    row = locked(connection, item)
    known = projection.decisions_of(connection, [item])[item]
    last = max(known, key=lambda one: (one.at, one.id), default=None)
    if last is None or row.version != version + 1 or later(last.at, UNDO) <= now:
        return None
    given = (reviewer, answer.decision, answer.reason or None, answer.note or None)
    return last if (last.actor, last.decision, last.reason, last.note) == given else None


def _history(connection: Connection, row: Row[Any]) -> tuple[list[Decision], list[Appeal]]:
    """Return the decisions and appeals of an item whose row is locked."""
    if row.version == 0:  # the first of either raises the version
        return [], []
    decided = projection.decisions_of(connection, [row.item])
    return decided[row.item], projection.appeals_of(connection, [row.item])[row.item]


def _after_the_last(known: Iterable[Decision], now: datetime) -> datetime:
    """Return the moment, after the item's latest decision even where the clock was set back."""
    last = max((one.at for one in known), default=None)
    return now if last is None else max(now, later(last, timedelta(microseconds=1)))


def keep(connection: Connection, decision: Decision, not_before: datetime) -> bool:
    """Store a decision and its outbox row; False if its id is known. Raises InvalidAnswerError."""
    body = _body(decision)
    if not projection.take_decisions(connection, [(decision, body, None)]):
        return False
    _publish(connection, decision, body, not_before)
    return True


def _body(decision: Decision) -> str:
    """Return the event's value. Raises InvalidAnswerError for one that Kafka would not take."""
    value = decision.value()
    if len(value) > LARGEST_EVENT:
        message = f"the decision has more than {LARGEST_EVENT:,} bytes: shorten its note."
        raise InvalidAnswerError(message)
    return value.decode()


def _publish(connection: Connection, decision: Decision, body: str, not_before: datetime) -> None:
    outbox.add(
        connection,
        ce_type=DECISION,
        ce_id=decision.id,
        key=decision.item,
        value=body,
        at=decision.at,
        not_before=not_before,
    )


def _check(answer: Answer, row: Row[Any]) -> None:
    for name, value in (("note", answer.note), ("reason", answer.reason)):
        if value is not None and len(value) > MAX_NOTE:
            raise InvalidAnswerError(f"the {name} has more than {MAX_NOTE} characters: shorten it.")
        if value is not None and "\x00" in value:
            raise InvalidAnswerError(f"the {name} holds a NUL character: leave it out.")
    if (answer.appeal is None) != (answer.outcome is None):
        raise InvalidAnswerError("an appeal and its outcome belong together: give both or neither.")
    if answer.appeal is not None and answer.appeal != row.appeal:
        raise InvalidAnswerError("this item has no such appeal that is open.")
    if answer.milliseconds is not None and answer.milliseconds < 0:
        raise InvalidAnswerError("milliseconds must not be negative.")


def _decision(
    row: Row[Any],
    reviewer: str,
    answer: Answer,
    *,
    now: datetime,
    made: str,
    policies: InForce | None,
) -> Decision:
    request = ReviewRequested.model_validate_json(row.request)
    asking = [reason.policy for reason in request.reasons if reason.policy]
    policy = answer.policy or (asking[0] if asking else None)
    return Decision(
        id=made,
        item=row.item,
        decision=answer.decision,
        labels=labels_of(answer.decision, request.label),
        policy=policy,
        reason=answer.reason or None,
        note=answer.note or None,
        actor=reviewer,
        actor_kind="Human",
        tool=tool(),
        seen=Seen(score=answer.seen_score, explanation=answer.seen_explanation),
        milliseconds=answer.milliseconds,
        supersedes=row.standing,
        at=now,
        appeal=answer.appeal,
        outcome=answer.outcome,
        statement_of_reasons=statement(request, answer.decision, policy, policies),
        **copied(request, row.text_sha256),
    )


@cache
def tool() -> Tool:
    """Return the name and version of this program for a decision."""
    return Tool(name=TOOL, version=installed_version("textmoderation"))


def copied(request: ReviewRequested, text_sha256: str) -> dict[str, Any]:
    """Return the fields that a decision copies from its request."""
    return {
        "selection": request.selection,
        "action": request.action,
        "flagged": request.flagged,
        "model": request.model,
        "policy_version": request.policy_version,
        "text_sha256": text_sha256,
        "requested_at": request.at,
        "scores": request.scores,
    }


def undo(connection: Connection, decision_id: str, reviewer: str, now: datetime) -> Decision:
    """Delete a reviewer's own decision within `UNDO`; returns it.

    Raises:
        NotFoundError: the reviewer made no such decision.
        TooLateError: ten seconds have passed, or it is being published.
    """
    row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).first()
    if row is None or row.actor != reviewer:
        raise NotFoundError("you made no such decision.")
    message = "the decision is published: decide again to replace it."
    if later(moment(row.at), UNDO) <= now:
        raise TooLateError(message)
    item = connection.execute(
        select(items.c.id).where(items.c.item == row.item).with_for_update()
    ).scalar()
    if not outbox.withdraw(connection, decision_id):
        raise TooLateError(message)
    replacing = connection.execute(
        select(decisions.c.id).where(decisions.c.item == row.item, decisions.c.at > row.at)
    ).first()
    if replacing is not None:
        raise TooLateError("the item was decided again since: decide again to replace that.")
    connection.execute(delete(decisions).where(decisions.c.id == decision_id))
    projection.forget_absence(connection, row.item, reviewer)
    projection.restand(connection, [row.item])
    if item is not None:
        queue.hold(connection, item, reviewer, now)
    return Decision.model_validate_json(row.body)
