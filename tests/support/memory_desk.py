"""A desk in memory, for the pages' tests: it refuses as the real one does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from textmod_console.desk import (
    LEASE,
    UNDO,
    Answer,
    AuditEntry,
    Card,
    Entry,
    Histogram,
    QueueCounts,
)
from textmod_console.errors import (
    ClaimedByAnotherError,
    InvalidAnswerError,
    NotFoundError,
    OutdatedError,
    TooLateError,
)
from textmod_console.events import Decision, Reason, Seen, Tool, labels_of
from textmod_console.measurement import Estimate, Quality
from textmod_console.policies import InForce

START = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def card(number: int = 0, text: str = "Vaccines do not cause autism.", **values: Any) -> Card:
    """Return a card as a policy asks for it; `values` replace its fields."""
    ready = Card(
        item=f"science-input/0/{number}",
        text=text,
        author="ada",
        context=None,
        reasons=(Reason(kind="Policy", policy="off-topic", action="Review", score=0.83),),
        hold=False,
        blind=False,
        due=None,
        label="removed",
        scores={"removed": 0.83},
        explanation=None,
        action="Review",
        policies=("off-topic",),
        version=1,
        claimed_until=None,
        claimed_by=None,
        decided=(),
        requested_at=START,
    )
    return replace(ready, **values)


@dataclass
class MemoryDesk:
    """Cards in order; a clock that a test moves."""

    cards: dict[str, Card] = field(default_factory=dict)
    now: datetime = START
    records: list[AuditEntry] = field(default_factory=list)
    measured: Quality | None = None
    day: Histogram = field(default_factory=lambda: Histogram(START - timedelta(days=1), {}))
    ended: set[str] = field(default_factory=set)
    """Sessions and persons; a person's later sessions too, unlike the real one's."""
    broken: Exception | None = None
    silent_since: datetime | None = None

    @classmethod
    def of(cls, *cards: Card) -> MemoryDesk:
        """Return a desk with these cards."""
        return cls({c.item: c for c in cards})

    def next_card(self, reviewer: str, skip: frozenset[str] = frozenset()) -> Card | None:
        self._fail()
        open_cards = [c for c in self.cards.values() if not self._settled(c) and c.item not in skip]
        mine = [c for c in open_cards if self._holder(c) == reviewer]
        free = [c for c in open_cards if self._holder(c) is None]
        wanted = next(iter(mine + free), None)
        return None if wanted is None else self.claim(wanted.item, reviewer)

    def card(self, item: str, reviewer: str | None) -> Card:
        self._fail()
        if item not in self.cards:
            raise NotFoundError("There is no such item: it may be older than the review topic.")
        found = self.cards[item]
        if found.blind and not any(one.judges for one in found.decided):
            return replace(found, scores=None, explanation=None, action=None)
        return found

    def claim(self, item: str, reviewer: str) -> Card:
        found = self.card(item, reviewer)
        if self._holder(found) not in {None, reviewer}:
            raise ClaimedByAnotherError("Somebody else holds this item.")
        kept = replace(self.cards[item], claimed_by=reviewer, claimed_until=self.now + LEASE)
        self.cards[item] = kept
        return self.card(item, reviewer)

    def release(self, item: str, reviewer: str) -> None:
        found = self.cards.get(item)
        if found is not None and found.claimed_by == reviewer:
            self.cards[item] = replace(found, claimed_by=None, claimed_until=None)

    def decide(self, item: str, reviewer: str, answer: Answer, version: int) -> Decision:
        self.card(item, reviewer)
        found = self.cards[item]
        if self._holder(found) not in {None, reviewer}:
            raise ClaimedByAnotherError("Somebody else holds this item.")
        if found.version != version:
            last = found.decided[-1] if found.decided else None
            sent = (reviewer, answer.decision, answer.note, answer.reason)
            if (
                last is not None
                and (last.actor, last.decision, last.note, last.reason) == sent
                and found.version == version + 1
                and last.at + UNDO > self.now
            ):
                return last
            raise OutdatedError("The item has changed: load it again.")
        if answer.outcome and not answer.appeal:
            raise InvalidAnswerError("An outcome needs an appeal.")
        decision = Decision(
            id=str(uuid4()), item=item, decision=answer.decision, actor=reviewer,
            labels=labels_of(answer.decision, found.label), actor_kind="Human", at=self.now,
            note=answer.note, reason=answer.reason, policy=answer.policy,
            milliseconds=answer.milliseconds, appeal=answer.appeal, outcome=answer.outcome,
            seen=Seen(score=answer.seen_score, explanation=answer.seen_explanation),
            tool=Tool(name="textmod-console", version="0"),
            scores=dict(found.scores or {}), action=found.action, flagged=True,
        )  # fmt: skip
        self.cards[item] = replace(
            found, decided=(*found.decided, decision), version=version + 1,
            claimed_by=None, claimed_until=None,
        )  # fmt: skip
        self.record(reviewer, "decide", item, {"decision": answer.decision})
        return decision

    def undo(self, decision_id: str, reviewer: str) -> None:
        for item, found in self.cards.items():
            for decision in found.decided:
                if decision.id == decision_id and decision.actor == reviewer:
                    if self.now - decision.at >= UNDO:
                        raise TooLateError("The decision is published: decide again instead.")
                    left = tuple(d for d in found.decided if d.id != decision_id)
                    self.cards[item] = replace(
                        found, decided=left, version=found.version + 1,
                        claimed_by=reviewer, claimed_until=self.now + LEASE,
                    )  # fmt: skip
                    return
        raise NotFoundError("There is no such decision of yours.")

    def history(self, item: str) -> list[Entry]:
        found = self.card(item, None)
        asked = Entry(found.requested_at, "Requested", None, "Policy off-topic", {"score": 0.83})
        return [asked, *(
            Entry(d.at, "Decision", d.actor, d.decision, {"labels": d.labels, "seen": d.seen.score})
            for d in found.decided
        )]  # fmt: skip

    def escalated(self, limit: int = 100) -> list[str]:
        self._fail()
        waiting = [c for c in self.cards.values() if c.decided[-1:] and self._last(c) == "Escalate"]
        return [c.item for c in waiting][:limit]

    def counts(self) -> QueueCounts:
        self._fail()
        waiting = [c for c in self.cards.values() if not self._settled(c)]
        return QueueCounts(
            open=len(waiting),
            held=sum(c.hold for c in waiting),
            claimed=sum(self._holder(c) is not None for c in waiting),
            decided_today=sum(len(c.decided) for c in self.cards.values()),
            silent_since=self.silent_since,
        )

    def audit(self, before: int | None, limit: int) -> list[AuditEntry]:
        self._fail()
        older = [r for r in self.records if before is None or r.number < before]
        return older[::-1][:limit]

    def record(
        self, actor: str, act: str, item: str | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        last = self.records[-1].digest if self.records else ""
        content = json.dumps([last, actor, act, item, dict(detail or {})], default=str)
        digest = hashlib.sha256(content.encode()).hexdigest()
        number = len(self.records) + 1
        self.records.append(AuditEntry(number, self.now, actor, act, item, detail or {}, digest))

    def end_session(self, person: str, session: str) -> None:
        self.ended.add(session)
        self.record(person, "sign-out")

    def end_sessions_of(self, person: str, actor: str) -> None:
        self.ended.add(person)
        self.record(actor, "sign-out-all", None, {"person": person})

    def has_ended(self, person: str, session: str, began: int) -> bool:
        return bool(self.ended & {person, session})

    def quality(self) -> Quality | None:
        self._fail()
        return self.measured

    def scores_of_the_day(self) -> Histogram:
        self._fail()
        return self.day

    def acts(self) -> list[str]:
        """Return the acts of the audit, in order."""
        return [r.act for r in self.records]

    def _last(self, found: Card) -> str:
        return found.decided[-1].decision

    def _settled(self, found: Card) -> bool:
        return bool(found.decided)

    def _holder(self, found: Card) -> str | None:
        valid = found.claimed_until is not None and found.claimed_until > self.now
        return found.claimed_by if valid else None

    def _fail(self) -> None:
        if self.broken is not None:
            raise self.broken


def some_quality() -> Quality:
    """Return figures with one unknown among them."""
    precision = Estimate(0.912, 0.871, 0.944, 412, 380.2)
    recall = Estimate(0.64, 0.52, 0.75, 388, 121.5)
    unknown = Estimate(None, None, None, 12, 11.0)
    part = Quality(
        START - timedelta(days=7), START, precision, unknown, 210.0, None,
        "Recall of off-topic is unknown: 12 labels, and 50 are the minimum.",
    )  # fmt: skip
    return Quality(
        START - timedelta(days=7), START, precision, recall, 260.4, 0.93, None, {"off-topic": part}
    )


def some_scores() -> Histogram:
    """Return a day of scores: most are low."""
    counts = tuple(round(4000 * 0.86**i + (120 if i > 40 else 0)) for i in range(50))
    return Histogram(START - timedelta(days=1), {"removed": counts, "toxic": counts[::-1]})


def some_policies() -> InForce:
    """Return policies in force: one threshold corrected, one asked for, one that never holds."""
    return InForce.model_validate(
        {
            "version": "sha256:0123456789abcdef",
            "policies": [
                {
                    "name": "off-topic",
                    "label": "removed",
                    "mode": "Enforce",
                    "statementOfReasons": {
                        "ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
                        "category": "STATEMENT_CATEGORY_OTHER_VIOLATION_TC",
                    },
                    "rules": [
                        {
                            "action": "Remove",
                            "hold": False,
                            "threshold": 0.97125,
                            "source": "Feedback",
                            "expectedPrecision": 0.951,
                            "expectedRecall": 0.4,
                        },
                        {"action": "Review", "hold": True, "threshold": 0.93, "source": "Asked"},
                    ],
                },
                {
                    "name": "spam",
                    "mode": "Observe",
                    "rules": [{"action": "Remove", "hold": False, "source": "Artifact"}],
                },
            ],
        }
    )
