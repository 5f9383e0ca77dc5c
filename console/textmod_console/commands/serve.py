"""`textmod-console serve`: the pages, the internal port, and the loop of the record."""

import argparse
import logging
import signal
import socket
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from textmod_console.commands import opening
from textmod_console.errors import ConfigurationError
from textmod_console.internal.app import create_app
from textmod_console.internal.figures import documents
from textmod_console.internal.health import Health
from textmod_console.pages.app import create_app as create_pages
from textmod_console.policies import PolicyFile
from textmod_console.record.leader import Leader, is_caught_up
from textmod_console.settings import Settings
from textmod_console.store.database_desk import DatabaseDesk, now_utc
from textmod_console.store.engine import Database
from textmod_console.store.measuring import Measuring

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from textmod_console.commands import Subparsers
    from textmod_console.pages.app import Entry

log = logging.getLogger(__name__)


def add(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = subparsers.add_parser("serve", help="serve reviewers, and keep the record in Kafka")
    parser.set_defaults(run=opening.command(_serve))


def _serve(_: argparse.Namespace, settings: Settings) -> int:
    return serve(settings)


def serve(settings: Settings, enter: "Entry | None" = None) -> int:
    """Serve until SIGTERM. `enter` replaces the configured way to sign in."""
    settings.require_kafka()
    internal_socket = listen(settings.console_bind_address, settings.console_internal_port)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    database = opening.database(settings, beside=False)
    policies = PolicyFile(settings.console_policies_file).read
    leader = Leader(settings, database, now_utc, stopping, policies)
    health = Health(lambda: leader.last_turn, lambda: ask(database))
    measuring = Measuring(
        database,
        timedelta(hours=settings.label_delay_hours),
        settings.minimum_labels,
        now_utc,
        unseen=settings.removes_unseen,
    )
    desk = DatabaseDesk(database, quality=measuring.quality, policies=policies)
    figures = documents(measuring.figures)
    internal = Server(create_app(health.live, health.ready, figures), internal_socket, "internal")
    internal.start()
    record = threading.Thread(target=leader.run, name="record")
    record.start()
    try:
        app = create_pages(desk, settings, enter=enter, policies=policies)
        _serve_pages(settings, app, database, health, stopping)
    finally:
        stopping.set()
        health.stopping = True
        record.join(settings.shutdown_seconds)
        internal.stop()
        database.close()
    return 0


def _serve_pages(
    settings: Settings,
    app: "ASGIApp",
    database: Database,
    health: Health,
    stopping: threading.Event,
) -> None:
    """Open the pages once the database holds the record; return once `stopping` is set."""
    while not is_caught_up(database):
        if stopping.wait(0.2):
            return
    pages = Server(app, listen(settings.console_bind_address, settings.console_port), "pages")
    pages.start()
    health.serving = True
    log.info("serving reviewers on port %d", settings.console_port)
    stopping.wait()
    health.stopping = True
    pages.stop()


def ask(database: Database) -> None:
    """Send the database a query. Raises RecordError."""
    with database.read() as connection:
        connection.execute(text("SELECT 1"))


def listen(address: str, port: int) -> socket.socket:
    """Open a listening socket. Raises ConfigurationError if the port is taken.

    asyncio sets TCP_NODELAY only where the protocol is named; without it the second small write of
    an answer waits 40 ms.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        opened.listen(128)
    except OSError as error:
        opened.close()
        message = f"port {port} on {address} can't be opened: {error.strerror}; free it."
        raise ConfigurationError(message) from None
    return opened


class Server:
    """One application on one socket, in a thread of its own: only the main thread has signals."""

    def __init__(self, app: "ASGIApp", opened: socket.socket, name: str) -> None:
        import uvicorn

        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
            # Longer than proxies keep idle connections (nginx: 60 s): none sends into a closed one.
            timeout_keep_alive=75,
            proxy_headers=False,  # `access.sign_in` decides about headers
        )
        self._server: uvicorn.Server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [opened]}, name=name
        )

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the requests in progress, and end."""
        self._server.should_exit = True
        self._thread.join()
