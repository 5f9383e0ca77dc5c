"""Webhooks over a real connection, from their threads: accepted, redirected, cut off."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from desk_world import World, request
from standardwebhooks import Webhook
from webhook_site import SECRET, Site, serving

from textmod_console.desk import Answer
from textmod_console.events import DECISION
from textmod_console.record.webhooks import Webhooks
from textmod_console.settings import load
from textmod_console.store import deliveries
from textmod_console.store.deliveries import Subscriptions
from textmod_console.store.intake import Message, Role, take_in
from textmod_console.store.projection import Place

pytestmark = pytest.mark.integration


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as running:
        yield running


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
            "TEXTMOD_CONSOLE_WEBHOOK_NETWORKS": "127.0.0.0/8",
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
        assert Webhook(SECRET).verify(body, headers)["data"]["id"] == made.id
