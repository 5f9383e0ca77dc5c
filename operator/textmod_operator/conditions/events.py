"""The Events of a change of status."""

from __future__ import annotations

from dataclasses import dataclass

from textmod_operator.api.status import MOST_FORMER_TOPICS
from textmod_operator.conditions.states import PARTS, PASSING
from textmod_operator.state import Manifest


@dataclass(frozen=True)
class Notice:
    """An Event worth posting. `severity` is Normal or Warning."""

    severity: str
    reason: str
    message: str


def notices(before: Manifest, after: Manifest) -> list[Notice]:
    """The Events of a change of status: each transition of a condition once, and each threshold
    that was corrected."""
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
    return [*result, *_corrections(before, after), *_off_the_record(before, after)]


def _off_the_record(before: Manifest, after: Manifest) -> list[Notice]:
    """Topics that the operator created and no longer remembers, because it remembers no more."""
    known = {
        one["name"]
        for one in [
            *(before.get("formerTopics") or ()),
            *(one for one in before.get("topics") or () if one.get("created")),
        ]
    }
    kept = [*(after.get("formerTopics") or ()), *(after.get("topics") or ())]
    lost = sorted(known - {one["name"] for one in kept})
    if not lost:
        return []
    message = (
        f"the topics {', '.join(lost)}, which this object created and its spec no longer names, "
        f"are not on record any more (status.formerTopics takes {MOST_FORMER_TOPICS}): they stay "
        "when the object is deleted, whatever topics.deletionPolicy is, so delete them by hand"
    )
    return [Notice("Warning", "TopicsForgotten", message)]


def _corrections(before: Manifest, after: Manifest) -> list[Notice]:
    """Thresholds that people's decisions moved."""
    old = {policy["name"]: policy for policy in before.get("policies") or ()}
    result = []
    for policy in after.get("policies") or ():
        earlier = old.get(policy["name"], {}).get("rules") or ()
        if len(earlier) != len(policy["rules"]):
            continue  # other rules, so no threshold moved
        for place, (was, now) in enumerate(zip(earlier, policy["rules"], strict=True), start=1):
            moved = was.get("threshold") != now.get("threshold")
            if not moved or now["source"] != "Feedback" or was["action"] != now["action"]:
                continue
            message = (
                f"policy {policy['name']}, rule {place} ({now['action']}): by people's decisions "
                f"the threshold moved from {_score(was)} to {_score(now)}"
            )
            result.append(Notice("Normal", "ThresholdCorrected", message))
    return result


def _score(rule: Manifest) -> str:
    return f"{rule['threshold']:g}" if "threshold" in rule else "none"
