"""Requests that no client library writes: each has an answer in the shape of its protocol."""

import json
import logging

import numpy as np
import pytest
from app_client import AppClient
from served_models import SCIENCE

from textmod_model.metrics import Metrics
from textmod_model.serving import rest
from textmod_model.serving.predictor import Predictor

ANALYZE = "/v1alpha1/comments:analyze"
SUGGEST = "/v1alpha1/comments:suggestscore"
MODERATIONS = "/v1/moderations"
ROUTES = (ANALYZE, SUGGEST, MODERATIONS)
GOOD = {
    "input": "a. b",
    "comment": {"text": "a. b"},
    "requestedAttributes": {"REMOVED": {}},
    "attributeScores": {"REMOVED": {"summaryScore": {"value": 1}}},
}
"""A request of any of the routes: fields of others are ignored."""


@pytest.fixture
def client():
    predictor = Predictor(lambda texts: np.full(len(texts), 0.25), SCIENCE)
    return AppClient(rest.seldon_app(predictor, Metrics()))


def is_error(path, answer):
    """Tell whether an answer is an error in the shape of its path's protocol."""
    error = answer.json()["error"]
    if path == MODERATIONS:
        return error.keys() == {"message", "type", "param", "code"}
    return error.keys() == {"code", "message", "status", "details"} and (
        error["code"] == answer.status_code
    )


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "ODD"])
def test_other_methods_are_refused(client, path, method):
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert is_error(path, answer)


@pytest.mark.parametrize("path", ROUTES)
def test_a_slash_too_many_is_no_redirect_that_could_carry_the_key_to_another_scheme(client, path):
    answer = client.post(f"{path}/", json=GOOD, params={"key": "k"})
    assert answer.status_code == 404
    assert is_error(path, answer)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "multipart/form-data",
        "application/json; charset=x",
        ";",
        "",
    ],
)
def test_a_body_is_json_whatever_its_content_type_says(client, path, content_type):
    answer = client.post(path, content=json.dumps(GOOD), headers={"Content-Type": content_type})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ROUTES)
def test_a_body_may_come_in_chunks(client, path):
    async def chunks():
        for byte in json.dumps(GOOD).encode():
            yield bytes([byte])

    assert client.post(path, content=chunks()).status_code == 200


BODIES = {
    "not UTF-8": b'{"input": "\xff", "comment": {"text": "\xff"}}',
    "nested too deeply": b"[" * 100_000,
    "an object nested too deeply": b'{"input":' * 50_000 + b"1" + b"}" * 50_000,
    "a number of 5,000 digits": b'{"input": ' + b"9" * 5000 + b"}",
    "a number beyond floats": b'{"input": 1e999, "comment": 1e999}',
    "NaN": b'{"input": NaN, "comment": NaN}',
    "empty lists": b'{"input": [], "comment": [], "requestedAttributes": []}',
    "a list": b"[]",
    "null": b"null",
    "NUL": b"\0",
    "very many": json.dumps(
        {
            "input": ["a"] * 5000,
            "comment": {"text": "a"},
            "requestedAttributes": {f"A{at}": {} for at in range(5000)},
            "attributeScores": {f"A{at}": {} for at in range(5000)},
        }
    ).encode(),
}  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_odd_bodies_are_refused(client, path, body, caplog):
    with caplog.at_level(logging.ERROR):
        answer = client.post(path, content=body)
    assert answer.status_code == 400
    assert is_error(path, answer)
    assert not caplog.records


@pytest.mark.parametrize("path", ROUTES)
def test_of_a_field_that_comes_twice_the_last_counts(client, path):
    twice = json.dumps(GOOD)[:-1] + ", " + json.dumps(GOOD)[1:]
    assert client.post(path, content='{"input": 1, "comment": 1, ' + twice[1:]).status_code == 200


NAMES = ["", "\0", "\ud800", 'a"b\\', "../..", "%s{x}", "__proto__", "A" * 100_000, "\u2028", "a.b"]
PARAMETERS = [
    {},
    [],
    "x",
    {"scoreThreshold": 10**400, "summaryScore": {"value": 10**400}},
    {"scoreType": "\ud800", "summaryScore": {"type": "\ud800"}},
    {"spanScores": [{"begin": 10**30, "end": -1, "score": {"value": -1}}]},
]


@pytest.mark.parametrize("path", [ANALYZE, SUGGEST])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_attributes_of_any_name_are_answered_or_refused(client, path, name, caplog):
    with caplog.at_level(logging.ERROR):
        for parameters in PARAMETERS:
            asked = {"comment": {"text": "a"}, "clientToken": "\ud800"}
            asked |= {
                field: {name: parameters} for field in ("requestedAttributes", "attributeScores")
            }
            answer = client.post(path, content=json.dumps(asked))
            assert answer.status_code == 200 or is_error(path, answer)
            assert answer.status_code in {200, 400}
    assert not caplog.records
