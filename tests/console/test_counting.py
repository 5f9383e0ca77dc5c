"""Counts of all verdicts: each text once, however often it was counted, and their use."""

import json
from datetime import timedelta
from itertools import pairwise

import pytest
from desk_world import START, World, request
from hypothesis import given
from hypothesis import strategies as st

from textmod_console.events import COUNTED, Decision, Tool, labels_of
from textmod_console.store import counting, projection
from textmod_console.store.counting import Coverage, Range, add_range
from textmod_console.store.digest import forget
from textmod_console.store.intake import Message, Role, take_in
from textmod_console.store.measuring import Measuring
from textmod_console.store.projection import Place

OLD = START - timedelta(days=4)
MODEL = "sha256:ab"


def counted(begin: int, until: int, *counts: dict, source: str = "in/0", model: str = MODEL):
    said = [
        {"at": OLD.isoformat(), "texts": until - begin, "scores": 0.5 * (until - begin)} | one
        for one in counts or ({"flagged": False},)
    ]
    return {"source": source, "from": begin, "until": until, "model": model, "counts": said}


def take(world: World, *events: dict) -> int:
    with world.database.write() as connection:
        first = projection.next_offsets(connection, "review").get(0, 0)
        messages = [
            Message(Place(0, offset), b"in/0", COUNTED, "", json.dumps(event).encode())
            for offset, event in enumerate(events, first)
        ]
        end = first + len(events)
        return take_in(connection, "review", Role.REVIEW, messages, {0: end})


def totals(world: World, model: str = MODEL) -> list[tuple[bool, float, float]]:
    with world.database.read() as connection:
        found = counting.totals(connection, OLD - timedelta(1), OLD + timedelta(1))
    return [(one.flagged, one.texts, pytest.approx(one.scores)) for one in found.get(model, [])]


def test_counts_are_added_up_by_what_was_said_and_by_model(world: World) -> None:
    flagged = {"flagged": True, "texts": 2, "scores": 1.8, "policyVersion": "v1"}
    flagged["policies"] = [{"name": "spam", "action": "Remove"}]
    take(
        world,
        counted(0, 10, flagged, {"flagged": False, "texts": 8, "scores": 0.4}),
        counted(10, 20, flagged | {"policyVersion": "v2"}),
        counted(0, 5, source="in/1", model="sha256:cd"),
    )
    assert sorted(totals(world)) == [(False, 8, 0.4), (True, 4, 3.6)]
    assert totals(world, "sha256:cd") == [(False, 5, 2.5)]


def test_what_is_read_again_counts_once(world: World) -> None:
    """At least once: another process reads on from the last commit, which is behind the counts."""
    assert take(world, counted(0, 100), counted(0, 100)) == 1
    assert totals(world) == [(False, 100, 50.0)]
    take_again = [counted(0, 100), counted(80, 120), counted(110, 130)]
    with world.database.write() as connection:
        forget(connection)
    take(world, *take_again)
    assert totals(world) == [(False, pytest.approx(130), 65.0)]
    with world.database.write() as connection:  # `rebuild`
        forget(connection)
    assert totals(world) == []
    take(world, *take_again)
    assert totals(world) == [(False, pytest.approx(130), 65.0)]


ranges = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda r: Range(r[0], r[0] + r[1]))


@given(st.lists(ranges, max_size=20))
def test_every_offset_is_counted_once_in_any_order(given_ranges: list[Range]) -> None:
    known: list[Range] = []
    seen: set[int] = set()
    for one in given_ranges:
        offsets = set(range(*one))
        share, known = add_range(known, one)
        assert share * len(offsets) == pytest.approx(len(offsets - seen))
        seen |= offsets
        assert sorted(seen) == [offset for each in known for offset in range(*each)]
        assert all(a.until < b.begin for a, b in pairwise(known))


@pytest.mark.parametrize(
    ("item", "is_included"),
    [
        ("in/0/0", True),
        ("in/0/9#3", True),
        ("in/0/10", False),
        ("in/0/20", True),
        ("in/0/29", True),
        ("in/0/30", False),
        ("in/1/5", False),
        ("other", False),
        ("in/0/x", False),
        ("", False),
    ],
)
def test_an_item_is_counted_where_its_offset_is(item: str, is_included: bool) -> None:
    found = Coverage({"in/0": [Range(0, 10), Range(20, 30)]})
    assert found.includes(item) is is_included


@pytest.mark.parametrize(
    "broken",
    [
        {"from": 5, "until": 5},
        {"from": -1},
        {"until": 2**63},
        {"source": "x" * 301},
        {"model": "\0"},
        {"counts": [{"at": "1970-01-01T00:00:00Z", "flagged": True, "texts": 1, "scores": 1e400}]},
        {"counts": [{"at": "never", "flagged": True, "texts": 1, "scores": 1}]},
        {"counts": {}},
    ],
)
def test_counts_that_cannot_be_read_are_skipped(world: World, broken: dict) -> None:
    assert take(world, counted(0, 5) | broken, counted(0, 5)) == 1


def test_counts_expire_behind_the_longest_window(world: World) -> None:
    take(world, counted(0, 10))
    for age, kept in ((counting.KEPT, [(False, 10, 5.0)]), (counting.KEPT + timedelta(1), [])):
        with world.database.write() as connection:
            counting.expire(connection, OLD + age)
        assert totals(world) == kept


# --- the figures ----------------------------------------------------------------------------------


def reviewed(world: World, first: int, number: int, label: str | None, **fields: object) -> None:
    """Review items of the offsets from `first` on."""
    world.ask(*(request(f"in/0/{first + n}", at=OLD, **fields) for n in range(number)))
    for n in range(number if label else 0):
        item = f"in/0/{first + n}"
        one = Decision(
            id=item,
            item=item,
            decision=label,
            labels=labels_of(label, "removed"),
            actor="ann",
            actor_kind="Human",
            tool=Tool(name="test", version="1"),
            at=OLD + timedelta(hours=1),
        )
        with world.database.write() as connection:
            projection.take_decisions(connection, [(one, one.value().decode(), None)])


def measured(world: World):
    return Measuring(
        world.database, timedelta(hours=72), minimum=20, clock=lambda: world.now
    ).quality()


@pytest.fixture
def sampled(world: World) -> World:
    """30 flagged texts, 24 of them right; 40 of the random sample, 10 of them missed."""
    reviewed(world, 0, 24, "Remove", scores={"removed": 0.9})
    reviewed(world, 24, 6, "Approve", scores={"removed": 0.7})
    reviewed(world, 30, 10, "Remove", blind=True, scores={"removed": 0.3})
    reviewed(world, 40, 30, "Approve", blind=True, scores={"removed": 0.1})
    return world


FLAGGED = {"flagged": True, "texts": 30, "scores": 24 * 0.9 + 6 * 0.7}
PASSED = {"flagged": False, "texts": 8_000, "scores": 8_000 * 0.1}
SPAM = {"policies": [{"name": "spam", "action": "Review"}]}


def test_the_scores_of_all_texts_are_used_where_they_are_counted(sampled: World) -> None:
    before = measured(sampled)
    assert before.estimator == "Hajek"
    take(sampled, counted(0, 9_000, FLAGGED | SPAM, PASSED))
    after = measured(sampled)
    assert (after.estimator, after.precision.value) == ("Difference", pytest.approx(0.8))
    # The mean score of all is lower than that of the sample, so fewer were missed.
    assert None not in (before.recall.value, after.recall.value)
    assert (after.recall.value or 0) > (before.recall.value or 0)
    policy = after.policies["spam"]
    assert policy.precision.value == pytest.approx(0.8)
    assert policy.recall.value == pytest.approx(after.recall.value)


def test_where_a_part_was_never_counted_the_labels_alone_are_used(sampled: World) -> None:
    take(sampled, counted(0, 65, FLAGGED | SPAM, PASSED))
    lacking = measured(sampled)
    assert lacking.estimator == "Hajek"
    take(sampled, counted(65, 69, {"flagged": False, "texts": 4, "scores": 0.4}))
    assert measured(sampled).estimator == "Difference"


def test_two_models_of_a_window_are_not_mixed(sampled: World) -> None:
    before = measured(sampled)
    assert (before.model, before.earlier) == (MODEL, {})
    newer = {"model": "sha256:new", "scores": {"removed": 0.9}, "policy_version": "v2"}
    sampled.ask(request("in/1/1", at=OLD + timedelta(minutes=1), **newer))
    take(sampled, counted(0, 9_000, FLAGGED | SPAM, PASSED))
    after = measured(sampled)
    assert (after.model, after.precision.value, after.policy_versions) == ("sha256:new", None, 1)
    assert after.estimator == "Hajek", "nothing of the newer model is counted"
    [(model, earlier)] = after.earlier.items()
    assert (model, earlier.precision.value) == (MODEL, pytest.approx(before.precision.value))
    assert earlier.estimator == "Difference"
