"""Which texts must be reviewed, read from verdicts, is what the stream itself chooses."""

from __future__ import annotations

import json

from faults.reading import Reading
from textmod_model.review.selection import Sample


def verdict(rows: int, **tags: object) -> bytes:
    body = {"data": {"names": ["t:0"], "ndarray": [[0.5]] * rows}, "meta": {"tags": tags}}
    return json.dumps(body).encode()


def test_the_random_sample_is_the_streams() -> None:
    items = [f"in/{number % 6}/{number}" for number in range(2000)]
    chosen = {items[place] for place in Sample(0.05, "salt").chosen(items)}
    reading = Reading(0.05, "salt")
    assert {item for item in items if reading.to_review(item, verdict(1))} == chosen
    assert 50 < len(chosen) < 150


def test_a_text_that_a_policy_sends_to_review() -> None:
    reading = Reading(1e-18, "salt")
    assert reading.to_review("in/0/1", verdict(1, action="Review")) == ("in/0/1",)
    assert reading.to_review("in/0/1", verdict(1, action="Remove")) == ()


def test_several_texts_of_one_message_have_items_of_their_own() -> None:
    reading = Reading(1e-18, "salt")
    three = verdict(3, action="Remove", actions=["Allow", "Review", "Remove"])
    assert reading.to_review("in/0/1", three) == ("in/0/1#1",)


def test_a_tombstone_is_not_reviewed() -> None:
    assert Reading(1.0, "salt").to_review("in/0/1", None) == ()
