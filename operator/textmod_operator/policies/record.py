"""What was decided of each rule before, so that a threshold stays where it is for a while.

It is an annotation of the ConfigMap that holds the solved form: an operator that restarts knows it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Source = Literal["Artifact", "Feedback"]
"""What a threshold was worked out of: the artifact's held-out scores alone, or these as people's
decisions correct them."""
Asked = str
"""What a threshold was worked out of, but for the model and the rate."""


@dataclass(frozen=True)
class Decided:
    """One rule's threshold."""

    asked: Asked
    model: str
    """Digest of the model that it was worked out for."""
    at_least: float | None
    since: float
    """Unix time in seconds of its last move."""
    source: Source = "Artifact"


@dataclass(frozen=True)
class Record:
    """(policy, place of the rule) → what was decided."""

    rules: Mapping[tuple[str, int], Decided] = field(default_factory=dict)

    def written(self) -> str:
        """The record as the annotation holds it."""
        entries = [
            {
                "policy": policy,
                "rule": place,
                "asked": one.asked,
                "model": one.model,
                "atLeast": one.at_least,
                "since": int(one.since),
                **({"source": one.source} if one.source != "Artifact" else {}),
            }
            for (policy, place), one in sorted(self.rules.items())
        ]
        return json.dumps(entries, sort_keys=True, separators=(",", ":"))

    @classmethod
    def read(cls, text: str | None) -> Record:
        """The record of an annotation; one that can't be read is an empty one."""
        try:
            entries = json.loads(text or "[]")
            return cls({(entry["policy"], entry["rule"]): _decided(entry) for entry in entries})
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return cls()


def _decided(entry: dict[str, Any]) -> Decided:
    at_least, since = entry["atLeast"], float(entry["since"])
    if not math.isfinite(since) or not (at_least is None or 0 <= at_least <= 1):
        raise ValueError("no time, or no score")
    threshold = None if at_least is None else float(at_least)
    source: Source = "Feedback" if entry.get("source") == "Feedback" else "Artifact"
    return Decided(str(entry["asked"]), str(entry["model"]), threshold, since, source)
