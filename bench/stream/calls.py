"""Latency of synchronous calls: our REST and gRPC beside Seldon's wrapper, one call at a time.

Each round calls every server once with the same text over connections that stay open, so all see
the same machine.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterable

import grpc
import numpy as np

from textmod_model.protos import seldon_pb2

Call = Callable[[str], None]

WARM_UP_CALLS = 50


def rest(port: int) -> Call:
    """POST to /api/v1.0/predictions on one keep-alive connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(text: str) -> None:
        body = json.dumps({"data": {"ndarray": [text]}})
        connection.request(
            "POST", "/api/v1.0/predictions", body, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content

    return call


def grpc_call(port: int) -> Call:
    """seldon.protos.Model/Predict on one channel."""
    predict = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary(
        "/seldon.protos.Model/Predict",
        request_serializer=seldon_pb2.SeldonMessage.SerializeToString,
        response_deserializer=seldon_pb2.SeldonMessage.FromString,
    )

    def call(text: str) -> None:
        request = seldon_pb2.SeldonMessage()
        request.data.ndarray.append(text)
        predict(request, timeout=30, wait_for_ready=True)

    return call


def latencies(servers: dict[str, Call], texts: Iterable[str]) -> dict[str, float]:
    """`<server>_p50_ms` and `<server>_p99_ms` of each server."""
    took: dict[str, list[float]] = {name: [] for name in servers}
    for text in texts:
        for name, call in servers.items():
            began = time.perf_counter()
            call(text)
            took[name].append(1000 * (time.perf_counter() - began))
    return {
        f"{name}_p{quantile}_ms": float(np.percentile(times[WARM_UP_CALLS:], quantile))
        for name, times in took.items()
        for quantile in (50, 99)
    }
