"""Every kind of message is decoded or refused; nothing raises, nothing repeats a user's text."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_model.formats import catalog
from textmod_model.formats.encoders.seldon import seldon_answer, seldon_response
from textmod_model.formats.message import (
    Decoded,
    Reading,
    Refused,
    RefusedError,
    Verdicts,
    Writing,
)
from textmod_model.formats.payload import MAX_TEXTS_PER_MESSAGE
from textmod_model.formats.payload import dumps as dumps_back

VERDICTS = Verdicts(("kept", "removed"), 0.5, "science:1")

verdict = catalog.encoder("Verdict", Writing(VERDICTS))


def decode(value, message_format="Auto", text_field="body", headers=None):
    return catalog.decoder(message_format, Reading(tuple(text_field.split("."))))(value, headers)


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
    ("Text", b"padded to a width" + b"\0" * 47, ("padded to a width" + "\0" * 47,)),
    ("Text", b"two \0 in a \0 text", ("two \0 in a \0 text",)),
    ("Text", b"\x1b[1mbold\x1b[0m", ("\x1b[1mbold\x1b[0m",)),
    ("Json", b'{"body":"\\ud800 alone"}', ("\ud800 alone",)),
    ("Json", b'{"body":"hi","n":123456789012345678901234567890}', ("hi",)),
    ("Json", b'{"body":"hi","n":NaN}', ("hi",)),
    ("Json", b'\xef\xbb\xbf{"body":"hi"}', ("hi",)),
    ("Auto", b'\xef\xbb\xbf {"body":"hi"}', ("hi",)),
    ("Auto", b"{{citation needed}} you idiots", ("{{citation needed}} you idiots",)),
    ("Auto", b"{broken", ("{broken",)),
    ("Auto", b'{"body":"hi"} and more', ('{"body":"hi"} and more',)),
    ("Auto", b" {", (" {",)),
    ("Auto", b"{" * 3000, ("{" * 3000,)),
    ("Auto", b'{"body":"hi","likes":' + b"9" * 5000 + b"}", ("hi",)),
    ("Json", b'{"likes":-' + b"9" * 5000 + b',"body":"hi"}', ("hi",)),
    ("Auto", b"\0nothing framed", ("\0nothing framed",)),
]


@pytest.mark.parametrize(("message_format", "value", "texts"), TEXTS)
def test_finds_the_texts(message_format, value, texts):
    decoded = decode(value, message_format)
    assert isinstance(decoded, Decoded)
    assert decoded.texts == texts


def test_finds_a_text_by_its_dotted_path():
    assert decode(b'{"a":{"b":"hi"}}', "Json", "a.b").texts == ("hi",)
    assert decode(b'{"data":{"text":"hi"}}', "Auto", "data.text").texts == ("hi",)


@pytest.mark.parametrize("name", [b"true", b'""', b"1.5", b"{}", b"null", b"9" * 5000])
def test_an_id_is_a_number_or_a_text(name):
    assert decode(b'{"body":"hi","id":' + name + b"}").id is None


def test_what_is_no_json_is_not_written_back():
    """The forgiving writer, which a lone surrogate needs, would write Infinity."""
    with pytest.raises(RefusedError, match="can't be written back"):
        dumps_back({"a": "\ud800", "b": float("inf")})


REFUSALS = [
    ("Auto", b'{"body":' + b"9" * 5000 + b"}", "TextNotString"),
    ("Auto", None, "NullValue"),
    ("Auto", b"", "EmptyText"),
    ("Auto", b" \n\t", "EmptyText"),
    ("Auto", b"\xff\xfe", "NotUtf8"),
    ("Auto", "you are all idiots".encode("utf-16-le"), "NotUtf8"),
    ("Text", "you are all idiots".encode("utf-16-be"), "NotUtf8"),
    ("Text", "you are all idiots".encode("utf-32-le"), "NotUtf8"),
    ("Text", "you are all idiots".encode("utf-32-be"), "NotUtf8"),
    (
        "Text",
        "\u0432\u0441\u0435 \u0432\u044b \u0438\u0434\u0438\u043e\u0442\u044b".encode("utf-16-le"),
        "NotUtf8",
    ),
    ("Auto", '{"body":"hi"}'.encode("utf-16-le"), "NotUtf8"),
    ("Json", b"{broken", "NotJson"),
    ("Json", b'{"a":' * 3000, "NotJson"),
    ("Seldon", b"{broken", "NotJson"),
    ("Auto", b'{"body":"\xff"}', "NotUtf8"),
    ("Auto", b'\0\0\0\0\7{"body":"hi"}', "SchemaRegistryNotSet"),
    ("Auto", b"\0\0\1\x86\xa0\2hi", "SchemaRegistryNotSet"),
    ("Auto", b"\0\x7f\xff\xff\xff\2hi", "SchemaRegistryNotSet"),
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


def test_a_value_beyond_the_memory_limit_is_not_looked_at():
    decode = catalog.decoder("Auto", Reading(("body",), largest=10))
    assert isinstance(decode(b"0123456789", None), Decoded)
    refused = decode(b"0123456789a", None)
    assert refused.reason == "TooLarge"
    assert "11 bytes" in refused.message


def test_refuses_more_texts_than_anyone_means():
    most = MAX_TEXTS_PER_MESSAGE
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
    assert json.loads(seldon_response(decoded, scores))["data"]["names"] == ["t:0", "t:1"]
    flat = json.loads(verdict(decoded, scores, "t/0/1"))
    assert (flat if isinstance(flat, dict) else flat[0])["score"] == 0.25


@pytest.mark.parametrize(
    "value", [b"\0\0\0\0\7hunter2", b'{"hunter2":1}', b"\xffhunter2", b'{"body":["hunter2"]}']
)
def test_a_refusal_never_repeats_what_was_there(value):
    assert "hunter2" not in decode(value).message


def test_answers_one_text_as_seldon_does():
    answer = seldon_response(Decoded(("x",)), [0.32])
    assert json.loads(answer) == {
        "data": {"names": ["t:0", "t:1"], "ndarray": [[0.6799999999999999, 0.32]]},
        "meta": {},
    }


def test_the_quick_answer_is_the_general_one():
    for score in (0.0, 1.0, 0.1, 1e-17, 1 / 3):
        quick = json.loads(seldon_response(Decoded(("x",)), [score]))
        assert quick == seldon_answer(Decoded(("x",)), [score])


def test_repeats_meta_as_the_wrapper_does():
    decoded = decode(b'{"strData":"x","meta":{"puid":"p","tags":{"a":1},"routing":{"b":2}}}')
    assert json.loads(seldon_response(decoded, [0.5]))["meta"] == {
        "puid": "p",
        "tags": {"a": 1},
    }


def test_a_verdict_is_flagged_at_its_threshold():
    decoded = decode(b'{"body":"x","id":"c1"}')
    assert json.loads(verdict(decoded, [0.5], "in/0/7")) == {
        "id": "c1",
        "label": "removed",
        "score": 0.5,
        "flagged": True,
        "threshold": 0.5,
        "model": "science:1",
    }
    below = json.loads(verdict(decode(b"x"), [0.49], "in/0/7"))
    assert (below["id"], below["label"], below["flagged"]) == ("in/0/7", "kept", False)


def test_several_texts_get_several_verdicts():
    decoded = decode(b'{"data":{"ndarray":["a","b"]},"meta":{"puid":"p"}}')
    flat = json.loads(verdict(decoded, [0.1, 0.9], "in/0/7"))
    assert [(one["id"], one["label"]) for one in flat] == [("p", "kept"), ("p", "removed")]


EVENT = {"specversion": "1.0", "id": "e1", "source": "/forum", "type": "comment"}
STRUCTURED = [("Content-Type", b"application/CloudEvents+json; charset=utf-8")]

EVENTS = [
    ("Auto", {"data": {"body": "hi"}}, ("hi",), "e1"),
    ("Json", {"data": {"body": "hi", "id": "c7"}}, ("hi",), "c7"),
    ("Seldon", {"data": {"data": {"ndarray": ["a", "b"]}}}, ("a", "b"), "e1"),
    ("Auto", {"data": "just words", "datacontenttype": "text/plain"}, ("just words",), "e1"),
    ("Text", {"data": "just words"}, ("just words",), "e1"),
    ("Json", {"data": '{"body":"hi"}'}, ("hi",), "e1"),
    ("Json", {"data_base64": "eyJib2R5IjoiaGkifQ=="}, ("hi",), "e1"),
    ("Text", {"data_base64": "aGk="}, ("hi",), "e1"),
]


@pytest.mark.parametrize(("message_format", "data", "texts", "name"), EVENTS)
def test_opens_a_cloudevent_in_structured_mode(message_format, data, texts, name):
    decoded = decode(dumps(EVENT | data), message_format, headers=STRUCTURED)
    assert isinstance(decoded, Decoded), decoded
    assert (decoded.texts, decoded.id) == (texts, name)


BAD_EVENTS = [
    (b"not json", "NotJson"),
    (b"[]", "WrongSchema"),
    (b'{"data":{"body":"hi"}}', "WrongSchema"),
    (dumps(EVENT), "NoTextField"),
    (dumps(EVENT | {"data_base64": "!"}), "WrongSchema"),
    (dumps(EVENT | {"data": {"other": 1}}), "NoTextField"),
]


@pytest.mark.parametrize(("value", "reason"), BAD_EVENTS)
def test_refuses_a_cloudevent_without_text(value, reason):
    assert decode(value, headers=STRUCTURED).reason == reason


def test_an_envelope_is_opened_only_where_its_header_says_so():
    value = dumps(EVENT | {"body": "the text", "data": {"body": "hi"}})
    binary = [("content-type", b"application/json"), ("ce_id", b"1"), ("x", None)]
    assert decode(value, "Json", headers=binary).texts == ("the text",)


def test_a_format_is_registered_once_and_under_its_name():
    assert {"Auto", "Seldon", "Json", "Text"} <= set(catalog.input_formats())
    assert {"Seldon", "Verdict"} <= set(catalog.output_formats())


def test_formats_without_a_registry_load_none_of_its_client():
    code = (
        "import sys; from textmod_model.formats import catalog;"
        "catalog.input_formats(), catalog.output_formats();"
        "print([one for one in sys.modules if one.startswith(('confluent', 'fastavro', 'grpc'))])"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


BARE_EVENT = {"specversion": "1.0", "id": "7", "source": "/forum", "type": "comment"}


@pytest.mark.parametrize("message_format", ["Auto", "Json"])
@pytest.mark.parametrize("headers", [None, [("content-type", b"application/json")]])
def test_a_cloudevent_without_its_content_type_is_opened(message_format, headers):
    value = dumps(BARE_EVENT | {"data": {"body": "hi"}})
    assert decode(value, message_format, headers=headers) == Decoded(("hi",), id="7")


def test_a_text_field_beside_the_attributes_of_a_cloudevent_is_the_text():
    assert decode(dumps(BARE_EVENT | {"body": "hi", "data": {"body": "no"}})).texts == ("hi",)
    assert decode(dumps(BARE_EVENT | {"data": "a comment"})).texts == ("a comment",)
    assert decode(dumps(BARE_EVENT)) == Refused("NoTextField", "the CloudEvent has no data.")
    assert decode(dumps({"specversion": "1.0", "type": "x"})).reason == "NoTextField"


@pytest.mark.parametrize("message_format", ["Auto", "Json", "Seldon", "Text"])
@pytest.mark.parametrize(
    "content_type",
    [
        b"application/cloudevents-batch+json",
        b"application/CloudEvents-Batch+JSON; charset=utf-8",
        b"application/cloudevents+avro",
        b"application/cloudevents+protobuf",
    ],
)
def test_envelopes_that_are_not_one_event_in_json_are_not_scored_as_text(
    message_format, content_type
):
    value = dumps([BARE_EVENT | {"data": {"body": "hi"}}])
    refused = decode(value, message_format, headers=[("Content-Type", content_type)])
    assert isinstance(refused, Refused)
    assert refused.reason == "WrongSchema"
    assert "one event a message" in refused.message
