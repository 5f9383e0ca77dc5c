"""Webhooks: deliveries that wait, signatures, and failed attempts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import timedelta
from pathlib import Path

import httpx
import orjson
import pytest
from desk_world import World, request
from standardwebhooks import Webhook as StandardWebhook
from standardwebhooks import WebhookVerificationError

from textmod_console.desk import UNDO, Answer
from textmod_console.errors import ConfigurationError
from textmod_console.events import DECISION, Decision
from textmod_console.record import signing
from textmod_console.record.webhooks import MOST_ATTEMPTS, Sender, delay
from textmod_console.settings import Webhook, load
from textmod_console.store import deliveries
from textmod_console.store.deliveries import Subscriptions
from textmod_console.store.intake import Message, Role, take_in
from textmod_console.store.projection import Place

SECRET = signing.PREFIX + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = Webhook(name="site", url="https://example.com/hook", decisions=("Approve", "Remove"))


class Receiver:
    """A site with configured answers; it records the requests."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.status = 204
        self.error: httpx.HTTPError | None = None
        self.got: list[httpx.Request] = []
        self.secret = folder / "secret"
        self.secret.write_text(SECRET)
        client = httpx.Client(transport=httpx.MockTransport(self._answer))
        self.sender = Sender(HOOK, self.secret, world.database, lambda: world.now, client)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        if self.error is not None:
            raise self.error
        return httpx.Response(self.status, headers={"location": "https://other.example.com/"})


@pytest.fixture
def receiver(world: World, tmp_path: Path) -> Receiver:
    return Receiver(world, tmp_path)


def decide(world: World, item: str, decision: str = "Remove") -> Decision:
    """Decide an item, and read the decision back from the topic."""
    world.ask(request(item))
    card = world.desk.claim(item, "ada")
    made = world.desk.decide(item, "ada", Answer(decision), card.version)  # type: ignore[arg-type]
    world.now += UNDO
    read(world, made)
    return made


def read(world: World, made: Decision, hooks: tuple[Webhook, ...] = (HOOK,)) -> None:
    message = Message(Place(0, world.offset), None, DECISION, made.id, made.value())
    world.offset += 1
    with world.database.write() as connection:
        subscribed = Subscriptions(hooks, lambda: world.now)
        take_in(
            connection, "f", Role.FEEDBACK, [message], {0: world.offset}, subscriptions=subscribed
        )


def waiting(world: World) -> int:
    with world.database.read() as connection:
        return deliveries.waiting(connection, HOOK.name)


def test_a_signature_is_that_of_the_standards_library() -> None:
    """The expected value was made by standardwebhooks 1.1.0."""
    at, body = 1_795_780_800, b'{"type":"decision.created"}'
    name = "0b6c6ff1-0f3e-4b57-9c6c-2b1a4f3f5d11"
    one = signing.headers(name, at, body, signing.keys(SECRET))
    expected = "v1,FseF1YVPRYsTfCZd+oe/n55WPeC+qq2ApiQlwMbzZdw="
    assert one["webhook-signature"] == expected
    assert (one["webhook-id"], one["webhook-timestamp"]) == (name, "1795780800")
    other = signing.PREFIX + base64.b64encode(bytes(32)).decode()
    both = signing.headers(name, at, body, signing.keys(f"{other} {SECRET}\n"))
    first, second = both["webhook-signature"].split()
    assert second == expected
    assert first.startswith("v1,")
    assert first != expected


def test_the_standards_library_verifies_and_refuses_what_was_changed() -> None:
    """Its own rules: any of several signatures, five minutes of time, the whole of the body."""
    body, now = '{"type":"decision.created","data":{"note":"ñ"}}'.encode(), int(time.time())
    other = signing.PREFIX + base64.b64encode(bytes(range(32))).decode()
    head = signing.headers("0b6c6ff1", now, body, signing.keys(f"{other} {SECRET}"))
    for key in (SECRET, other):
        assert StandardWebhook(key).verify(body, head)["type"] == "decision.created"
    refused = [
        (body + b" ", head),
        (body, head | {"webhook-id": "0b6c6ff2"}),
        (body, head | {"webhook-timestamp": str(now + 1)}),
        (body, signing.headers("0b6c6ff1", now - 301, body, signing.keys(SECRET))),
        (body, signing.headers("0b6c6ff1", now, body, signing.keys(other))),
    ]
    for content, given in refused:
        with pytest.raises(WebhookVerificationError):
            StandardWebhook(SECRET).verify(content, given)


@pytest.mark.parametrize("value", ["", " ", "hunter2", "whsec_hunter2", "whsec_aHVudGVyMg=="])
def test_what_is_no_key_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        signing.keys(value)
    assert "hunter2" not in str(raised.value)
    assert "aHVu" not in str(raised.value)


def test_a_decision_is_sent_once_it_was_read_back(world: World, receiver: Receiver) -> None:
    made = decide(world, "a")
    assert receiver.sender.turn() == 1
    (got,) = receiver.got
    assert (got.method, str(got.url)) == ("POST", HOOK.url)
    assert got.headers["webhook-id"] == made.id
    body = orjson.loads(got.content)
    assert body["type"] == "decision.created"
    assert body["data"] == orjson.loads(made.value())
    assert b"text of a" not in got.content
    signed = signing.headers(
        made.id, int(got.headers["webhook-timestamp"]), got.content, signing.keys(SECRET)
    )
    assert got.headers["webhook-signature"] == signed["webhook-signature"]
    assert receiver.sender.turn() == 0
    assert waiting(world) == 0


def test_only_what_is_asked_for_is_sent(world: World, receiver: Receiver) -> None:
    decide(world, "a", "Escalate")
    made = decide(world, "b", "Approve")
    imported = made.model_copy(update={"id": "i", "actor_kind": "Import"})
    read(world, imported)
    read(world, made)  # again, from a topic that was created again
    old = made.model_copy(update={"id": "o", "at": world.now - timedelta(hours=25)})
    read(world, old)
    assert waiting(world) == 1
    assert receiver.sender.turn() == 1
    read(world, made.model_copy(update={"id": "n"}), ())
    assert waiting(world) == 0


@pytest.mark.parametrize("answer", [500, 404, 302, 410, httpx.ConnectError("refused")])
def test_what_is_not_accepted_is_sent_again_later(
    world: World, receiver: Receiver, answer: int | httpx.HTTPError
) -> None:
    if isinstance(answer, int):
        receiver.status = answer
    else:
        receiver.error = answer
    decide(world, "a")
    assert receiver.sender.turn() == 1
    assert receiver.sender.turn() == 0, "not at once"
    world.now += timedelta(seconds=5)
    receiver.status, receiver.error = 200, None
    assert receiver.sender.turn() == 1
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert waiting(world) == 0


def test_one_that_is_refused_for_hours_is_given_up_and_in_the_audit(
    world: World, receiver: Receiver
) -> None:
    receiver.status = 503
    made = decide(world, "a")
    began = world.now
    for _ in range(MOST_ATTEMPTS):
        assert receiver.sender.turn() == 1
        world.now += timedelta(hours=1)
    assert waiting(world) == 0
    assert receiver.sender.turn() == 0
    (last,) = world.desk.audit(None, 1)
    assert (last.act, last.actor) == ("webhook-given-up", "textmod-console")
    assert last.detail == {"webhook": "site", "decision": made.id, "attempts": MOST_ATTEMPTS}
    assert sum((delay(n) for n in range(1, MOST_ATTEMPTS)), timedelta()) < timedelta(hours=6)
    assert began < world.now
    world.verify()


@pytest.mark.parametrize(
    ("given", "sent"),
    [("tool:ñ/1", "tool:%C3%B1/1"), (" a\nb", "%20a%0Ab"), ("50%", "50%25")],
)
def test_an_id_that_no_header_holds_is_percent_encoded(
    world: World, receiver: Receiver, given: str, sent: str
) -> None:
    made = decide(world, "a").model_copy(update={"id": given})
    receiver.sender.turn()
    read(world, made)
    assert receiver.sender.turn() == 1
    got = receiver.got[-1]
    assert got.headers["webhook-id"] == sent
    signed = f"{sent}.{got.headers['webhook-timestamp']}.".encode() + got.content
    (key,) = signing.keys(SECRET)
    mac = hmac.new(key, signed, hashlib.sha256).digest()
    assert got.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    assert orjson.loads(got.content)["data"]["id"] == given
    assert waiting(world) == 0


def test_after_a_failure_the_others_wait_for_the_next_turn(
    world: World, receiver: Receiver
) -> None:
    receiver.status = 500
    decide(world, "a")
    decide(world, "b")
    assert receiver.sender.turn() == 1
    assert len(receiver.got) == 1


def test_a_secret_is_read_for_every_request(world: World, receiver: Receiver) -> None:
    decide(world, "a")
    receiver.secret.unlink()
    receiver.sender.turn()
    assert receiver.got == []
    other = signing.PREFIX + base64.b64encode(bytes(32)).decode()
    receiver.secret.write_text(other)
    world.now += timedelta(hours=1)
    receiver.sender.turn()
    (got,) = receiver.got
    at = int(got.headers["webhook-timestamp"])
    signed = signing.headers(got.headers["webhook-id"], at, got.content, signing.keys(other))
    assert got.headers["webhook-signature"] == signed["webhook-signature"]


def test_each_webhook_has_its_own_deliveries(world: World, receiver: Receiver) -> None:
    world.ask(request("a"))
    made = world.desk.decide("a", "ada", Answer("Remove"), 0)
    read(world, made, (HOOK.model_copy(update={"name": "other"}),))
    assert receiver.sender.turn() == 0
    with world.database.read() as connection:
        assert deliveries.waiting(connection, "other") == 1


def test_an_undone_decision_is_not_sent(world: World, receiver: Receiver) -> None:
    world.ask(request("a"))
    card = world.desk.claim("a", "ada")
    made = world.desk.decide("a", "ada", Answer("Remove"), card.version)
    world.desk.undo(made.id, "ada")
    world.now += UNDO
    assert receiver.sender.turn() == 0


def test_webhooks_that_are_gone_leave_nothing(world: World, receiver: Receiver) -> None:
    decide(world, "a")
    with world.database.write() as connection:
        deliveries.drop_others(connection, ["site"])
    assert waiting(world) == 1
    with world.database.write() as connection:
        deliveries.drop_others(connection, [])
    assert waiting(world) == 0


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("{", "must be a JSON list"),
        ('[{"name": "a", "url": "file:///x", "decisions": []}]', "console_webhooks.0.url".upper()),
        ('[{"name": "../a", "url": "https://x/", "decisions": []}]', "NAME"),
    ],
)
def test_settings_of_webhooks_are_checked(value: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load({"TEXTMOD_CONSOLE_WEBHOOKS": value})
    assert fault.lower() in str(raised.value).lower()
