"""Sentences and figures for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from textmod_console.desk import Card, QueueCounts
from textmod_console.events import Reason
from textmod_console.measurement import Estimate

PAST = {
    "Approve": "Approved",
    "Remove": "Removed",
    "Escalate": "Escalated",
    "Skip": "Skipped",
    "Unsure": "Marked as unsure",
}


def concealed(card: Card) -> bool:
    """Whether a blind item hides its score: no person has judged it yet."""
    return card.blind and not any(decision.judges for decision in card.decided)


def why(card: Card) -> str:
    """Return one sentence: why this text is in the queue, and what happens to it meanwhile."""
    if card.appeal is not None:
        return "Somebody appeals against an earlier decision: please look again."
    if concealed(card):
        return (
            "Chosen at random to measure the model; score and policy stay hidden until you decide."
        )
    reasons = list(dict.fromkeys(_reason(reason) for reason in card.reasons))
    sentence = " ".join(reasons) or "Somebody asked for a review."
    waits = card.hold and not any(d.labels for d in card.decided)
    return f"{sentence} {'It is held back until you decide.' if waits else ''}".strip()


def _reason(reason: Reason) -> str:
    """Return one reason; its score is no part of it, for a reader may have chosen not to see it."""
    if reason.kind == "Policy":
        return f"Policy {reason.policy or 'without a name'} asks for a review."
    if reason.kind == "Random":
        return "Chosen at random to measure the model."
    if reason.kind == "Uncertain":
        return "The model is unsure of it."
    return f"The reason is {reason.kind}."


def decided(decision: str) -> str:
    """Return the past tense of a decision's name."""
    return PAST.get(decision, decision)


def share(value: float | None) -> str:
    """Return a share as a percentage, or Unknown."""
    return "Unknown" if value is None else f"{value * 100:.1f} %"


_SOURCES = {
    "Artifact": "the model's training",
    "Feedback": "people's decisions",
    "Asked": "the object itself",
}


def source(name: str) -> str:
    """Return where a threshold comes from."""
    return _SOURCES.get(name, name)


def threshold(value: float) -> str:
    """Return a threshold with two digits, or four where it needs them."""
    return f"{value:.2f}" if round(value, 2) == round(value, 4) else f"{value:.4f}"


def estimate(given: Estimate) -> str:
    """Return a value with its interval in words."""
    if given.value is None or given.low is None or given.high is None:
        return f"Unknown: {count(given.labels, 'label')} so far."
    return (
        f"{share(given.value)}, between {share(given.low)} and {share(given.high)} "
        f"(95 % interval, {count(given.labels, 'label')})."
    )


def count(number: float, noun: str) -> str:
    """Return a number with its noun: 1 label, 2,000 labels."""
    rounded = round(number)
    return f"{rounded:,} {noun}{'' if rounded == 1 else 's'}"


def moment(at: datetime | None) -> str:
    """Return a time in UTC to the minute."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def instant(at: datetime) -> str:
    """Return a time in UTC to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def waiting(counts: QueueCounts) -> str:
    """Return how much there is to do, in one sentence."""
    held = f", {counts.held:,} of them held back" if counts.held else ""
    return f"{count(counts.open, 'text')} waiting{held}."


def silence(counts: QueueCounts) -> str | None:
    """Return that no texts arrive and what becomes of decisions; None while they do."""
    if counts.silent_since is None:
        return None
    return (
        f"No new texts have arrived since {moment(counts.silent_since)}: the console does not "
        "reach Kafka. Your decisions are kept, and published once it does."
    )


_SHOWN = ("reason", "note", "policy", "seen", "milliseconds", "outcome", "actorKind", "selection")


def entry_details(detail: Mapping[str, object]) -> str:
    """Return the details for a history; scores are left out, since some items are blind."""
    return details({name: detail[name] for name in _SHOWN if name in detail})


def sentence(words: str) -> str:
    """Return an error's words as a sentence of a page."""
    return words[:1].upper() + words[1:]


def details(detail: Mapping[str, object]) -> str:
    """Return an entry's details on one line."""
    return ", ".join(f"{name}: {_plain(value)}" for name, value in detail.items())


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return f"({details(value)})"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_plain(part) for part in value) or "none"
    return str(value)
