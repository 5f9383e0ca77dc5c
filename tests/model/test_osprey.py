"""Verdicts as Osprey's Kafka input reads them."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_model.formats import catalog
from textmod_model.formats.encoders import osprey
from textmod_model.formats.message import Decoded, RefusedError, Verdicts, Writing

VERDICTS = Verdicts(("kept", "removed"), 0.5, "science:1")
WHERE = "science-input/3/41"


def test_a_verdict_is_an_action():
    encode = osprey.encoder(Writing(VERDICTS), lambda: 1_790_000_000.25)
    event = json.loads(encode(Decoded(("a",), id="42"), [0.75], WHERE))
    assert event == {
        "send_time": "2026-09-21T14:13:20.250Z",
        "data": {
            "action_id": osprey.action_id(WHERE),
            "action_name": "text_verdict",
            "data": {
                "verdict": {
                    "id": "42",
                    "label": "removed",
                    "score": 0.75,
                    "flagged": True,
                    "threshold": 0.5,
                    "model": "science:1",
                },
                "ce_id": WHERE,
            },
        },
    }


def test_an_event_is_read_as_osprey_reads_it():
    """Its KafkaInputStream takes send_time by dateutil's parser, and action_id by int()."""
    encode = catalog.encoder("Osprey", Writing(VERDICTS))
    event = json.loads(encode(Decoded(("a",)), [0.1], WHERE))
    sent = datetime.fromisoformat(event["send_time"])
    assert abs((datetime.now(UTC) - sent).total_seconds()) < 60
    assert int(event["data"]["action_id"]) == event["data"]["action_id"]


def test_several_labels_are_all_there():
    several = Verdicts(("not toxic", "toxic"), 0.5, "civil:1", ("toxic", "threat"))
    encode = catalog.encoder("Osprey", Writing(several))
    event = json.loads(encode(Decoded(("a",)), [[0.7, 0.2]], WHERE))
    verdict = event["data"]["data"]["verdict"]
    assert (verdict["label"], verdict["scores"]) == ("toxic", {"toxic": 0.7, "threat": 0.2})


def test_an_action_is_about_one_text():
    encode = catalog.encoder("Osprey", Writing(VERDICTS))
    with pytest.raises(RefusedError) as refused:
        encode(Decoded(("a", "b")), [0.1, 0.2], WHERE)
    assert refused.value.refused.reason == "TooManyTexts"


@given(st.text(max_size=249), st.integers(0, 10_000), st.integers(0, 2**63 - 1))
def test_the_number_of_an_action_has_63_bits_and_is_stable(topic, partition, offset):
    where = f"{topic}/{partition}/{offset}"
    assert 0 <= osprey.action_id(where) < 2**63
    assert osprey.action_id(where) == osprey.action_id(where)


def test_numbers_are_those_of_the_first_release():
    assert osprey.action_id("science-input/0/0") == 3617563915905660031
    assert len({osprey.action_id(f"t/0/{offset}") for offset in range(100_000)}) == 100_000
