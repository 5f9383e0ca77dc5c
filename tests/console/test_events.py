"""The three events: read as the contract says, tolerant of what a newer version adds."""

import json

import pytest

from textmod_console import events
from textmod_console.errors import DataError

REQUESTED = {
    "item": "in/0/7",
    "text": "buy now",
    "truncatedFrom": 70,
    "reasons": [{"kind": "Policy", "policy": "spam", "action": "Review", "score": 0.7}],
    "action": "Review",
    "flagged": True,
    "selection": {"strategy": "Mixed", "probability": 0.25},
    "hold": True,
    "blind": False,
    "label": "removed",
    "scores": {"removed": 0.7},
    "explanation": {"offsets": "CodePoint", "spans": [{"begin": 0, "end": 3, "weight": 1.5}]},
    "model": "sha256:ab",
    "policyVersion": "p1",
    "policies": [{"name": "spam", "action": "Review"}],
    "at": "2026-11-27T10:00:00Z",
}


def test_a_request_is_read_and_written_without_loss() -> None:
    found = events.parse(events.REVIEW_REQUESTED, json.dumps(REQUESTED).encode())
    assert isinstance(found, events.ReviewRequested)
    assert json.loads(found.value()) == REQUESTED


def test_unknown_fields_and_types_are_passed_over() -> None:
    newer = REQUESTED | {"colour": "blue", "reasons": [{"kind": "Drift", "since": 1}]}
    found = events.parse(events.REVIEW_REQUESTED, json.dumps(newer).encode())
    assert isinstance(found, events.ReviewRequested)
    assert found.reasons[0].kind == "Drift"
    assert json.loads(found.value())["colour"] == "blue"  # kept, for a version that knows it
    assert events.parse("dev.textmoderation.decision.v2", b"{}") is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        json.dumps(REQUESTED | {"selection": {"strategy": "Random", "probability": 0}}).encode(),
        json.dumps(REQUESTED | {"at": "yesterday"}).encode(),
        json.dumps(REQUESTED | {"item": ""}).encode(),
    ],
)
def test_what_cannot_be_read_is_a_sentence_without_the_text(value: bytes) -> None:
    with pytest.raises(DataError) as raised:
        events.parse(events.REVIEW_REQUESTED, value)
    assert "buy now" not in str(raised.value)


def test_a_decisions_names_are_the_contracts() -> None:
    value = {
        "id": "d1",
        "item": "in/0/7",
        "decision": "Remove",
        "labels": {"removed": 1.0},
        "flagged": False,
        "seen": {"score": True, "explanation": False},
        "actor": "ann",
        "actorKind": "Human",
        "tool": {"name": "textmod-console", "version": "0.1.0"},
        "model": "sha256:ab",
        "textSha256": "ff",
        "at": "2026-11-27T10:00:00Z",
        "requestedAt": "2026-11-27T09:00:00Z",
        "scores": {"removed": 0.5},
    }
    found = events.parse(events.DECISION, json.dumps(value).encode())
    assert isinstance(found, events.Decision)
    assert found.text_sha256 == "ff"
    assert json.loads(found.value()) == value


def test_only_a_removal_and_an_approval_label() -> None:
    assert events.labels_of("Remove", "toxic") == {"toxic": 1.0}
    assert events.labels_of("Approve", "toxic") == {"toxic": 0.0}
    assert events.labels_of("Skip", "toxic") == {}
