"""Seldon's v1 gRPC protocol: seldon.protos.Model and seldon.protos.Seldon on one port."""

import logging
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict, ParseDict

from textmod_model.errors import ServingError
from textmod_model.formats.message import RefusedError
from textmod_model.metrics import Metrics
from textmod_model.protos import seldon_pb2
from textmod_model.serving.predictor import Predictor

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
THREADS = 4


class Service:
    """Answers the calls; the JSON form of a message says all that we need of it."""

    def __init__(self, predictor: Predictor, metrics: Metrics) -> None:
        self._predictor = predictor
        self._metrics = metrics

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Both services, as grpcio wants them."""
        predict = grpc.unary_unary_rpc_method_handler(
            self.predict,
            request_deserializer=seldon_pb2.SeldonMessage.FromString,
            response_serializer=seldon_pb2.SeldonMessage.SerializeToString,
        )
        metadata = {
            request: grpc.unary_unary_rpc_method_handler(
                self.metadata,
                request_deserializer=request.FromString,
                response_serializer=seldon_pb2.SeldonModelMetadata.SerializeToString,
            )
            for request in (Empty, seldon_pb2.SeldonModelMetadataRequest)
        }
        services = {
            "Model": {"Predict": predict, "Metadata": metadata[Empty]},
            "Seldon": {
                "Predict": predict,
                "ModelMetadata": metadata[seldon_pb2.SeldonModelMetadataRequest],
            },
        }
        return [
            grpc.method_handlers_generic_handler(f"seldon.protos.{name}", methods)
            for name, methods in services.items()
        ]

    def predict(
        self, request: seldon_pb2.SeldonMessage, context: grpc.ServicerContext
    ) -> seldon_pb2.SeldonMessage:
        """Answer one request; INVALID_ARGUMENT if it holds no text."""
        outcome = "answered"
        try:
            answer = self._predictor.answer(MessageToDict(request))
        except RefusedError as error:
            outcome = "refused"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.refused.message)
        except Exception:
            outcome = "failed"
            log.exception("A prediction failed.")
            context.abort(grpc.StatusCode.INTERNAL, "the prediction failed")
        finally:
            self._metrics.predictions.labels("grpc", outcome).inc()
        return ParseDict(answer, seldon_pb2.SeldonMessage())

    def metadata(
        self, _request: object, _context: grpc.ServicerContext
    ) -> seldon_pb2.SeldonModelMetadata:
        """Say what the model is."""
        document = self._predictor.info.metadata()
        return ParseDict(document, seldon_pb2.SeldonModelMetadata(), ignore_unknown_fields=True)


def start(predictor: Predictor, metrics: Metrics, address: str, port: int) -> grpc.Server:
    """Start a server on its own threads; raises ServingError if the port can't be had."""
    server = grpc.server(
        ThreadPoolExecutor(THREADS, thread_name_prefix="grpc"),
        options=[
            ("grpc.so_reuseport", 0),  # a second process on the port is a mistake, not a helper
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
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
