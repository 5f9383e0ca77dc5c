"""An item's state from its decisions and appeals. Pure, and independent of the order of reading.

Decisions arrive in another order than they were made: topics have partitions, and a decision is
published ten seconds late. So they are ordered by their own moments, then by their ids.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from textmod_console.events import Appeal, Decision
from textmod_console.store.schema import State

SKIPPED: Final = timedelta(hours=1)
"""How long an item is not given to somebody who skipped it."""
UNSURE: Final = timedelta(hours=24)
"""How long an item is not given to somebody who was unsure of it."""
_CLOSING: Final = {
    "Approve": State.DECIDED,
    "Remove": State.DECIDED,
    "Escalate": State.ESCALATED,
}
"""A skip and doubt leave the item open for others."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of an item after its decisions and appeals."""

    state: State
    decision: str | None
    """The id of the decision that counts."""
    appeal: str | None
    """The id of the oldest appeal that no decision names."""


def in_order(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions, oldest first."""
    return sorted(decisions, key=lambda one: (one.at, one.id))


def standing(decisions: Iterable[Decision], appeals: Iterable[Appeal] = ()) -> Standing:
    """Return the item's state: its latest decision counts, unless another replaced it.

    Decisions of automation do not count: an item is in the queue for a person to decide.
    """
    known = in_order(decisions)
    replaced = {one.supersedes for one in known} | {one.retracts for one in known}
    answered = {one.appeal for one in known}
    waiting = sorted((one.at, one.appeal) for one in appeals if one.appeal not in answered)
    appeal = waiting[0][1] if waiting else None
    closing = [
        one
        for one in known
        if one.decision in _CLOSING
        and one.actor_kind != "Automation"
        and one.id not in replaced
        and one.retracts is None
    ]
    if not closing:
        return Standing(State.OPEN, None, appeal)
    last = closing[-1]
    state = State.OPEN if appeal else _CLOSING[last.decision]
    return Standing(state, last.id, appeal)


def absent_until(decision: Decision) -> datetime | None:
    """Return until when the item is not given to this decision's actor again."""
    if decision.decision == "Skip":
        return later(decision.at, SKIPPED)
    return later(decision.at, UNSURE) if decision.decision == "Unsure" else None


def later(at: datetime, span: timedelta) -> datetime:
    """Return the moment a span after `at`, or the last one that there is.

    Decisions of other programs may be of any year.
    """
    try:
        return at + span
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
