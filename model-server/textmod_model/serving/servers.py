"""Runs the HTTP and gRPC servers beside the stream, on threads that the loop doesn't wait for.

Their libraries are imported there too: together they take longer to import than a batch to score.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textmod_model.errors import ConfigurationError
from textmod_model.health import Health
from textmod_model.metrics import Metrics
from textmod_model.serving.dropins import DropIns
from textmod_model.serving.predictor import Predictor
from textmod_model.settings import Settings

if TYPE_CHECKING:
    import grpc
    import uvicorn
    from starlette.applications import Starlette
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0


def listen(address: str, port: int) -> socket.socket:
    """Open a listening socket; raises ConfigurationError if the port can't be had.

    Its connections have TCP_NODELAY. Without it the second small write of an answer waits for the
    client's delayed acknowledgement, 40 ms. asyncio sets the option only on sockets that were made
    with the protocol IPPROTO_TCP, which `socket.create_server` does not do.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by connections
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        message = f"Port {port} on {address} can't be opened: {error.strerror}; free it."
        raise ConfigurationError(message) from None
    return sock


@dataclass
class Servers:
    """The port for probes and metrics, and, if `synchronous`, the ports for predictions.

    The ports are opened at once, so that a taken one is reported before anything runs; answers come
    from a thread as soon as that has imported what it needs.
    """

    settings: Settings
    predictor: Predictor
    health: Health
    metrics: Metrics
    refresh: Callable[[], None]
    """Brings the gauges up to date before a scrape."""
    failed: Callable[[], None]
    """Called if a server ends by itself."""
    model: Callable[[], dict[str, Any]]
    """Says what the model is and which policies are in force."""
    dropins: DropIns
    synchronous: bool = True
    _http: "list[uvicorn.Server]" = field(default_factory=list)
    _grpc: "grpc.Server | None" = None

    def start(self) -> None:
        """Open the ports and begin to serve. Raises ConfigurationError for a port that is taken."""
        address = self.settings.bind_address
        self._sockets = [listen(address, self.settings.metrics_port)]
        if self.synchronous:
            self._sockets.append(listen(address, self.settings.http_port))
            listen(address, self.settings.grpc_port).close()  # grpcio opens its port itself
        self._thread = threading.Thread(target=self._run, name="servers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being answered, within moments, and stop."""
        for server in self._http:
            server.should_exit = True
        self._thread.join(STOP_SECONDS)
        if self._grpc is not None:
            self._grpc.stop(STOP_SECONDS).wait(STOP_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception:
            log.exception("A server ended.")
            self.failed()

    async def _serve(self) -> None:
        from textmod_model.serving import rest

        apps = [rest.operations_app(self.health, self.metrics, self.refresh, self.model)]
        if self.synchronous:
            apps.append(self._calls())
        self._http = [_uvicorn(app) for app in apps]
        serving = [
            asyncio.ensure_future(server.serve(sockets=[sock]))
            for server, sock in zip(self._http, self._sockets, strict=True)
        ]
        if self.synchronous:
            await asyncio.to_thread(self._start_grpc)
        await asyncio.gather(*serving)

    def _calls(self) -> "Starlette":
        from textmod_model.serving import perspective, rest
        from textmod_model.serving.stream_parts import event_source
        from textmod_model.stream.feedback import feedback

        settings = self.settings
        source = perspective.Source(event_source(settings), settings.input_topic)
        return rest.seldon_app(
            self.predictor, self.metrics, self.dropins, feedback(settings), source
        )

    def _start_grpc(self) -> None:
        from textmod_model.serving import grpc_server

        self._grpc = grpc_server.start(
            self.predictor, self.metrics, self.settings.bind_address, self.settings.grpc_port
        )


def _uvicorn(app: "ASGIApp") -> "uvicorn.Server":
    import uvicorn

    from textmod_model.serving.half_close import HalfCloseProtocol

    configuration = uvicorn.Config(
        app,
        http=HalfCloseProtocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",  # else every such request has the log advise to install a WebSocket library
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(configuration)
