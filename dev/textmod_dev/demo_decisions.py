"""What the demo's verdicts decided: actions by policy, and some of them explained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_EXPLAINED = 3
MOST_SPANS = 3
ACTIONS = ("Remove", "Review", "Allow")

Verdict = dict[str, Any]


@dataclass
class Decisions:
    """Counts of what policies said, and the verdicts to explain: of every action the latest."""

    by_policy: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(policy, action) → verdicts."""
    explained: dict[str, tuple[str, Verdict]] = field(default_factory=dict)
    """Place of the comment → (action, verdict), at most MOST_EXPLAINED."""

    def take(self, place: str, value: str) -> None:
        """Take in one verdict.

        Args:
            place: of its comment, as `topic/partition/offset`.
        """
        try:
            verdict = json.loads(value)
            action, policies = verdict["action"], verdict["policies"]
        except (ValueError, KeyError, TypeError):
            return  # a verdict without policies
        self.by_policy.update((policy["name"], policy["action"]) for policy in policies)
        if "spans" in (verdict.get("explanation") or {}):  # else it says why there is none
            if len(self.explained) == MOST_EXPLAINED:
                self.explained.pop(next(iter(self.explained)))
            self.explained[place] = (action, verdict)

    def lines(
        self, comment: Callable[[str], str | None], thresholds: Mapping[tuple[str, str], float]
    ) -> Iterator[str]:
        """What was decided, for the end of the demo.

        Args:
            comment: place → the comment's text, None if it can't be read.
            thresholds: (policy, action) → the score from which the action is taken, where it is
                known.
        """
        for policy in sorted({policy for policy, _ in self.by_policy}):
            counts = []
            for action in ACTIONS:
                score = thresholds.get((policy, action))
                since = "" if score is None else f" (from score {score:.2f} on)"
                counts.append(f"{action} {self.by_policy[policy, action]:,}{since}")
            yield f"policy {policy}: {', '.join(counts)}"
        for place, (action, verdict) in self.explained.items():
            explanation = verdict["explanation"]
            text = comment(place) if explanation["offsets"] == "CodePoint" else None
            yield f"{action}, score {verdict['score']:.2f}: {_why(explanation, text)}"


def thresholds_of(status: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """(policy, action) → the lowest threshold in force, from the status of a TextModeration."""
    found: dict[tuple[str, str], float] = {}
    for policy in status.get("policies") or ():
        for rule in policy.get("rules") or ():
            if (score := rule.get("threshold")) is not None:
                key = policy["name"], rule["action"]
                found[key] = min(score, found.get(key, score))
    return found


def _why(explanation: Verdict, text: str | None) -> str:
    parts = [_part(span, text) for span in explanation["spans"][:MOST_SPANS]]
    parts += [f"{one['name']} {one['weight']:+.2f}" for one in explanation["features"][:1]]
    return ", ".join(parts) or "nothing in particular"


def _part(span: Verdict, text: str | None) -> str:
    begin, end = span["begin"], span["end"]
    words = f"{begin}-{end}" if text is None else repr(text[begin:end])
    return f"{words} {span['weight']:+.2f}"
