"""Statements of reasons in decisions that restrict a text."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from desk_world import World, request
from memory_desk import some_policies

from textmod_console.desk import Answer
from textmod_console.events import Reason
from textmod_console.policies import InForce
from textmod_console.store.database_desk import DatabaseDesk
from textmod_console.store.statements import statement

BY_POLICY = (Reason(kind="Policy", policy="off-topic"),)
BY_CHANCE = (Reason(kind="Random"),)


def said(
    decision: Any = "Remove",
    policy: str | None = "off-topic",
    in_force: InForce | None = None,
    **fields: Any,
) -> dict[str, Any] | None:
    known = in_force or some_policies()
    found = statement(request("a", **fields), decision, policy, known)
    return None if found is None else orjson.loads(found.value())


def test_the_policys_ground_and_category_are_written_by_the_names_of_the_database() -> None:
    assert said(reasons=BY_POLICY) == {
        "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
        "category": "STATEMENT_CATEGORY_OTHER_VIOLATION_TC",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_NOT_AUTOMATED",
    }


@pytest.mark.parametrize(
    ("fields", "detection", "decision"),
    [
        ({"reasons": BY_POLICY, "action": "Review"}, "Yes", "NOT_AUTOMATED"),
        ({"reasons": BY_CHANCE, "blind": True, "action": "Allow"}, "No", "NOT_AUTOMATED"),
        ({"reasons": BY_CHANCE, "flagged": True, "action": "Remove"}, "Yes", "PARTIALLY"),
    ],
)
def test_what_was_automated(fields: dict[str, Any], detection: str, decision: str) -> None:
    found = said(**fields)
    assert found is not None
    assert found["automated_detection"] == detection
    assert found["automated_decision"] == f"AUTOMATED_DECISION_{decision}"


def test_without_a_restriction_or_a_policy_that_names_one_there_is_none() -> None:
    for decision in ("Approve", "Escalate", "Skip", "Unsure"):
        assert said(decision) is None
    assert said(policy="spam") is None
    assert said(policy="gone") is None
    assert said(policy=None) is None
    assert statement(request("a"), "Remove", "off-topic", None) is None


def test_the_policy_that_the_reviewer_names_comes_before_the_one_that_asked(world: World) -> None:
    desk = DatabaseDesk(world.database, lambda: world.now, policies=some_policies)
    world.ask(request("a", reasons=BY_POLICY))
    made = desk.decide("a", "ada", Answer("Remove", policy="spam"), 0)
    assert (made.policy, made.statement_of_reasons) == ("spam", None)


def test_a_decision_carries_it(world: World) -> None:
    desk = DatabaseDesk(world.database, lambda: world.now, policies=some_policies)
    world.ask(request("a", reasons=BY_POLICY), request("b", reasons=BY_POLICY))
    for item, decision in (("a", "Remove"), ("b", "Approve")):
        card = desk.claim(item, "ada")
        made = desk.decide(item, "ada", Answer(decision), card.version)
        assert (made.statement_of_reasons is not None) == (decision == "Remove")
        assert (b"statementOfReasons" in made.value()) == (decision == "Remove")
        assert (b"decision_ground" in made.value()) == (decision == "Remove")
