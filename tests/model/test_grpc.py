"""Seldon's v1 gRPC protocol, over a real channel; and the generated code against its proto."""

import importlib.resources
import math
import queue
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.empty_pb2 import Empty
from served_models import SCIENCE

from textmod_model.errors import ServingError
from textmod_model.metrics import Metrics
from textmod_model.protos import seldon_pb2 as pb
from textmod_model.serving import grpc_server
from textmod_model.serving.predictor import Predictor
from textmod_model.serving.servers import listen


def free_port():
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    sock.close()
    return port


@pytest.fixture(scope="module")
def channel():
    predictor = Predictor(lambda texts: np.full(len(texts), 0.25), SCIENCE)
    port = free_port()
    server = grpc_server.start(predictor, Metrics(), "127.0.0.1", port)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    server.stop(0).wait()


def call(channel, method, request, answer=pb.SeldonMessage):
    send = channel.unary_unary(
        f"/seldon.protos.{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )
    return send(request, timeout=10)


@pytest.fixture
def silent(channel):
    """Begins a call that sends no request; all are cancelled afterwards."""
    begun, end = [], threading.Event()

    def unsent():
        end.wait()
        return
        yield

    def begin():
        send = channel.stream_unary("/seldon.protos.Model/Predict")
        begun.append(send.future(unsent()))
        return begun[-1]

    yield begin
    end.set()
    for one in begun:
        one.cancel()


def test_callers_who_send_nothing_keep_no_other_waiting(channel, silent):
    for _ in range(4 * grpc_server.CALLS):
        silent()
    answer = call(channel, "Model/Predict", pb.SeldonMessage(strData="a"))
    assert list(answer.data.tensor.values) == [0.75, 0.25]


def test_a_call_too_many_is_refused_and_does_not_wait(monkeypatch):
    monkeypatch.setattr(grpc_server, "CALLS_WAITING", 2)
    scores = threading.Event()

    def score(texts):
        scores.wait(10)
        return np.full(len(texts), 0.25)

    port = free_port()
    server = grpc_server.start(Predictor(score, SCIENCE), Metrics(), "127.0.0.1", port)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        send = opened.unary_unary("/seldon.protos.Model/Predict")
        request = pb.SeldonMessage(strData="a").SerializeToString()
        outcomes = [send.future(request, timeout=10) for _ in range(4)]
        codes = queue.SimpleQueue()
        for one in outcomes:
            one.add_done_callback(lambda done: codes.put(done.code()))
        assert [codes.get(timeout=5) for _ in range(2)] == 2 * [grpc.StatusCode.RESOURCE_EXHAUSTED]
        scores.set()
        assert [codes.get(timeout=5) for _ in range(2)] == 2 * [grpc.StatusCode.OK]
    server.stop(0).wait()


def test_a_failing_model_is_internal_and_says_nothing_of_the_text(caplog):
    def broken(texts):
        raise ValueError(texts[0])

    port = free_port()
    server = grpc_server.start(Predictor(broken, SCIENCE), Metrics(), "127.0.0.1", port)
    with (
        grpc.insecure_channel(f"127.0.0.1:{port}") as opened,
        pytest.raises(grpc.RpcError) as raised,
    ):
        call(opened, "Model/Predict", pb.SeldonMessage(strData="hunter2"))
    server.stop(0).wait()
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in f"{raised.value.details()}{caplog.text}"
    assert "answer a call: ValueError at" in caplog.text


@pytest.mark.parametrize("service", ["Model", "Seldon"])
def test_answers_an_ndarray_in_kind(channel, service):
    request = pb.SeldonMessage(meta=pb.Meta(puid="p"))
    request.data.ndarray.extend(["a", "b"])
    answer = call(channel, f"{service}/Predict", request)
    assert list(answer.data.names) == ["t:0", "t:1"]
    assert [list(row) for row in answer.data.ndarray] == [[0.75, 0.25], [0.75, 0.25]]
    assert answer.meta.puid == "p"


def test_answers_a_string_with_a_tensor(channel):
    answer = call(channel, "Model/Predict", pb.SeldonMessage(strData="a"))
    assert list(answer.data.tensor.shape) == [1, 2]
    assert list(answer.data.tensor.values) == [0.75, 0.25]


def test_answers_bytes_and_json(channel):
    request = pb.SeldonMessage(binData="ä".encode())
    assert list(call(channel, "Model/Predict", request).data.tensor.shape) == [1, 2]
    request = pb.SeldonMessage()
    request.jsonData.struct_value.update({"body": "a"})
    assert list(call(channel, "Model/Predict", request).data.tensor.shape) == [1, 2]


@pytest.mark.parametrize(
    "request_",
    [
        pb.SeldonMessage(),
        pb.SeldonMessage(data=pb.DefaultData(tensor=pb.Tensor(shape=[1], values=[1.0]))),
        # The JSON form of these numbers is a string, and "NaN" is no text that anybody wrote.
        pb.SeldonMessage(data=pb.DefaultData(tensor=pb.Tensor(shape=[1], values=[math.nan]))),
        pb.SeldonMessage(data=pb.DefaultData(tensor=pb.Tensor(shape=[1], values=[-math.inf]))),
        pb.SeldonMessage(binData=b"\xff"),
    ],
)
def test_refuses_what_holds_no_text(channel, request_):
    with pytest.raises(grpc.RpcError) as raised:
        call(channel, "Model/Predict", request_)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_refuses_a_metric_that_its_own_type_cannot_hold_again(channel):
    """JSON rounds the largest float up, and the answer repeats the request's metrics."""
    request = pb.SeldonMessage(strData="a")
    request.meta.metrics.add(key="k", value=3.4028234663852886e38)
    with pytest.raises(grpc.RpcError) as raised:
        call(channel, "Model/Predict", request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_says_what_the_model_is(channel):
    for method, request in (
        ("Model/Metadata", Empty()),
        ("Seldon/ModelMetadata", pb.SeldonModelMetadataRequest()),
    ):
        answer = call(channel, method, request, pb.SeldonModelMetadata)
        assert (answer.name, list(answer.versions)) == ("science", ["1"])
        assert answer.custom["digest"] == "sha256:00"


def test_a_taken_port_is_told():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"Port {port} on 127.0.0.1"):
            grpc_server.start(Predictor(np.zeros, SCIENCE), Metrics(), "127.0.0.1", port)


# Name and number of each field on the wire, and the services, as Seldon Core 1.17 has them.
WIRE = {
    "SeldonMessage": "status=1 meta=2 data=3 binData=4 strData=5 jsonData=6 customData=7",
    "DefaultData": "names=1 tensor=2 ndarray=3",
    "Tensor": "shape=1 values=2",
    "Meta": "puid=1 tags=2 routing=3 requestPath=4 metrics=5",
    "Metric": "key=1 type=2 value=3 tags=4",
    "Status": "code=1 info=2 reason=3 status=4",
    "Feedback": "request=1 response=2 reward=3 truth=4",
    "SeldonModelMetadata": "name=1 versions=2 platform=3 inputs=4 outputs=5 custom=6",
    "SeldonMessageMetadata": "messagetype=1 schema=2 name=3 datatype=4 shape=5",
}


@pytest.mark.parametrize("name", WIRE)
def test_fields_have_their_numbers(name):
    fields = pb.DESCRIPTOR.message_types_by_name[name].fields
    assert " ".join(f"{field.name}={field.number}" for field in fields) == WIRE[name]


def test_generated_code_is_what_the_proto_generates(tmp_path):
    """`make generate` was run after the last change of seldon.proto."""
    folder = Path(str(importlib.resources.files("textmod_model")))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder.parent}"]
    outputs = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    source = folder / "protos" / "seldon.proto"
    subprocess.run([*command, *outputs, str(source)], check=True)
    for name in ("seldon_pb2.py", "seldon_pb2.pyi"):
        fresh = tmp_path / "textmod_model" / "protos" / name
        assert fresh.read_text() == (folder / "protos" / name).read_text()


@pytest.mark.parametrize("service", ["Model", "Seldon"])
def test_feedback_is_answered_as_seldons_wrapper_does(channel, service):
    request = pb.Feedback(reward=0.5)
    request.request.data.ndarray.extend(["a"])
    request.request.meta.puid = "p"
    request.request.meta.tags["t"].number_value = 1
    answer = call(channel, f"{service}/SendFeedback", request)
    assert (answer.data.WhichOneof("data_oneof"), len(answer.data.ndarray)) == ("ndarray", 0)
    assert answer.meta == pb.Meta(puid="p")
    answer = call(channel, f"{service}/SendFeedback", pb.Feedback())
    assert list(answer.data.tensor.shape) == [0]
    with pytest.raises(grpc.RpcError) as refused:
        call(channel, f"{service}/SendFeedback", pb.Feedback(reward=float("nan")))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
