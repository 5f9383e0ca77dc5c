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

from textmod_model.metrics import Metrics
from textmod_model.protos import seldon_pb2 as pb
from textmod_model.serving import rest
from textmod_model.serving.grpc_server import Service
from textmod_model.serving.predictor import ModelInfo, Predictor

INFO = ModelInfo("science", "1", "sha256:00", "seed", ("kept", "removed"), 0.5)
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
    predictor = Predictor(lambda texts: np.full(len(texts), 0.25), INFO)
    seldon = AppClient(rest.seldon_app(predictor, Metrics()))
    with caplog.at_level(logging.ERROR):
        answer = seldon.post(
            "/predict", content=body, headers={"Content-Type": content_type}, params={"json": query}
        )
    assert answer.status_code in {200, 400}, answer.text
    json.loads(answer.text)
    assert not caplog.records


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
    service = Service(Predictor(lambda texts: np.full(len(texts), 0.25), INFO), Metrics())
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
