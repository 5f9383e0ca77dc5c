"""Whatever a client sends, it gets an answer or a refusal: no 500, no INTERNAL, no traceback."""

import json
import logging

import grpc
import numpy as np
import pytest
from app_client import AppClient
from google.protobuf.any_pb2 import Any
from google.protobuf.struct_pb2 import Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served_models import SCIENCE

from textmod_model.metrics import Metrics
from textmod_model.protos import seldon_pb2 as pb
from textmod_model.serving import rest
from textmod_model.serving.grpc_server import Service
from textmod_model.serving.predictor import Predictor

fuzzed = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ndarray", "tensor", "values", "shape", "body", "names", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
documents = values | st.dictionaries(
    st.sampled_from(["data", "strData", "jsonData", "binData", "meta", "customData"]), values
)
bodies = st.binary(max_size=60) | documents.map(lambda document: json.dumps(document).encode())
content_types = st.sampled_from(
    [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=b",
        'multipart/form-data; boundary="',
        "multipart/mixed; boundary=b",
        "",
        ";",
    ]
)


@fuzzed
@given(
    body=bodies
    | bodies.map(lambda body: b"json=" + body)
    | bodies.map(
        lambda body: (
            b'--b\r\nContent-Disposition: form-data; name="json"\r\n\r\n' + body + b"\r\n--b--"
        )
    ),
    content_type=content_types,
    query=st.text(st.characters(codec="utf-8"), max_size=8),
)
def test_rest_answers_or_refuses(body, content_type, query, caplog):
    predictor = Predictor(lambda texts: np.full(len(texts), 0.25), SCIENCE)
    seldon = AppClient(rest.seldon_app(predictor, Metrics()))
    with caplog.at_level(logging.ERROR):
        answer = seldon.post(
            "/predict", content=body, headers={"Content-Type": content_type}, params={"json": query}
        )
    assert answer.status_code in {200, 400}, answer.text
    json.loads(answer.text)
    assert not caplog.records


NAMES = [
    *("comment", "text", "type", "requestedAttributes", "requested_attributes", "TOXICITY"),
    *("scoreThreshold", "scoreType", "languages", "spanAnnotations", "clientToken", "context"),
    *("entries", "articleAndParentComment", "attributeScores", "summaryScore", "spanScores"),
    *("value", "input", "model", "image_url", "dropUnsupportedAttributes", "doNotStore"),
]
STRINGS = ["a. b", "<b>a &amp; b</b>", "HTML", "PLAIN_TEXT", "text", "en", "\ud800", "", "<", "\0"]
nested = st.recursive(
    scalars | st.sampled_from(STRINGS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=10,
)
texts = st.sampled_from(STRINGS) | st.text(max_size=30)
entries = st.fixed_dictionaries(
    {"text": texts}, optional={"type": st.sampled_from(["HTML", "PLAIN_TEXT"]) | nested}
)
perspective_requests = st.fixed_dictionaries(
    {"comment": entries | nested},
    optional={
        "requestedAttributes": st.dictionaries(
            st.sampled_from(["TOXICITY", "REMOVED"]) | texts, nested | st.just({}), max_size=3
        ),
        "attributeScores": st.dictionaries(texts, nested | st.just({}), max_size=3),
        "spanAnnotations": st.booleans() | nested,
        "languages": st.lists(texts | nested, max_size=3) | nested,
        "clientToken": texts | nested,
        "context": st.fixed_dictionaries({"entries": st.lists(entries, max_size=2)}) | nested,
    },
)
openai_requests = st.fixed_dictionaries(
    {"input": texts | st.lists(texts | entries, max_size=3) | nested},
    optional={"model": texts | nested},
)


@fuzzed
@given(
    path=st.sampled_from(["/v1alpha1/comments:analyze", "/comments:suggestscore"]),
    body=st.binary(max_size=60)
    | (perspective_requests | nested).map(lambda document: json.dumps(document).encode()),
    query=st.text(st.characters(codec="utf-8"), max_size=8),
)
def test_perspective_answers_or_refuses_in_googles_shape(path, body, query, caplog):
    code, answer = posted(path, body, query, caplog)
    if code != 200:
        error = answer["error"]
        assert (error["code"], error["status"]) == (code, "INVALID_ARGUMENT")
        assert error["details"][0]["errorType"]
    elif "analyze" in path:
        for scores in answer.get("attributeScores", {}).values():
            assert scores["summaryScore"]["value"] == 0.25
            assert all(span["begin"] < span["end"] for span in scores["spanScores"])


@fuzzed
@given(
    body=st.binary(max_size=60)
    | (openai_requests | nested).map(lambda document: json.dumps(document).encode()),
)
def test_openai_answers_or_refuses_in_its_shape(body, caplog):
    code, answer = posted("/v1/moderations", body, "", caplog)
    if code == 200:
        assert all(result["category_scores"] for result in answer["results"])
    else:
        assert answer["error"].keys() == {"message", "type", "param", "code"}
        assert answer["error"]["type"] == "invalid_request_error"


def posted(path, body, query, caplog):
    predictor = Predictor(lambda texts: np.full(len(texts), 0.25), SCIENCE)
    with caplog.at_level(logging.ERROR):
        answer = AppClient(rest.seldon_app(predictor, Metrics())).post(
            path, content=body, params={"x": query}
        )
    assert answer.status_code in {200, 400}, answer.text
    assert not caplog.records
    return answer.status_code, answer.json()


class AbortedError(Exception):
    pass


class Context:
    """What the service uses of grpc.ServicerContext."""

    code = None

    def abort(self, code, _details):
        self.code = code
        raise AbortedError


def predict(raw):
    context = Context()
    service = Service(Predictor(lambda texts: np.full(len(texts), 0.25), SCIENCE), Metrics())
    try:
        return service.predict(raw, context)
    except AbortedError:
        return context.code


def value(content):
    found = Value()
    if isinstance(content, bool):
        found.bool_value = content
    elif isinstance(content, float):
        found.number_value = content
    elif isinstance(content, str):
        found.string_value = content
    elif isinstance(content, list):
        found.list_value.values.extend(map(value, content))
    return found


words = st.text(st.characters(codec="utf-8"), max_size=8)
grpc_values = st.recursive(
    st.booleans() | st.floats() | words | st.none(), lambda inner: st.lists(inner, max_size=3)
).map(value)
messages = st.builds(
    lambda tags, metrics, payload: pb.SeldonMessage(
        meta=pb.Meta(tags=tags, metrics=metrics, puid="p"), **payload
    ),
    st.dictionaries(words, grpc_values, max_size=2),
    st.lists(st.builds(pb.Metric, key=words, value=st.floats(width=32)), max_size=2),
    st.one_of(
        st.just({}),
        words.map(lambda text: {"strData": text}),
        st.binary(max_size=8).map(lambda raw: {"binData": raw}),
        grpc_values.map(lambda found: {"jsonData": found}),
        st.builds(Any, type_url=words, value=st.binary(max_size=8)).map(
            lambda found: {"customData": found}
        ),
        st.lists(st.floats(), max_size=3).map(
            lambda numbers: {"data": pb.DefaultData(tensor=pb.Tensor(shape=[1], values=numbers))}
        ),
        st.lists(grpc_values, max_size=3).map(
            lambda found: {
                "data": pb.DefaultData(ndarray=value([]).list_value.__class__(values=found))
            }
        ),
    ),
)


@fuzzed
@given(raw=messages.map(pb.SeldonMessage.SerializeToString) | st.binary(max_size=40))
def test_grpc_answers_or_refuses(raw, caplog):
    with caplog.at_level(logging.ERROR):
        answer = predict(raw)
    if not isinstance(answer, pb.SeldonMessage):
        assert answer is grpc.StatusCode.INVALID_ARGUMENT
    assert not caplog.records


@pytest.mark.parametrize(
    "message",
    [
        pb.SeldonMessage(strData="a", meta=pb.Meta(tags={"x": Value(number_value=float("nan"))})),
        pb.SeldonMessage(customData=Any(type_url="type.googleapis.com/a.B", value=b"\1")),
    ],
)
def test_values_without_a_json_form_are_refused(message):
    assert predict(message.SerializeToString()) is grpc.StatusCode.INVALID_ARGUMENT
