"""What the internal port says of quality and evidence, from the database's items and decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from desk_world import RANDOM, START, World, request
from starlette.testclient import TestClient

from textmod_console.errors import RecordError
from textmod_console.events import Acted, Decision, DecisionName, Tool, labels_of
from textmod_console.internal.app import create_app
from textmod_console.internal.figures import documents
from textmod_console.internal.health import Answer
from textmod_console.store import projection
from textmod_console.store.measuring import Figures, Measuring

OLD = START - timedelta(days=4)


def decide(world: World, item: str, decision: DecisionName, actor: str = "ann", **fields) -> None:
    given = {
        "id": f"{item}-{actor}",
        "labels": labels_of(decision, "removed"),
        "actor_kind": "Human",
        "tool": Tool(name="test", version="1"),
        "at": OLD + timedelta(hours=1),
    }
    one = Decision(item=item, decision=decision, actor=actor, **(given | fields))
    with world.database.write() as connection:
        assert projection.take_decisions(connection, [(one, one.value().decode(), None)])


def review(world: World, name: str, number: int, decision: DecisionName | None, **fields) -> None:
    world.ask(*(request(f"{name}/{n}", at=OLD, **fields) for n in range(number)))
    for n in range(number if decision else 0):
        decide(world, f"{name}/{n}", decision or "Skip")


def measuring(world: World, **fields) -> Measuring:
    given = {"minimum": 20, "clock": lambda: world.now}
    return Measuring(world.database, timedelta(hours=72), **(given | fields))


def client(measure) -> TestClient:
    well = Answer(ok=True, sentence="")
    return TestClient(create_app(lambda: well, lambda: well, documents(measure)))


@pytest.fixture
def reviewed(world: World) -> World:
    """30 flagged texts, of which 24 are right; of the random sample 10 of 40 were missed."""
    review(world, "right", 24, "Remove", scores={"removed": 0.9})
    review(world, "wrong", 6, "Approve", scores={"removed": 0.7})
    review(world, "missed", 10, "Remove", blind=True, scores={"removed": 0.3})
    review(world, "passed", 30, "Approve", blind=True, scores={"removed": 0.1})
    return world


def test_quality_is_in_the_form_of_the_status(reviewed: World) -> None:
    found = client(measuring(reviewed).figures).get("/quality").json()
    assert found["window"] == {"from": "2026-11-17T12:00:00Z", "to": "2026-11-24T12:00:00Z"}
    assert found["precision"]["value"] == 0.8
    assert (found["precision"]["low"], found["precision"]["high"]) == (0.6269, 0.9049)
    assert found["precision"]["labels"] == 30
    assert found["recall"]["labels"] == 70
    assert 0.003 < found["recall"]["low"] < 24 / 2024 < found["recall"]["high"] < 0.03
    assert found["policies"][0]["name"] == "spam"
    assert found["policies"][0]["precision"]["value"] == 0.8
    assert found["reviewedPerDay"] == 10.0
    assert "agreement" not in found
    assert "reason" not in found


def test_what_a_policy_removes_unseen_is_measured_by_the_random_sample(reviewed: World) -> None:
    removed = {"blind": True, "flagged": True, "policies": (Acted(name="spam", action="Remove"),)}
    review(reviewed, "sampled", 20, "Remove", **removed)
    review(reviewed, "unjust", 5, "Approve", **removed)
    (found,) = client(measuring(reviewed).figures).get("/quality").json()["policies"]
    by_action = {one["action"]: one["precision"] for one in found["actions"]}
    assert (by_action["Remove"]["value"], by_action["Remove"]["labels"]) == (0.8, 25)
    assert (by_action["Review"]["value"], by_action["Review"]["labels"]) == (0.8, 30)
    # 30 labels of weight 1 say little beside 25 of weight 200.
    assert "value" not in found["precision"]


def test_what_is_removed_unseen_counts_before_one_was_seen(reviewed: World) -> None:
    found = measuring(reviewed, unseen=True).quality()
    assert found.precision.value is None
    assert "review.sample shows too few" in (found.reason or "")
    assert found.policies["spam"].actions["Review"].value == 0.8


def test_evidence_is_weighted_and_of_the_newest_model_alone(reviewed: World) -> None:
    review(reviewed, "other", 5, "Remove", model="sha256:old", scores={"removed": 0.5})
    reviewed.ask(request("newest", at=OLD + timedelta(minutes=1), scores={"removed": 0.9}))
    found = client(measuring(reviewed).figures).get("/evidence").json()
    assert found["model"] == "sha256:ab"
    label = found["labels"]["removed"]
    assert label["labels"] == 70
    # ln(0.9 / 0.1) = 2.197, in [2.0, 2.25); the texts not yet decided are stood for by the others.
    (top,) = (one for one in label["bins"] if one["logit"] == 2.0)
    assert (top["positive"], top["negative"]) == (pytest.approx(24 * 31 / 30), 0.0)
    (low,) = (one for one in label["bins"] if one["logit"] == -2.25)
    assert low["negative"] == pytest.approx(30 / RANDOM.probability)


def test_without_labels_everything_is_unknown_and_says_why(world: World) -> None:
    found = client(measuring(world).figures).get("/quality").json()
    assert found["precision"] == {"labels": 0, "effective": 0.0}
    assert "there are 0 labels of flagged texts" in found["reason"]
    assert found["policies"] == []


def test_only_decisions_of_people_are_counted_as_reviews(reviewed: World) -> None:
    before = measuring(reviewed).quality().reviewed_per_day
    reviewed.ask(request("other", at=OLD))
    decide(reviewed, "other", "Remove", "bot", actor_kind="Automation")
    decide(reviewed, "other", "Remove", "file", actor_kind="Import")
    decide(reviewed, "other", "Skip", "bob")
    assert measuring(reviewed).quality().reviewed_per_day == before
    decide(reviewed, "other", "Unsure", "eve")
    assert measuring(reviewed).quality().reviewed_per_day > before


def test_verdicts_that_still_wait_for_their_labels_are_not_judged(world: World) -> None:
    world.ask(*(request(f"new/{n}", at=START - timedelta(hours=71)) for n in range(30)))
    for n in range(30):
        decide(world, f"new/{n}", "Remove")
    assert measuring(world).quality().precision.labels == 0
    world.wait(hours=2)
    assert measuring(world).quality().precision.labels == 30


def test_two_peoples_decisions_are_compared(reviewed: World) -> None:
    decide(reviewed, "right/0", "Remove", "bob")
    decide(reviewed, "right/1", "Approve", "bob", supersedes="right/1-ann")
    found = measuring(reviewed).quality()
    assert found.agreement == 0.5
    assert found.precision.value == pytest.approx(23 / 30)


def test_figures_are_kept_and_read_again_while_the_old_ones_are_given(reviewed: World) -> None:
    # Each scan looks at the clock when it begins and ends; the first takes 10 s.
    moments = iter([0.0, 10.0, 209.0, 210.0, 210.0, 211.0, 211.0])
    waiting: list[Callable[[], None]] = []
    slow = measuring(reviewed, monotonic=lambda: next(moments), run=waiting.append)
    first = slow.figures()
    assert slow.figures() is first
    assert not waiting
    assert slow.figures() is first
    (work,) = waiting
    work()
    assert slow.figures() is not first


def test_a_scan_that_fails_is_no_old_figure(reviewed: World) -> None:
    moments = iter([0.0, 0.0, 15.0, 15.0, 16.0])
    found = measuring(reviewed, monotonic=lambda: next(moments), run=lambda work: work())
    found.figures()
    with reviewed.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE decisions RENAME TO gone")
    found.figures()
    with pytest.raises(RecordError):
        found.figures()


def test_a_database_that_does_not_answer_is_no_figure() -> None:
    def fails() -> Figures:
        raise RecordError("the database can't be used (Timeout).")

    answer: httpx.Response = client(fails).get("/quality")
    assert answer.status_code == 503
    assert answer.text == "the database can't be used (Timeout).\n"
