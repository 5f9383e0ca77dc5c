"""The operations of the core that the pages call, and their values.

Everything is synchronous and may be called from several threads; pages call it off the event loop.
Errors are `textmod_console.errors`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from textmod_console.events import Decision, DecisionName, Outcome, Reason
from textmod_console.measurement import Quality

LEASE: Final = timedelta(minutes=2)
"""How long a claim lasts unless it is renewed by showing the card again."""
UNDO: Final = timedelta(seconds=10)
"""How long a decision can be taken back; it is published only afterwards."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reviewer's decision about a card, and what the card showed before it."""

    decision: DecisionName
    note: str | None = None
    reason: str | None = None
    policy: str | None = None
    seen_score: bool = False
    seen_explanation: bool = False
    milliseconds: int | None = None
    """From showing the text to the decision."""
    appeal: str | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """One item as a reviewer may see it."""

    item: str
    text: str | None
    """None: erased, or its time in the review topic has passed."""
    author: str | None
    context: str | None
    reasons: tuple[Reason, ...]
    hold: bool
    blind: bool
    due: datetime | None
    label: str
    scores: Mapping[str, float] | None
    """None while the item is blind and undecided; so are `explanation` and `action`."""
    explanation: Mapping[str, Any] | None
    action: str | None
    policies: tuple[str, ...]
    """The names of the policies that asked for the review."""
    version: int
    """Goes with the answer: `decide` refuses one for a card that has changed since."""
    claimed_until: datetime | None
    claimed_by: str | None
    decided: tuple[Decision, ...]
    """Every decision so far, oldest first."""
    requested_at: datetime
    appeal: str | None = None
    """The id of an appeal that is open."""
    truncated_from: int | None = None
    """Characters of the whole text, where `text` is its beginning alone; None: it is whole."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an item's history."""

    at: datetime
    kind: Literal["Requested", "Decision", "Appeal"]
    actor: str | None
    what: str
    """The decision's name, the appeal's reason, or the reasons of the request."""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How much there is to do; each is a number of items, but the last."""

    open: int
    held: int
    claimed: int
    decided_today: int
    escalated: int = 0
    silent_since: datetime | None = None
    """Since when no texts arrive, because the console does not reach Kafka; None: they do."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One record of the audit chain."""

    number: int
    at: datetime
    actor: str
    act: str
    item: str | None
    detail: Mapping[str, Any]
    digest: str
    """SHA-256 over this record and the digest before it, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """The scores of a day by label: `counts[label][i]` of [i/n, (i+1)/n)."""

    since: datetime
    counts: Mapping[str, tuple[float, ...]]
    """Weighted by 1/p of the selection: an estimate for all texts, not only the reviewed."""


class Desk(Protocol):
    """The operations of the core that the pages call."""

    def next_card(self, reviewer: str, skip: frozenset[str] = frozenset()) -> Card | None:
        """Claim the next item for the reviewer; an open claim of the reviewer comes first.

        Args:
            reviewer: the user's name.
            skip: items not to be given, such as the one that is shown when the next is preloaded.
        """
        ...

    def card(self, item: str, reviewer: str | None) -> Card:
        """Return one item, without claiming it. Raises NotFoundError."""
        ...

    def claim(self, item: str, reviewer: str) -> Card:
        """Claim this item, or renew the claim. Raises NotFoundError, ClaimedByAnotherError."""
        ...

    def release(self, item: str, reviewer: str) -> None:
        """Give a claim back; nothing happens if the reviewer holds none."""
        ...

    def decide(self, item: str, reviewer: str, answer: Answer, version: int) -> Decision:
        """Accept a decision: once this returns it is never lost.

        Raises NotFoundError, ClaimedByAnotherError, OutdatedError, InvalidAnswerError.
        """
        ...

    def undo(self, decision_id: str, reviewer: str) -> None:
        """Take a decision back within `UNDO`. Raises NotFoundError, TooLateError."""
        ...

    def history(self, item: str) -> list[Entry]:
        """Return what happened to an item, oldest first. Raises NotFoundError."""
        ...

    def escalated(self, limit: int = 100) -> list[str]:
        """Return the items that wait for a lead, the oldest first."""
        ...

    def counts(self) -> QueueCounts:
        """Return how much there is to do."""
        ...

    def audit(self, before: int | None, limit: int) -> list[AuditEntry]:
        """Return up to `limit` records older than number `before`, newest first."""
        ...

    def record(
        self, actor: str, act: str, item: str | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Append to the audit chain: a reveal, an export, a change of a setting."""
        ...

    def end_session(self, person: str, session: str) -> None:
        """End one session of a person, in every browser that holds its cookie."""
        ...

    def end_sessions_of(self, person: str, actor: str) -> None:
        """End all sessions that a person has begun."""
        ...

    def has_ended(self, person: str, session: str, began: int) -> bool:
        """Whether a session was ended; it began at this Unix time in seconds."""
        ...

    def quality(self) -> Quality | None:
        """Return the figures of the current window; None while there is nothing to measure."""
        ...

    def scores_of_the_day(self) -> Histogram:
        """Return the scores of the last 24 hours."""
        ...
