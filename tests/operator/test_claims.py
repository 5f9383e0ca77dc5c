from __future__ import annotations

from typing import Any

import pytest
from objects import body, moderation

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.controller.claims import Claims
from textmod_operator.state import ObjectKey

OLD: dict[str, Any] = {"name": "old", "uid": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}
NEW: dict[str, Any] = {"name": "new", "uid": "b", "creationTimestamp": "2026-01-02T00:00:00Z"}
SHARED = {"topics": {"output": {"name": "shared"}}}
OLD_KEY, NEW_KEY = ObjectKey("reddit", "old"), ObjectKey("reddit", "new")


def claims(*bodies: dict[str, Any]) -> Claims:
    known = Claims()
    for item in bodies:
        metadata = item["metadata"]
        known.note(ObjectKey(metadata["namespace"], metadata["name"]), item)
    return known


@pytest.mark.parametrize("role", ["output", "deadLetter"])
def test_the_older_of_two_writers_wins(role: str) -> None:
    spec = {"topics": {role: {"name": "shared"}}}
    known = claims(body(spec, **OLD), body(spec, **NEW))
    assert known.rival(moderation(spec, **OLD)) is None
    assert known.rival(moderation(spec, **NEW)) == ("reddit/old", "shared")


def test_the_dead_letters_of_one_are_not_the_output_of_another() -> None:
    dead = {"topics": {"deadLetter": {"name": "shared"}}}
    known = claims(body(SHARED, **OLD), body(dead, **NEW))
    assert known.rival(moderation(dead, **NEW)) == ("reddit/old", "shared")


@pytest.mark.parametrize("role", ["review", "feedback"])
def test_the_topics_of_review_have_one_writer_too(role: str) -> None:
    spec = {"review": {"topics": {role: {"name": "shared"}}}}
    known = claims(body(SHARED, **OLD), body(spec, **NEW))
    assert known.rival(moderation(spec, **NEW)) == ("reddit/old", "shared")


@pytest.mark.parametrize("first", [0, 1])
def test_two_objects_swap_their_outputs_in_either_order(first: int) -> None:
    """One waits for the other, never both for each other."""

    def writes(name: str, metadata: dict[str, Any]) -> dict[str, Any]:
        return body({"topics": {"output": {"name": name}}}, **metadata)

    known = claims(writes("x", OLD), writes("y", NEW))
    swapped = [(OLD_KEY, writes("y", OLD)), (NEW_KEY, writes("x", NEW))]
    (one, one_body), (other, other_body) = swapped[first], swapped[1 - first]
    known.note(one, one_body)
    assert known.rival(TextModeration.parse(one_body)) == (
        None if one == OLD_KEY else ("reddit/old", "x")
    )
    assert one in known.note(other, other_body), "it is looked at again"
    for now in (one_body, other_body):
        assert known.rival(TextModeration.parse(now)) is None


@pytest.mark.parametrize("earlier", ["input", "output"])
def test_a_topic_may_be_read_by_many_whoever_writes_it(earlier: str) -> None:
    first, second = ({"topics": {role: {"name": "shared"}}} for role in (earlier, "input"))
    known = claims(body(first, **OLD), body(second, **NEW))
    assert known.rival(moderation(second, **NEW)) is None
    assert known.also_used(moderation(second, **NEW), "shared")
    assert not known.also_used(moderation(second, **NEW), "new-output")


def test_a_tie_in_time_is_broken_the_same_way_for_both() -> None:
    twin = {**NEW, "creationTimestamp": OLD["creationTimestamp"]}
    for order in ((OLD, twin), (twin, OLD)):
        known = claims(*(body(SHARED, **metadata) for metadata in order))
        rivals = [known.rival(moderation(SHARED, **metadata)) for metadata in (OLD, twin)]
        assert rivals == [None, ("reddit/old", "shared")]


def test_the_same_name_on_another_kafka_is_another_topic() -> None:
    elsewhere = {**SHARED, "kafka": {"bootstrapServers": "other:9092"}}
    known = claims(body(SHARED, **OLD), body(elsewhere, **NEW))
    assert known.rival(moderation(elsewhere, **NEW)) is None


def test_a_claim_ends_with_its_object_and_frees_who_waits_for_it() -> None:
    known = claims(body(SHARED, **OLD), body(SHARED, **NEW))
    assert known.forget(OLD_KEY) == {NEW_KEY}
    assert known.rival(moderation(SHARED, **NEW)) is None
    assert known.forget(OLD_KEY) == set()


def test_a_changed_claim_names_who_has_to_be_looked_at_again() -> None:
    known = claims(body(SHARED, **OLD), body(SHARED, **NEW))
    assert known.note(OLD_KEY, body(SHARED, **OLD)) == set(), "nothing changed"
    assert known.note(OLD_KEY, body({}, **OLD)) == {NEW_KEY}
    assert known.rival(moderation(SHARED, **NEW)) is None


def test_a_spec_that_cannot_be_parsed_keeps_its_claims() -> None:
    """What it describes still runs."""
    known = claims(body(SHARED, **OLD), body(SHARED, **NEW))
    known.note(OLD_KEY, body({"message": {"format": "Nonsense"}}, **OLD))
    assert known.rival(moderation(SHARED, **NEW)) == ("reddit/old", "shared")
