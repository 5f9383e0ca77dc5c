"""What becomes of a batch: one record per message, whatever is in it."""

import json

import numpy as np
import pytest
from messages import FakeMessage

from textmod_model.formats import catalog
from textmod_model.formats.message import Reading, Verdicts, Writing
from textmod_model.formats.verdict_headers import VerdictHeaders
from textmod_model.stream.brake import ModelBrokenError
from textmod_model.stream.judge import TEXTS_AT_ONCE, Judge
from textmod_model.stream.letters import DeadLetters
from textmod_model.stream.records import HeadersUnread


def by_length(texts):
    """A score that says which text it is for."""
    return np.array([len(text) / 1000 for text in texts])


def judge(score=by_length, output_format="Verdict", **options):
    verdicts = Verdicts(("kept", "removed"), 0.5, "science:1")
    return Judge(
        decode=catalog.decoder("Auto", Reading(("body",))),
        score=score,
        encode=catalog.encoder(output_format, Writing(verdicts)),
        headers=VerdictHeaders("/textmoderation/group", "1", "sha256:00"),
        letters=DeadLetters("science:1"),
        clock=lambda: 0.0,
        **options,
    )


def test_one_record_per_message_in_order_and_the_offsets_after_them():
    batch = judge().judge(
        [
            FakeMessage(b"aaa", offset=7, partition=0),
            FakeMessage(b"\xff", offset=3, partition=1),
            FakeMessage(b"a", offset=8, partition=0),
        ]
    )
    assert [record.refused and record.refused.reason for record in batch.records] == [
        None,
        "NotUtf8",
        None,
    ]
    assert [json.loads(batch.records[i].value)["score"] for i in (0, 2)] == [0.003, 0.001]
    assert batch.offsets == {0: 9, 1: 4}
    assert batch.scores.tolist() == [0.003, 0.001]


def test_a_dead_letter_is_the_original_and_more_headers():
    message = FakeMessage(b"\xff", offset=3, key=None, headers=[("a", None)])
    record = judge().judge([message]).records[0]
    assert (record.key, record.value, record.headers[0]) == (None, b"\xff", ("a", None))
    assert dict(record.headers)["textmod.error.offset"] == b"3"


def test_a_message_with_unreadable_headers_is_a_dead_letter():
    [letter] = judge().judge([HeadersUnread(FakeMessage(b"hello", offset=7))]).records
    assert (letter.key, letter.value) == (b"k", b"hello")
    headers = dict(letter.headers)
    assert headers["textmod.error.reason"] == b"HeaderNotUtf8"
    assert headers["textmod.error.offset"] == b"7"


def test_a_tombstone_is_a_dead_letter_unless_it_is_to_be_forwarded():
    message = FakeMessage(None, offset=3, partition=2, headers=[("a", b"b")])
    [letter] = judge().judge([message]).records
    assert letter.refused.reason == "NullValue"
    [record] = judge(forward_tombstones=True).judge([message]).records
    assert (record.refused, record.key, record.value) == (None, b"k", None)
    assert record.headers[0] == ("a", b"b")
    assert dict(record.headers)["ce_id"] == b"in/2/3"


def test_a_verdict_keeps_key_time_and_headers():
    message = FakeMessage(b"a", offset=3, partition=2, headers=[("a", b"b")])
    record = judge(output_format="Seldon").judge([message]).records[0]
    assert (record.key, record.milliseconds) == (b"k", 5)
    assert record.headers[0] == ("a", b"b")
    assert dict(record.headers)["ce_id"] == b"in/2/3"


def test_a_record_without_time_stamp_gets_none_from_us():
    record = judge().judge([FakeMessage(b"a", timestamp=(0, -1))]).records[0]
    assert record.milliseconds is None


def test_a_text_that_breaks_the_model_costs_nobody_else():
    def fragile(texts):
        if any("poison" in text for text in texts):
            raise ValueError("poison")
        return by_length(texts)

    batch = judge(fragile).judge([FakeMessage(b"aaa"), FakeMessage(b"poison"), FakeMessage(b"a")])
    reasons = [record.refused and record.refused.reason for record in batch.records]
    assert reasons == [None, "ScoringFailed", None]
    assert batch.scores.tolist() == [0.003, 0.001]
    assert "poison" not in batch.records[1].refused.message


def test_many_texts_in_a_message_are_scored_a_few_at_a_time():
    most = 0

    def counting(texts):
        nonlocal most
        most = max(most, len(texts))
        return by_length(texts)

    texts = ["a" * (1 + i % 9) for i in range(3 * TEXTS_AT_ONCE)]
    value = json.dumps({"data": {"ndarray": texts}}).encode()
    answer = json.loads(judge(counting, "Seldon").judge([FakeMessage(value)]).records[0].value)
    assert most == TEXTS_AT_ONCE
    assert [row[1] for row in answer["data"]["ndarray"]] == [len(text) / 1000 for text in texts]


@pytest.mark.parametrize("value", [b"a", b"\xff"])
def test_what_the_output_refuses_becomes_smaller_each_time(value):
    one = judge()
    message = FakeMessage(value, headers=[("big", b"x" * 1000)])
    record = one.judge([message]).records[0]
    refused = record.refused or one.judge([FakeMessage(b"\xff")]).records[0].refused
    letters = DeadLetters("science:1")
    letter = letters.whole(message, refused)
    assert letter.value == value
    bare = letters.bare(message, refused)
    assert bare.bare
    assert (bare.key, bare.value) == (None, None)
    assert dict(bare.headers)["textmod.error.offset"] == b"0"
    assert "big" not in dict(bare.headers)


def test_partitions_taken_away_are_nobodys_business_here():
    batch = judge().judge([FakeMessage(b"a", 1, partition=0), FakeMessage(b"b", 5, partition=1)])
    batch.lost.add(0)
    assert batch.next_offsets() == {1: 6}
    assert [batch.holds(record) for record in batch.records] == [False, True]


def broken(_texts):
    raise MemoryError("with the user's text in it")


def test_a_broken_model_stops_the_stream_and_turns_nothing_into_dead_letters():
    with pytest.raises(ModelBrokenError, match=r"^The model cannot score any text: MemoryError\.$"):
        judge(broken).judge([FakeMessage(b"aaa")])


def test_a_model_that_fails_for_most_texts_is_broken_too():
    def fragile(texts):
        if any("u" in text for text in texts):
            raise ValueError
        return by_length(texts)

    one = judge(fragile)
    one.judge([FakeMessage(b"aaa")] * 20)
    batch = one.judge([FakeMessage(b"uuu")] * 9)  # too few to say so
    assert {record.refused.reason for record in batch.records} == {"ScoringFailed"}
    assert "ValueError" in batch.records[0].refused.message
    with pytest.raises(
        ModelBrokenError, match=r"cannot score 30 of the last \d+ texts: ValueError"
    ):
        one.judge([FakeMessage(b"uuu")] * 21)
    one.judge([FakeMessage(b"aaa")] * 20)  # it recovers; what was not judged does not count


def test_a_score_that_is_no_number_is_a_failure():
    def nan_for_long_texts(texts):
        return np.array([0.5 if len(text) < 30 else np.nan for text in texts])

    batch = judge(nan_for_long_texts).judge([FakeMessage(b"aaa"), FakeMessage(b"a" * 40)])
    assert [r.refused and r.refused.reason for r in batch.records] == [None, "ScoringFailed"]
