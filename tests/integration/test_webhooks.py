"""Webhooks over a real connection, from their threads: accepted, redirected, cut off."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from desk_world import World, request

from textmod_console.desk import Answer
from textmod_console.events import DECISION
from textmod_console.record import signing
from textmod_console.record.webhooks import Webhooks
from textmod_console.settings import load
from textmod_console.store import deliveries
from textmod_console.store.deliveries import Subscriptions
from textmod_console.store.intake import Message, Role, take_in
from textmod_console.store.projection import Place

pytestmark = pytest.mark.integration
SECRET = signing.PREFIX + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Site(ThreadingHTTPServer):
    """Accepts what is sent to /hook, redirects what is sent elsewhere, and keeps all of it."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        assert isinstance(self.server, Site)
        self.server.got.append((self.path, headers, body))
        self.send_response(204 if self.path == "/hook" else 307)
        self.send_header("location", f"{self.server.url}/hook")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join(30)


def test_decisions_reach_a_site_and_no_redirect_is_followed(site: Site, tmp_path: Path) -> None:
    hooks = [
        {"name": "site", "url": f"{site.url}/hook", "decisions": ["Remove"]},
        {"name": "moved", "url": f"{site.url}/moved", "decisions": ["Remove"]},
        {"name": "away", "url": "http://127.0.0.1:1/", "decisions": ["Remove"]},
    ]
    for hook in hooks:
        (tmp_path / str(hook["name"])).mkdir()
        (tmp_path / str(hook["name"]) / "secret").write_text(SECRET)
    settings = load(
        {
            "TEXTMOD_CONSOLE_WEBHOOKS": json.dumps(hooks),
            "TEXTMOD_CONSOLE_WEBHOOKS_FOLDER": str(tmp_path),
        }
    )
    with World(f"sqlite:///{tmp_path}/console.db") as world:
        world.ask(request("a"))
        card = world.desk.claim("a", "ada")
        made = world.desk.decide("a", "ada", Answer("Remove"), card.version)
        message = Message(Place(0, 0), None, DECISION, made.id, made.value())
        with world.database.write() as connection:
            subscribed = Subscriptions(settings.console_webhooks, lambda: world.now)
            take_in(connection, "f", Role.FEEDBACK, [message], {0: 1}, subscriptions=subscribed)
        webhooks = Webhooks(settings, world.database, lambda: datetime.now(UTC))
        webhooks.start()
        try:
            deadline = time.monotonic() + 60
            while len(site.got) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            webhooks.stop()
        with world.database.read() as connection:
            left = [deliveries.waiting(connection, str(hook["name"])) for hook in hooks]
    assert left == [0, 1, 1]
    assert sorted(path for path, _, _ in site.got) == ["/hook", "/moved"]
    for _, headers, body in site.got:
        at = int(headers["webhook-timestamp"])
        signed = signing.headers(made.id, at, body, signing.keys(SECRET))
        assert headers["webhook-signature"] == signed["webhook-signature"]
        assert json.loads(body)["data"]["id"] == made.id
