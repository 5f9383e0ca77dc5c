"""A model server, ours or Seldon's wrapper, as a process of its own."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import httpx

from textmod_dev.processes import ProcessKeeper, free_port
from textmod_model.protos import seldon_pb2 as pb

SERVE = (sys.executable, "-m", "textmod_model", "serve")


class Running:
    """A server process, its REST and gRPC ports."""

    def __init__(
        self,
        keeper: ProcessKeeper,
        name: str,
        command: Sequence[str | Path],
        model: Path,
        **environment: str,
    ) -> None:
        self.ports = [free_port() for _ in range(3)]
        names = ("HTTP", "GRPC", "METRICS")
        ports = {
            f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(port)
            for name, port in zip(names, self.ports, strict=True)
        }
        own = {"TEXTMOD_ARTIFACT": str(model), "TEXTMOD_BIND_ADDRESS": "127.0.0.1"}
        self.process = keeper.start(
            name, [str(part) for part in command], env=ports | own | environment
        )

    @property
    def url(self) -> str:
        """Of the REST port."""
        return f"http://127.0.0.1:{self.ports[0]}"

    def wait(self, seconds: float = 90) -> Running:
        deadline = time.monotonic() + seconds
        for port in self.ports[:2]:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert self.process.exit_code() is None, self.process.last_words(100)
                    assert time.monotonic() < deadline, self.process.last_words(100)
                    time.sleep(0.1)
        return self

    def rest(
        self, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> tuple[int, str]:
        answer = httpx.request(
            "GET" if body is None else "POST",
            f"{self.url}{path}",
            content=body,
            headers={"Content-Type": content_type},
            timeout=30,
        )
        return answer.status_code, answer.text

    def grpc(self, request: pb.SeldonMessage) -> pb.SeldonMessage:
        with grpc.insecure_channel(f"127.0.0.1:{self.ports[1]}") as channel:
            predict = channel.unary_unary(
                "/seldon.protos.Model/Predict",
                request_serializer=pb.SeldonMessage.SerializeToString,
                response_deserializer=pb.SeldonMessage.FromString,
            )
            answer: pb.SeldonMessage = predict(request, timeout=30, wait_for_ready=True)
            return answer
