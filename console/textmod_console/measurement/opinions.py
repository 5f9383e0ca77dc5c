"""Which of the decisions of an item counts, and whether people agree."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import combinations
from typing import Final, NamedTuple

HUMAN: Final = frozenset({"Human"})


class Opinion(NamedTuple):
    """One decision, as far as measurement reads it."""

    id: str
    actor: str
    kind: str
    """Human, Automation or Import."""
    label: float | None
    """From 0 to 1; None: it says nothing of the label (Skip, Unsure, Escalate)."""
    at: datetime
    supersedes: str | None = None
    retracts: str | None = None


def standing(opinions: Iterable[Opinion]) -> list[Opinion]:
    """Return the decisions that nothing supersedes or retracts, oldest first."""
    found = sorted(opinions, key=lambda one: (one.at, one.id))
    gone = {one.supersedes for one in found} | {one.retracts for one in found}
    return [one for one in found if one.id not in gone and one.retracts is None]


def label_of(opinions: Iterable[Opinion], kinds: Collection[str] = HUMAN) -> float | None:
    """Return the label of the last standing decision that says one, else None.

    Args:
        opinions: the decisions of one item.
        kinds: whose decisions count; Automation's never do.
    """
    people = set(kinds) - {"Automation"}
    said = [one.label for one in standing(opinions) if one.kind in people and one.label is not None]
    return said[-1] if said else None


def agreement(items: Iterable[Sequence[Opinion]]) -> float | None:
    """Return the share of pairs of people who agree about an item that both decided.

    Each person counts with the last decision that the same person has not taken back; what somebody
    else superseded counts too, since it was this person's opinion. None without such a pair.
    """
    same = pairs = 0
    for opinions in items:
        labels = _of_each(opinions)
        for one, other in combinations(labels, 2):
            pairs += 1
            same += (one >= 0.5) == (other >= 0.5)
    return same / pairs if pairs else None


def _of_each(opinions: Sequence[Opinion]) -> list[float]:
    by_id = {one.id: one for one in opinions}
    retracted = {one.retracts for one in opinions if one.retracts is not None}
    last: dict[str, float] = {}
    for one in sorted(opinions, key=lambda one: (one.at, one.id)):
        if one.kind != "Human" or one.id in retracted:
            continue
        earlier = by_id.get(one.supersedes or "")
        if one.label is not None:
            last[one.actor] = one.label
        elif earlier is not None and earlier.actor == one.actor:
            last.pop(one.actor, None)
    return list(last.values())
