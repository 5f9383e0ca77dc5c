"""Every kind of message is decoded or refused; nothing raises, nothing repeats a user's text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_model.formats import messages
from textmod_model.formats.messages import Decoded, Refused, VerdictHeaders, Verdicts

VERDICTS = Verdicts(("kept", "removed"), 0.5, "science:1")


def decode(value, message_format="Auto", text_field="body"):
    return messages.decoder(message_format, text_field)(value)


def dumps(document):
    return json.dumps(document).encode()


TEXTS = [
    ("Auto", b'{"body":"hi"}', ("hi",)),
    ("Auto", b"just words", ("just words",)),
    ("Auto", b"[deleted]", ("[deleted]",)),
    ("Auto", b'"quoted"', ('"quoted"',)),
    ("Auto", b"42", ("42",)),
    ("Auto", b'  {"strData":"hi"}', ("hi",)),
    ("Auto", b'{"data":{"ndarray":["a",["b","c"]]}}', ("a", "b", "c")),
    ("Auto", b'{"body":"hi","data":{"ndarray":["other"]}}', ("hi",)),
    ("Seldon", b'{"data":{"tensor":{"shape":[2,1],"values":["a","b"]}}}', ("a", "b")),
    ("Seldon", b'{"jsonData":["a","b"]}', ("a", "b")),
    ("Seldon", b'{"jsonData":{"body":"a"}}', ("a",)),
    ("Seldon", b'{"binData":"aGk="}', ("hi",)),
    ("Json", b'{"body":"hi"}', ("hi",)),
    ("Text", b'{"body":"hi"}', ('{"body":"hi"}',)),
    ("Text", "🙂 漢字 ע".encode(), ("🙂 漢字 ע",)),
    ("Text", b"a\0b", ("a\0b",)),
    ("Json", b'{"body":"\\ud800 alone"}', ("\ud800 alone",)),
    ("Json", b'{"body":"hi","n":123456789012345678901234567890}', ("hi",)),
    ("Json", b'{"body":"hi","n":NaN}', ("hi",)),
    ("Json", b'\xef\xbb\xbf{"body":"hi"}', ("hi",)),
    ("Auto", b'\xef\xbb\xbf {"body":"hi"}', ("hi",)),
]


@pytest.mark.parametrize(("message_format", "value", "texts"), TEXTS)
def test_finds_the_texts(message_format, value, texts):
    decoded = decode(value, message_format)
    assert isinstance(decoded, Decoded)
    assert decoded.texts == texts


def test_finds_a_text_by_its_dotted_path():
    assert decode(b'{"a":{"b":"hi"}}', "Json", "a.b").texts == ("hi",)
    assert decode(b'{"data":{"text":"hi"}}', "Auto", "data.text").texts == ("hi",)


REFUSALS = [
    ("Auto", None, "NullValue"),
    ("Auto", b"", "EmptyText"),
    ("Auto", b" \n\t", "EmptyText"),
    ("Auto", b"\xff\xfe", "NotUtf8"),
    ("Auto", b"{broken", "NotJson"),
    ("Auto", b'{"a":' * 3000, "NotJson"),
    ("Auto", b'{"body":"\xff"}', "NotUtf8"),
    ("Auto", b'{"other":"x"}', "NoTextField"),
    ("Auto", b'{"body":null}', "TextNotString"),
    ("Auto", b'{"body":{"x":1}}', "TextNotString"),
    ("Auto", b'{"data":{"ndarray":[1,2]}}', "TextNotString"),
    ("Auto", b'{"data":{"ndarray":[]}}', "NoText"),
    ("Auto", b'{"data":{"ndarray":["ok",""]}}', "EmptyText"),
    ("Auto", b'{"data":[]}', "WrongSchema"),
    ("Auto", b'{"data":{}}', "WrongSchema"),
    ("Auto", b'{"strData":"x","meta":7}', "WrongSchema"),
    ("Auto", b'{"binData":"!!"}', "WrongSchema"),
    ("Auto", b'{"binData":"/w=="}', "NotUtf8"),
    ("Json", b'["body"]', "WrongSchema"),
    ("Json", b"not json", "NotJson"),
    ("Seldon", b'{"body":"hi"}', "WrongSchema"),
    ("Seldon", b'["hi"]', "WrongSchema"),
]


@pytest.mark.parametrize(("message_format", "value", "reason"), REFUSALS)
def test_refuses_with_a_reason(message_format, value, reason):
    refused = decode(value, message_format)
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert refused.message.endswith(".")


def test_refuses_more_texts_than_anyone_means():
    most = messages.MAX_TEXTS_PER_MESSAGE
    assert isinstance(decode(dumps({"data": {"ndarray": ["x"] * most}})), Decoded)
    assert decode(dumps({"data": {"ndarray": ["x"] * (most + 1)}})).reason == "TooManyTexts"


@pytest.mark.parametrize("message_format", ["Auto", "Seldon", "Json", "Text"])
@given(value=st.binary() | st.text().map(str.encode) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["data", "ndarray", "tensor", "values", "strData", "meta", "body", "puid"]),
        inner,
    ),
).map(dumps))  # fmt: skip
def test_never_raises_and_always_answers_in_json(message_format, value):
    decoded = decode(value, message_format)
    if isinstance(decoded, Refused):
        return
    scores = [0.25] * len(decoded.texts)
    assert json.loads(messages.seldon_response(decoded, scores))["data"]["names"] == ["t:0", "t:1"]
    flat = json.loads(messages.verdict(decoded, scores, "t/0/1", VERDICTS))
    assert (flat if isinstance(flat, dict) else flat[0])["score"] == 0.25


@pytest.mark.parametrize(
    "value", [b"{hunter2", b'{"hunter2":1}', b"\xffhunter2", b'{"body":["hunter2"]}']
)
def test_a_refusal_never_repeats_what_was_there(value):
    assert "hunter2" not in decode(value).message


def test_answers_one_text_as_seldon_does():
    answer = messages.seldon_response(Decoded(("x",)), [0.32])
    assert json.loads(answer) == {
        "data": {"names": ["t:0", "t:1"], "ndarray": [[0.6799999999999999, 0.32]]},
        "meta": {},
    }


def test_the_quick_answer_is_the_general_one():
    for score in (0.0, 1.0, 0.1, 1e-17, 1 / 3):
        quick = json.loads(messages.seldon_response(Decoded(("x",)), [score]))
        assert quick == messages.seldon_answer(Decoded(("x",)), [score])


def test_repeats_meta_as_the_wrapper_does():
    decoded = decode(b'{"strData":"x","meta":{"puid":"p","tags":{"a":1},"routing":{"b":2}}}')
    assert json.loads(messages.seldon_response(decoded, [0.5]))["meta"] == {
        "puid": "p",
        "tags": {"a": 1},
    }


def test_a_verdict_is_flagged_at_its_threshold():
    decoded = decode(b'{"body":"x","id":"c1"}')
    assert json.loads(messages.verdict(decoded, [0.5], "in/0/7", VERDICTS)) == {
        "id": "c1",
        "label": "removed",
        "score": 0.5,
        "flagged": True,
        "threshold": 0.5,
        "model": "science:1",
    }
    below = json.loads(messages.verdict(decode(b"x"), [0.49], "in/0/7", VERDICTS))
    assert (below["id"], below["label"], below["flagged"]) == ("in/0/7", "kept", False)


def test_several_texts_get_several_verdicts():
    decoded = decode(b'{"data":{"ndarray":["a","b"]},"meta":{"puid":"p"}}')
    flat = json.loads(messages.verdict(decoded, [0.1, 0.9], "in/0/7", VERDICTS))
    assert [(one["id"], one["label"]) for one in flat] == [("p", "kept"), ("p", "removed")]


HEADERS = VerdictHeaders("/textmoderation/group", "1", "sha256:00")


def test_verdict_headers_are_cloudevents_after_the_original_ones():
    shared = HEADERS.for_batch(0.0)
    names = dict(HEADERS.of([("trace", b"t"), ("trace", None)], "in/3/9", shared))
    assert names["ce_id"] == b"in/3/9"
    assert names["ce_time"] == b"1970-01-01T00:00:00.000Z"
    assert names["ce_specversion"] == b"1.0"
    assert names["ce_type"] == b"dev.textmoderation.verdict.v1"
    assert names["ce_source"] == b"/textmoderation/group"
    assert names["textmod.model.version"] == b"1"
    assert names["textmod.model.digest"] == b"sha256:00"
    assert HEADERS.of([("trace", b"t"), ("trace", None)], "x", shared)[:2] == [
        ("trace", b"t"),
        ("trace", None),
    ]


def test_a_cloudevent_comes_out_as_another_not_as_two():
    shared = HEADERS.for_batch(0.0)
    headers = HEADERS.of([("ce_id", b"theirs"), ("content-type", b"text/plain")], "in/3/9", shared)
    assert [value for name, value in headers if name == "ce_id"] == [b"in/3/9"]
    assert dict(headers)["content-type"] == b"application/json"


def test_dead_letter_headers_follow_the_untouched_original():
    headers = messages.dead_letter_headers(
        [("ce_id", b"theirs")],
        Refused("NotJson", "the message is not valid JSON."),
        topic="in",
        partition=3,
        offset=9,
        milliseconds=1000,
        model="science:1",
    )
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


def test_a_moment_beyond_the_calendar_costs_nothing_but_itself():
    assert messages.timestamp(1e18) == ""
