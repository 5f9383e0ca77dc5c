"""The Events of a change of status."""

from __future__ import annotations

from dataclasses import dataclass

from textmod_operator.conditions.states import PARTS, PASSING
from textmod_operator.state import Manifest


@dataclass(frozen=True)
class Notice:
    """An Event worth posting. `severity` is Normal or Warning."""

    severity: str
    reason: str
    message: str


def notices(before: Manifest, after: Manifest) -> list[Notice]:
    """The Events of a change of status: each transition of a condition once."""
    old = {item["type"]: item for item in before.get("conditions") or ()}
    result = []
    for new in after["conditions"]:
        was = old.get(new["type"], {})
        if (was.get("status"), was.get("reason")) == (new["status"], new["reason"]):
            continue
        if new["type"] == "Ready" and new["status"] == "True":
            result.append(Notice("Normal", "Ready", new["message"]))
        elif (
            new["type"] in (*PARTS, "PoliciesReady", "ReviewReady")
            and new["status"] == "False"
            and new["reason"] not in PASSING | {"MetricsUnavailable"}
        ):
            result.append(Notice("Warning", new["reason"], new["message"]))
    return result
