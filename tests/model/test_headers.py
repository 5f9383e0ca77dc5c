"""The headers of verdicts and of dead letters."""

import pytest

from textmod_model.formats.dead_letter import dead_letter_headers
from textmod_model.formats.message import Refused
from textmod_model.formats.moment import timestamp, timestamp_of
from textmod_model.formats.verdict_headers import VerdictHeaders

HEADERS = VerdictHeaders("/textmoderation/group", "1", "sha256:00")
NOT_JSON = Refused("NotJson", "the message is not valid JSON.")


def verdict_headers(original, milliseconds=None):
    return HEADERS.of(original, "in/3/9", HEADERS.for_batch(0.0), milliseconds)


def letter_headers(original, refused=NOT_JSON, offset=9):
    return dead_letter_headers(
        original,
        refused,
        topic="in",
        partition=3,
        offset=offset,
        milliseconds=1000,
        model="science:1",
    )


def test_verdict_headers_are_cloudevents_after_the_original_ones():
    headers = verdict_headers([("trace", b"t"), ("trace", None)], 1_500)
    assert dict(headers) | {"trace": None} == {
        "trace": None,
        "ce_id": b"in/3/9",
        "ce_time": b"1970-01-01T00:00:00.000Z",
        "ce_specversion": b"1.0",
        "ce_type": b"dev.textmoderation.verdict.v1",
        "ce_source": b"/textmoderation/group",
        "content-type": b"application/json",
        "textmod.model.version": b"1",
        "textmod.model.digest": b"sha256:00",
        "textmod.source.timestamp": b"1970-01-01T00:00:01.500Z",
    }
    assert headers[:2] == [("trace", b"t"), ("trace", None)]


OF_THE_OLD_EVENT = [
    "ce_id",
    "CE_Time",
    "ce_dataschema",
    "ce_datacontenttype",
    "ce_dataref",
    "Content-Type",
    "content-encoding",
    "__value_schema_id",
    "textmod.error.reason",
    "Textmod.Error.message",
    "textmod.source.timestamp",
    "textmod.model.digest",
]


@pytest.mark.parametrize("name", OF_THE_OLD_EVENT)
def test_a_verdict_is_a_new_event(name):
    headers = verdict_headers([(name, b"theirs"), (name, None)], 0)
    assert b"theirs" not in dict(headers).values()
    names = [other.lower() for other, _ in headers]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "name",
    ["ce_subject", "ce_traceparent", "ce_partitionkey", "__key_schema_id", "textmod.redrive.count"],
)
def test_the_context_of_the_original_stays(name):
    assert (name, b"theirs") in verdict_headers([(name, b"theirs")])


def test_dead_letter_headers_follow_the_untouched_original():
    headers = letter_headers([("ce_id", b"theirs")])
    assert headers[0] == ("ce_id", b"theirs")
    assert dict(headers[1:]) == {
        "textmod.error.reason": b"NotJson",
        "textmod.error.message": b"the message is not valid JSON.",
        "textmod.error.topic": b"in",
        "textmod.error.partition": b"3",
        "textmod.error.offset": b"9",
        "textmod.error.timestamp": b"1970-01-01T00:00:01.000Z",
        "textmod.error.model": b"science:1",
    }


def test_a_dead_letter_that_was_sent_again_has_one_set_of_error_headers():
    headers = [("trace", b"t"), ("TextMod.error.reason", b"Older")]
    for offset in range(10):
        headers = letter_headers(headers, offset=offset)
    assert headers[0] == ("trace", b"t")
    assert len(headers) == 8
    assert dict(headers)["textmod.error.offset"] == b"9"


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1000, 1_700_000_000_123, -1, -1001])
def test_a_cheap_timestamp_is_the_same_timestamp(milliseconds):
    assert timestamp_of(milliseconds).decode() == timestamp(milliseconds / 1000)


def test_a_moment_beyond_the_calendar_costs_nothing_but_itself():
    assert timestamp(1e18) == ""
    assert timestamp_of(10**18) == b""
