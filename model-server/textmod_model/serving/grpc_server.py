"""Seldon's v1 gRPC protocol: seldon.protos.Model and seldon.protos.Seldon on one port."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.json_format import Error as JsonFormatError
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import DecodeError

from textmod_model.errors import ServingError
from textmod_model.formats.message import RefusedError
from textmod_model.metrics import Metrics
from textmod_model.protos import seldon_pb2
from textmod_model.serving import seldon_feedback
from textmod_model.serving.failures import described
from textmod_model.serving.predictor import Predictor
from textmod_model.serving.turns import CALL_SECONDS, CALLS_WAITING, BusyError, TooLargeError

log = logging.getLogger(__name__)

MAX_SENT_BYTES = 64 * 1024 * 1024
CALLS = 4
"""How many calls are read and scored at once."""

KEEPALIVE_MS = 60_000
"""After so long without a word from a client it is asked whether it is still there."""


class Service:
    """Answers the calls; the JSON form of a message says all that we need of it."""

    def __init__(self, predictor: Predictor, metrics: Metrics) -> None:
        self._predictor = predictor
        self._metrics = metrics
        self._places = threading.Semaphore(CALLS)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Both services, as grpcio wants them."""
        predict = grpc.unary_unary_rpc_method_handler(
            self.predict,
            # Bytes: grpcio answers INTERNAL, with a traceback, if its own deserializer fails.
            response_serializer=seldon_pb2.SeldonMessage.SerializeToString,
        )
        metadata = grpc.unary_unary_rpc_method_handler(
            self.metadata,
            response_serializer=seldon_pb2.SeldonModelMetadata.SerializeToString,
        )
        send_feedback = grpc.unary_unary_rpc_method_handler(
            self.send_feedback,
            response_serializer=seldon_pb2.SeldonMessage.SerializeToString,
        )
        both = {"Predict": predict, "SendFeedback": send_feedback}
        services = {
            "Model": {**both, "Metadata": metadata},
            "Seldon": {**both, "ModelMetadata": metadata},
        }
        return [
            grpc.method_handlers_generic_handler(f"seldon.protos.{name}", methods)
            for name, methods in services.items()
        ]

    def predict(self, request: bytes, context: grpc.ServicerContext) -> seldon_pb2.SeldonMessage:
        """Answer one request; INVALID_ARGUMENT if it holds no text or can't be read."""
        outcome = "answered"
        try:
            with self._place():
                found = self._predictor.answer(_document(request))
                answer = _message(found)
        except RefusedError as error:
            outcome = "refused"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.refused.message)
        except (BusyError, TooLargeError) as error:
            outcome = "refused"
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except Exception as error:  # noqa: BLE001 - a client always gets an answer
            outcome = "failed"
            log.error("answer a call: %s", described(error))  # noqa: TRY400
            context.abort(grpc.StatusCode.INTERNAL, "the prediction failed")
        finally:
            self._metrics.predictions.labels("grpc", outcome).inc()
        return answer

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Wait until one of the calls before has ended. Raises BusyError."""
        if not self._places.acquire(timeout=CALL_SECONDS):
            raise BusyError(f"no place came free in {CALL_SECONDS:.0f} s; try again later.")
        try:
            yield
        finally:
            self._places.release()

    def send_feedback(
        self, request: bytes, context: grpc.ServicerContext
    ) -> seldon_pb2.SeldonMessage:
        """Answer feedback; INVALID_ARGUMENT if it can't be read."""
        outcome = "answered"
        try:
            found = seldon_feedback.answer(_json_form(seldon_pb2.Feedback, request))
        except RefusedError as error:
            outcome = "refused"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.refused.message)
        finally:
            self._metrics.predictions.labels("feedback", outcome).inc()
        return _message(found)

    def metadata(
        self, _request: bytes, _context: grpc.ServicerContext
    ) -> seldon_pb2.SeldonModelMetadata:
        """Say what the model is."""
        document = self._predictor.info.metadata()
        return ParseDict(document, seldon_pb2.SeldonModelMetadata(), ignore_unknown_fields=True)


def _message(answer: dict[str, Any]) -> seldon_pb2.SeldonMessage:
    """Return an answer as protobuf; raises RefusedError.

    The answer repeats the request's meta. The JSON form rounds the largest floats of a metric to
    numbers that a float cannot hold.
    """
    try:
        return ParseDict(answer, seldon_pb2.SeldonMessage())
    except ParseError as error:
        raise RefusedError("WrongSchema", f"meta cannot be repeated: {error}") from None


def _document(raw: bytes) -> dict[str, Any]:
    """Return the JSON form of a SeldonMessage; raises RefusedError.

    JSON has no NaN, and an Any of a type that is not known here has no form at all. customData is
    such an Any; it holds no text that we could read, so it is left out. A tensor has numbers alone
    here, and the form of some is a string: "NaN", "Infinity".
    """
    document = _json_form(seldon_pb2.SeldonMessage, raw)
    if "tensor" in document.get("data", {}):
        sentence = "data.tensor holds numbers alone: send texts as data.ndarray."
        raise RefusedError("TextNotString", sentence)
    return document


def _json_form(
    kind: type[seldon_pb2.SeldonMessage | seldon_pb2.Feedback], raw: bytes
) -> dict[str, Any]:
    try:
        request = kind.FromString(raw)
        messages = (
            (request.request, request.response, request.truth)
            if isinstance(request, seldon_pb2.Feedback)
            else (request,)
        )
        for message in messages:
            if message.HasField("customData"):
                message.ClearField("customData")
        document: dict[str, Any] = MessageToDict(request)
    except DecodeError:
        raise RefusedError("WrongSchema", f"the request is not a {kind.__name__}.") from None
    except (JsonFormatError, TypeError, ValueError, RecursionError):
        sentence = "the request holds values that JSON has no form for, such as NaN."
        raise RefusedError("WrongSchema", sentence) from None
    return document


def start(predictor: Predictor, metrics: Metrics, address: str, port: int) -> grpc.Server:
    """Start a server on its own threads; raises ServingError if the port can't be had.

    A call has a thread from its beginning, so one whose request does not come keeps no other
    waiting. One beyond `CALLS_WAITING` is answered RESOURCE_EXHAUSTED.
    """
    server = grpc.server(
        ThreadPoolExecutor(CALLS_WAITING, thread_name_prefix="grpc"),
        maximum_concurrent_rpcs=CALLS_WAITING,
        options=[
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),  # of a client that is gone the calls end
            ("grpc.keepalive_timeout_ms", KEEPALIVE_MS // 3),
            ("grpc.so_reuseport", 0),  # a second process on the port is a mistake, not a helper
            ("grpc.max_receive_message_length", predictor.largest),
            ("grpc.max_send_message_length", MAX_SENT_BYTES),
        ],
    )
    server.add_generic_rpc_handlers(Service(predictor, metrics).handlers())
    host = f"[{address}]" if ":" in address else address
    try:
        server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        raise ServingError(f"Port {port} on {address} can't be opened for gRPC.") from None
    server.start()
    return server
