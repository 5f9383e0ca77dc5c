"""What an item's decisions amount to, in whatever order they are read."""

from datetime import timedelta
from typing import Any

import pytest
from desk_world import START
from hypothesis import given
from hypothesis import strategies as st

from textmod_console.events import Appeal, Decision, Tool
from textmod_console.store.schema import State
from textmod_console.store.standing import Standing, absent_until, standing

TOOL = Tool(name="t", version="1")


def made(name: str, second: int, decision: Any = "Remove", **fields: Any) -> Decision:
    at = START + timedelta(seconds=second)
    given = {"actor": "ann", "actor_kind": "Human", "tool": TOOL, "at": at, "item": "i"}
    return Decision(id=name, decision=decision, **(given | fields))


def appealed(name: str, second: int) -> Appeal:
    at = START + timedelta(seconds=second)
    return Appeal(appeal=name, item="i", by="mallory", reason="why?", at=at)


OPEN = Standing(State.OPEN, None, None)


@pytest.mark.parametrize(
    ("decisions", "appeals", "found"),
    [
        ([], [], OPEN),
        ([made("a", 1)], [], Standing(State.DECIDED, "a", None)),
        ([made("a", 1, "Skip"), made("b", 2, "Unsure")], [], OPEN),
        ([made("a", 1, "Escalate")], [], Standing(State.ESCALATED, "a", None)),
        ([made("a", 1), made("b", 2, "Escalate")], [], Standing(State.ESCALATED, "b", None)),
        ([made("a", 2), made("b", 1, "Approve")], [], Standing(State.DECIDED, "a", None)),
        # The same moment: the id decides, everywhere alike.
        ([made("b", 1), made("a", 1, "Approve")], [], Standing(State.DECIDED, "b", None)),
        # A decision that another replaced does not count, whatever the clocks said.
        ([made("a", 9), made("b", 1, supersedes="a")], [], Standing(State.DECIDED, "b", None)),
        ([made("a", 1), made("b", 2, retracts="a")], [], OPEN),
        (
            [made("a", 1), made("b", 2), made("c", 3, retracts="b")],
            [],
            Standing(State.DECIDED, "a", None),
        ),
        ([made("a", 1, actor_kind="Automation")], [], OPEN),
        ([made("a", 1, actor_kind="Import")], [], Standing(State.DECIDED, "a", None)),
        ([made("a", 1)], [appealed("x", 5)], Standing(State.OPEN, "a", "x")),
        (
            [made("a", 1), made("b", 6, appeal="x", outcome="Upheld")],
            [appealed("x", 5)],
            Standing(State.DECIDED, "b", None),
        ),
        ([made("a", 1), made("b", 6)], [appealed("x", 5)], Standing(State.OPEN, "b", "x")),
        ([], [appealed("y", 6), appealed("x", 5)], Standing(State.OPEN, None, "x")),
    ],
)
def test_where_an_item_stands(
    decisions: list[Decision], appeals: list[Appeal], found: Standing
) -> None:
    assert standing(decisions, appeals) == found


@given(st.data())
def test_the_order_of_reading_changes_nothing(data: st.DataObject) -> None:
    names = [f"d{n}" for n in range(data.draw(st.integers(0, 6)))]
    decisions = [
        made(
            name,
            data.draw(st.integers(0, 3)),
            data.draw(st.sampled_from(["Approve", "Remove", "Escalate", "Skip", "Unsure"])),
            supersedes=data.draw(st.sampled_from([None, *names])),
            retracts=data.draw(st.sampled_from([None, None, None, *names])),
            actor_kind=data.draw(st.sampled_from(["Human", "Automation", "Import"])),
        )
        for name in names
    ]
    appeals = [appealed(f"x{n}", data.draw(st.integers(0, 3))) for n in range(2)]
    shuffled = data.draw(st.permutations(decisions))
    assert standing(shuffled, appeals[::-1]) == standing(decisions, appeals)


def test_who_passed_is_left_alone_for_a_while() -> None:
    assert absent_until(made("a", 0, "Skip")) == START + timedelta(hours=1)
    assert absent_until(made("a", 0, "Unsure")) == START + timedelta(hours=24)
    assert absent_until(made("a", 0, "Remove")) is None
