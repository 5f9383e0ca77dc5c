"""The door to a model pod's manifest, against a real HTTP server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from textmod_operator import naming
from textmod_operator.controller import pod_health
from textmod_operator.controller.model_pods import ask_model

GOOD = b'{"digest": "sha256:1", "labels": ["kept", "removed"], "policies": {"version": "sha256:2"}}'
Serve = Callable[[int, bytes], str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server with one answer to GET /model; its address."""
    servers = []

    def start(code: int, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(code if self.path == "/model" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        monkeypatch.setattr(naming, "METRICS_PORT", server.server_port)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return "127.0.0.1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_pods_answer_is_read(serve: Serve) -> None:
    answer = ask_model(serve(200, GOOD))
    assert answer is not None
    assert (answer.model.digest, answer.version) == ("sha256:1", "sha256:2")


@pytest.mark.parametrize(
    ("code", "body"),
    [(404, GOOD), (200, b""), (200, b"{}"), (200, b"[" * 100_000), (200, b"\xff"), (500, b"")],
)
def test_what_is_no_answer_is_none(serve: Serve, code: int, body: bytes) -> None:
    assert ask_model(serve(code, body)) is None


def test_nobody_answers(serve: Serve) -> None:
    serve(200, GOOD)
    assert ask_model("127.0.0.255") is None


@pytest.mark.parametrize("drop", [b"H", b"X: y\r\n", b"x"], ids=["status", "headers", "body"])
def test_an_answer_that_comes_drop_by_drop_is_given_up(
    monkeypatch: pytest.MonkeyPatch, drop: bytes
) -> None:
    """The image is a user's own: a pass that waits for it would hold up the other objects."""
    head = {b"H": b"", b"X: y\r\n": b"HTTP/1.1 200 OK\r\n"}.get(drop, b"HTTP/1.1 200 OK\r\n\r\n")
    monkeypatch.setattr(pod_health, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(naming, "METRICS_PORT", server.getsockname()[1])
        threading.Thread(target=_drip, args=(server, head, drop), daemon=True).start()
        began = time.monotonic()
        assert ask_model("127.0.0.1") is None
        assert time.monotonic() - began < 1


def _drip(server: socket.socket, head: bytes, drop: bytes) -> None:
    """Answer for four seconds, a few bytes at a time."""
    with contextlib.suppress(OSError):
        connection, _ = server.accept()
        with connection:
            connection.sendall(head)
            for _ in range(100):
                connection.sendall(drop)
                time.sleep(0.04)
