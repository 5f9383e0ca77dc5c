"""Seldon's v1 REST protocol, and the probes, as a client sees them."""

import gzip
import json
import math
import re
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from app_client import AppClient
from policy_sets import document, policy, raw, rule
from served_models import SCIENCE

from textmod_model.health import Health
from textmod_model.metrics import Metrics
from textmod_model.policies.evaluate import Evaluator
from textmod_model.policies.solved import parse
from textmod_model.serving import rest
from textmod_model.serving.cli import describe_model
from textmod_model.serving.policies import PolicyFile
from textmod_model.serving.predictor import Predictor
from textmod_model.serving.turns import LONGEST_TEXT


def quarter(texts):
    return np.full(len(texts), 0.25)


def client(score=quarter, **options):
    metrics = Metrics()
    app = rest.seldon_app(Predictor(score, SCIENCE, **options), metrics)
    return AppClient(app), metrics


@pytest.fixture
def seldon():
    return client()[0]


@pytest.mark.parametrize("path", ["/predict", "/api/v1.0/predictions", "/api/v0.1/predictions"])
def test_answers_an_ndarray_in_kind(seldon, path):
    answer = seldon.post(path, json={"data": {"ndarray": ["a", "b"]}})
    assert answer.status_code == 200
    assert answer.json() == {
        "data": {"names": ["t:0", "t:1"], "ndarray": [[0.75, 0.25], [0.75, 0.25]]},
        "meta": {},
    }


@pytest.mark.parametrize(
    "payload",
    [
        {"strData": "a"},
        {"jsonData": "a"},
        {"jsonData": ["a"]},
        {"jsonData": {"body": "a"}},
        {"binData": "YQ=="},
        {"data": {"tensor": {"shape": [1], "values": ["a"]}}},
    ],
)
def test_answers_everything_else_with_a_tensor_and_repeats_the_puid(seldon, payload):
    answer = seldon.post("/predict", json=payload | {"meta": {"puid": "p"}})
    assert answer.json() == {
        "data": {"names": ["t:0", "t:1"], "tensor": {"shape": [1, 2], "values": [0.75, 0.25]}},
        "meta": {"puid": "p"},
    }


@pytest.mark.parametrize("puid", ["\ud800 alone", 10**30])
def test_repeats_a_puid_that_not_every_json_writer_takes(seldon, puid):
    body = json.dumps({"strData": "a", "meta": {"puid": puid}})
    answer = seldon.post("/predict", content=body)
    assert answer.status_code == 200
    assert answer.json()["meta"] == {"puid": puid}


def test_takes_json_from_a_form_field_or_a_query(seldon):
    text = '{"data":{"ndarray":["a"]}}'
    for answer in (
        seldon.post("/predict", data={"json": text}),
        seldon.get("/predict", params={"json": text}),
    ):
        assert answer.json()["data"]["ndarray"] == [[0.75, 0.25]]


FORM = "application/x-www-form-urlencoded"


def test_takes_a_json_body_that_curl_calls_a_form(seldon):
    text = '{"data":{"ndarray":["see http://x/?a=1&json=1&b=2"]}}'
    answer = seldon.post("/predict", content=text, headers={"Content-Type": FORM})
    assert answer.json()["data"]["ndarray"] == [[0.75, 0.25]]


@pytest.mark.parametrize(
    "files",
    [
        {"json": (None, '{"strData":"a"}')},
        {"json": ("request.json", b'{"strData":"a"}', "application/json")},
        {"strData": (None, "a \U0001f642")},
        {"binData": ("a.txt", b"a")},
        {"jsonData": (None, '{"body":"a"}'), "meta": (None, '{"puid":"p"}')},
    ],
)
def test_takes_a_multipart_form(seldon, files):
    answer = seldon.post("/predict", files=files)
    assert answer.json()["data"]["tensor"]["values"] == [0.75, 0.25]


@pytest.mark.parametrize(
    "body",
    [b"", b"--b--", b"--b\r\n\r\nx\r\n--b--", b"\xff", b"--b\r\nContent-Disposition: form-data"],
)
def test_a_multipart_form_without_json_is_bad_data(seldon, body):
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert seldon.post("/predict", content=body, headers=headers).status_code == 400


@pytest.mark.parametrize("name", ["(" * 5_000, '"' * 50_000, "a=1; " * 20_000])
def test_a_header_within_a_form_is_neither_slow_nor_a_failure(seldon, name):
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    body = f"--b\r\nContent-Disposition: form-data; {name}\r\n\r\n{{}}\r\n--b--"
    started = time.process_time()
    answer = seldon.post("/predict", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["status"]["reason"] == "MICROSERVICE_BAD_DATA"
    assert time.process_time() - started < 1


def test_a_form_of_many_fields_is_bad_data(seldon):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = seldon.post("/predict", content="a=1&" * 100_000 + "json={}", headers=headers)
    assert answer.json()["status"]["info"] == "Can't find JSON in data"


@pytest.mark.parametrize("encoding", ["", "identity", "Identity "])
def test_no_content_encoding(seldon, encoding):
    headers = {"Content-Encoding": encoding}
    answer = seldon.post("/predict", content='{"strData":"a"}', headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "info"),
    [
        (b'{"bad":1}', "Invalid request data type: {'bad': 1}"),
        (b"[]", "Invalid request data type: []"),
        (b"{", "Can't find JSON in data"),
        (b"", "Can't find JSON in data"),
        (b"\xff", "Can't find JSON in data"),
        (b"[" * 100_000, "Can't find JSON in data"),
        (b'{"data":{"ndarray":[1]}}', "data.ndarray must hold nothing but strings."),
    ],
)
def test_bad_data_is_answered_in_seldons_error_shape(seldon, body, info):
    answer = seldon.post("/predict", content=body)
    assert answer.status_code == 400
    assert answer.json() == {
        "status": {"code": -1, "info": info, "reason": "MICROSERVICE_BAD_DATA", "status": 1}
    }


def test_a_compressed_body_is_refused_with_the_reason(seldon):
    body = gzip.compress(b'{"data":{"ndarray":["x"]}}')
    answer = seldon.post("/predict", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400
    assert answer.json()["status"]["info"] == "Content-Encoding 'gzip' is not taken: use none."


def test_a_body_beyond_all_measure_is_not_kept():
    seldon, _ = client(largest=10)
    answer = seldon.post("/predict", json={"strData": "abc"})
    assert answer.status_code == 413
    assert "exceeds 10 bytes" in answer.json()["status"]["info"]


def test_a_long_text_is_not_scored_beside_a_stream():
    seldon, _ = client(beside_stream=True)
    assert seldon.post("/predict", json={"strData": "a" * LONGEST_TEXT}).status_code == 200
    many = {"data": {"ndarray": ["a" * 1000] * 100}}
    assert len(seldon.post("/predict", json=many).json()["data"]["ndarray"]) == 100
    answer = seldon.post("/predict", json={"strData": "a" * (LONGEST_TEXT + 1)})
    assert answer.status_code == 413
    assert "input topic" in answer.json()["status"]["info"]


def test_a_failing_model_is_a_500_that_says_nothing_of_the_text(caplog):
    def broken(texts):
        raise ValueError(texts[0])

    seldon, metrics = client(broken)
    answer = seldon.post("/predict", json={"strData": "hunter2"})
    assert answer.status_code == 500
    assert answer.json()["status"]["reason"] == "MICROSERVICE_INTERNAL_ERROR"
    assert "hunter2" not in answer.text + caplog.text
    assert re.search(r"answer a call: ValueError at .*test_rest.py:\d+ broken", caplog.text)
    line = 'textmod_predictions_total{outcome="failed",protocol="rest"} 1.0'
    assert line in metrics.text().decode()


def test_an_answer_has_the_action_in_its_tags_where_there_are_policies():
    predictor = Predictor(lambda texts: np.array([0.95, 0.1])[: len(texts)], SCIENCE)
    asking = AppClient(rest.seldon_app(predictor, Metrics()))
    request = {"data": {"ndarray": ["a", "b"]}, "meta": {"tags": {"own": 1}}}
    assert asking.post("/predict", json=request).json()["meta"] == {"tags": {"own": 1}}
    found = parse(raw(policy(rule(budgetPerDay=1))))
    predictor.policies = lambda: Evaluator(found, SCIENCE.columns)
    for _ in range(3):  # a call spends no budget
        assert asking.post("/predict", json=request).json()["meta"]["tags"] == {
            "own": 1,
            "action": "Remove",
            "hold": False,
            "policyVersion": found.version,
            "actions": ["Remove", "Allow"],
            "holds": [False, False],
        }


def test_the_operator_can_ask_what_the_model_is(tmp_path, default_artifact):
    info = replace(
        SCIENCE,
        digest=default_artifact.manifest.digest,
        attributes=default_artifact.manifest.attributes,
    )
    predictor = Predictor(quarter, info)

    def asked(policies):
        describe = partial(describe_model, predictor, policies)
        app = rest.operations_app(Health(streaming=True), Metrics(), model=describe)
        return AppClient(app).get("/model").json()

    answer = asked(None)
    assert (answer["digest"], answer["labels"]) == (info.digest, ["removed"])
    [label] = answer["attributes"]
    assert label["name"] == "removed"
    assert len(label["without"]) == len(label["having"]) == 200
    assert sum(label["having"]) > 0
    assert answer["policies"] == {"version": None, "error": None}
    file = PolicyFile(tmp_path / "policies.json", info.columns)
    file.check()
    assert "No such file" in asked(file)["policies"]["error"]
    (tmp_path / "policies.json").write_bytes(raw())
    file.check()
    assert asked(file)["policies"] == {"version": document()["version"], "error": None}


def test_ping_status_and_metadata(seldon):
    assert seldon.get("/health/ping").text == "pong"
    assert seldon.get("/health/status").json() == {"meta": {}, "strData": "healthy"}
    metadata = seldon.get("/metadata").json()
    assert metadata["name"] == "science"
    assert metadata["versions"] == ["1"]
    assert metadata["custom"]["digest"] == "sha256:00"
    assert set(metadata) == {"custom", "inputs", "name", "outputs", "platform", "versions"}


def test_probes_answer_with_a_code_and_a_sentence():
    health = Health(streaming=True)
    operations = AppClient(rest.operations_app(health, Metrics()))
    ready = operations.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json() == {"status": "unavailable", "message": "The model is not loaded yet."}
    health.model, health.kafka_seen = "science:1", math.inf
    assert operations.get("/health/ready").status_code == 200
    assert operations.get("/health/live").status_code == 200
    health.last_turn = -math.inf
    assert operations.get("/health/live").status_code == 503


def test_prometheus_and_metrics_are_the_same_and_up_to_date():
    metrics = Metrics()
    operations = AppClient(
        rest.operations_app(Health(streaming=True), metrics, lambda: metrics.blocked.set(1))
    )
    for path in ("/prometheus", "/metrics"):
        answer = operations.get(path)
        assert "textmod_stream_blocked 1.0" in answer.text
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("path", ["/send-feedback", "/api/v1.0/feedback", "/api/v0.1/feedback"])
def test_feedback_is_answered_as_seldons_wrapper_does(seldon, path):
    request = {"data": {"ndarray": ["a"]}, "meta": {"puid": "p", "tags": {"t": 1}}}
    answer = seldon.post(path, json={"request": request, "reward": 0.5, "truth": {"strData": "x"}})
    assert answer.status_code == 200
    assert answer.json() == {"data": {"ndarray": []}, "meta": {"puid": "p"}}
    answer = seldon.post(path, json={"request": {"strData": "a"}})
    assert answer.json() == {"data": {"tensor": {"shape": [0]}}, "meta": {}}


@pytest.mark.parametrize(
    "body", ["[]", "{", '{"foo":1}', '{"reward":"x"}', '{"reward":true}', '{"request":[1]}']
)
def test_feedback_that_is_none_is_refused(seldon, body):
    answer = seldon.post("/send-feedback", content=body)
    assert answer.status_code == 400
    assert answer.json()["status"]["reason"] == "MICROSERVICE_BAD_DATA"


@pytest.mark.parametrize("code", [404, 405])
def test_an_unknown_call_has_its_protocols_error_shape(seldon, code):
    extra = "/unknown" if code == 404 else ""

    def error(path):
        answer = seldon.get(path + extra)
        assert answer.status_code == code
        return answer.json()

    assert error("/api/v1.0/predictions")["status"]["status"] == 1
    assert error("/v1/moderations")["error"]["type"] == "invalid_request_error"
    assert error("/v1alpha1/comments:analyze")["error"]["code"] == code
    assert error("/comments:suggestscore")["error"]["code"] == code


def test_a_body_that_is_announced_too_large_is_not_waited_for():
    answer = client(largest=100)[0].post(
        "/predict", content=b"{}", headers={"content-length": "99999999999999999999999"}
    )
    assert answer.status_code == 413
