"""The same artifact behind Seldon's real wrapper and behind our server: the same answers.

The wrapper (the last Apache-2.0 release) runs in an environment of its own, made once in the cache
folder, because its pins conflict with ours.
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from model_server import SERVE, Running

from textmod_dev.paths import cache_dir
from textmod_dev.processes import ProcessKeeper
from textmod_model.protos import seldon_pb2 as pb

pytestmark = [pytest.mark.integration, pytest.mark.slow]

REQUIREMENTS = [
    "seldon-core==1.17.1",
    "setuptools<81",
    "spacy<3.8",
    "spacy-lookups-data",
    "scikit-learn",
    "skops",
    "orjson",
    "pydantic>=2.10",
]
MODEL_SERVER = Path(__file__).parents[2] / "model-server"


@pytest.fixture(scope="session")
def wrapper_python():
    """The wrapper's own environment; made if it isn't there or was made of something else."""
    folder = cache_dir() / "seldon-wrapper"
    stamp, python = folder / "requirements.json", folder / "bin" / "python"
    wanted = json.dumps([sys.version, *REQUIREMENTS])
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        stamp.write_text(wanted)
    return python


WRAPPED = "textmod_model.seldon.TextModeration"


@pytest.fixture(scope="module")
def servers(wrapper_python, model, tmp_path_factory):
    """Ours and the wrapper's."""
    wrapper = [wrapper_python.with_name("seldon-core-microservice"), WRAPPED]
    with ProcessKeeper(tmp_path_factory.mktemp("logs")) as keeper:
        ours = Running(keeper, "ours", SERVE, model)
        theirs = Running(
            keeper,
            "theirs",
            [*wrapper, "--service-type", "MODEL"],
            model,
            PYTHONPATH=str(MODEL_SERVER),
            INCLUDE_METRICS_IN_CLIENT_RESPONSE="false",
        )
        yield ours.wait(), theirs.wait()


def same(a, b):
    """Equal, numbers to 1e-9."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, abs_tol=1e-9)
    return a == b


ANSWERED = [
    {"data": {"ndarray": ["you stupid idiot 7"]}},
    {"data": {"ndarray": ["lovely paper", "stupid paper", "🙂 漢字"]}},
    {"data": {"ndarray": [["lovely"], ["stupid"]]}},
    {"data": {"names": ["text"], "ndarray": ["lovely"]}, "meta": {"puid": "p", "tags": {"a": "b"}}},
    {"data": {"tensor": {"shape": [2], "values": ["lovely", "stupid"]}}},
    {"strData": "stupid idiot", "meta": {"puid": "p"}},
    {"jsonData": "stupid idiot"},
    {"jsonData": ["stupid", "lovely"]},
    {"jsonData": {"body": "stupid idiot"}},
    {"binData": "c3R1cGlk"},
]


@pytest.mark.parametrize("path", ["/predict", "/api/v1.0/predictions"])
@pytest.mark.parametrize("document", ANSWERED, ids=json.dumps)
def test_rest_answers_are_the_wrappers(servers, path, document):
    body = json.dumps(document).encode()
    (our_code, ours), (their_code, theirs) = (server.rest(path, body) for server in servers)
    assert (our_code, their_code) == (200, 200), (ours, theirs)
    assert same(json.loads(ours), json.loads(theirs)), (ours, theirs)


@pytest.mark.parametrize(
    "body", [b'{"bad":1}', b"[]", b"not json", b'{"data":{"ndarray":[1]}}', b'{"jsonData":7}']
)
def test_rest_refusals_are_the_wrappers(servers, body):
    (our_code, ours), (their_code, theirs) = (server.rest("/predict", body) for server in servers)
    assert (our_code, their_code) == (400, 400), (ours, theirs)
    ours, theirs = json.loads(ours), json.loads(theirs)
    for answer in (ours, theirs):
        if body != b'{"bad":1}':  # elsewhere the words may differ, the shape may not
            answer["status"].pop("info")
    assert ours == theirs


def test_a_form_field_is_taken_as_the_wrapper_takes_it(servers):
    body = b'json={"data":{"ndarray":["stupid"]}}'
    answers = [s.rest("/predict", body, "application/x-www-form-urlencoded") for s in servers]
    assert same(*(json.loads(text) for _, text in answers))


@pytest.mark.parametrize("path", ["/health/ping", "/health/status", "/metadata"])
def test_other_paths_answer_as_the_wrappers(servers, path):
    (our_code, ours), (their_code, theirs) = (server.rest(path) for server in servers)
    assert (our_code, their_code) == (200, 200)
    if path == "/health/ping":
        assert ours == theirs
    else:
        assert json.loads(ours) == json.loads(theirs)


def requests():
    ndarray = pb.SeldonMessage(meta=pb.Meta(puid="p"))
    ndarray.data.ndarray.extend(["stupid idiot", "lovely 🙂"])
    nested = pb.SeldonMessage()
    nested.data.ndarray.add_list().append("stupid")
    document = pb.SeldonMessage()
    document.jsonData.struct_value.update({"body": "stupid"})
    return [
        ndarray,
        nested,
        document,
        pb.SeldonMessage(strData="stupid idiot"),
        pb.SeldonMessage(binData=b"stupid"),
    ]


@pytest.mark.parametrize(
    "request_", requests(), ids=lambda request: request.WhichOneof("data_oneof")
)
def test_grpc_answers_are_the_wrappers(servers, request_):
    ours, theirs = (server.grpc(request_) for server in servers)
    assert ours.WhichOneof("data_oneof") == theirs.WhichOneof("data_oneof") == "data"
    assert list(ours.data.names) == list(theirs.data.names)
    assert ours.data.WhichOneof("data_oneof") == theirs.data.WhichOneof("data_oneof")
    assert ours.meta.puid == theirs.meta.puid
    for a, b in zip(numbers(ours.data), numbers(theirs.data), strict=True):
        assert math.isclose(a, b, abs_tol=1e-9)


def numbers(data):
    if data.WhichOneof("data_oneof") == "tensor":
        return [*data.tensor.shape, *data.tensor.values]
    return [value for row in data.ndarray for value in row]
