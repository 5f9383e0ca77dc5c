"""What comes from the topics: redelivered, unreadable, hostile, gone."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from desk_world import World, request
from sqlalchemy import text

from textmod_console.desk import Answer
from textmod_console.errors import NotFoundError, RecordError
from textmod_console.events import APPEAL, COUNTED, DECISION, REVIEW_REQUESTED, Appeal
from textmod_console.internal.figures import evidence_document, quality_document
from textmod_console.store import deciding, projection, queue
from textmod_console.store.auditing import AUDIT
from textmod_console.store.intake import Message, Role, take_in
from textmod_console.store.measuring import Measuring
from textmod_console.store.projection import Place


def review(offset: int, item: str, value: bytes | None, partition: int = 0) -> Message:
    return Message(Place(partition, offset), item.encode(), REVIEW_REQUESTED, item, value)


def scattered(length: int) -> str:
    """Return four bytes a character, that no compression makes shorter."""
    draw = random.Random(length)  # noqa: S311 - the same at every run
    return "".join(chr(draw.randrange(0x10000, 0x10FFF)) for _ in range(length))


def take(world: World, role: Role, *messages: Message, kept: dict[int, int] | None = None) -> int:
    ends = {one.place.partition: one.place.offset + 1 for one in messages}
    with world.database.write() as connection:
        return take_in(connection, role, role, messages, ends, kept=kept)


def test_an_item_is_taken_once_and_offsets_move_on(world: World) -> None:
    value = request("i").value()
    assert take(world, Role.REVIEW, review(0, "i", value), review(1, "i", value)) == 1
    assert take(world, Role.REVIEW, review(2, "i", value)) == 0
    assert world.desk.counts().open == 1
    with world.database.read() as connection:
        assert projection.next_offsets(connection, Role.REVIEW) == {0: 3}


def test_a_database_that_has_lost_messages_takes_none_behind_them(world: World) -> None:
    first, second, third = (review(n, f"i{n}", request(f"i{n}").value()) for n in range(3))
    take(world, Role.REVIEW, first, kept={0: 0})
    # A standby that lacks the second takes over, and nothing says so but what it holds.
    with pytest.raises(RecordError, match="has lost messages of topic review"):
        take(world, Role.REVIEW, third, kept={0: 2})
    with world.database.read() as connection:
        assert projection.next_offsets(connection, Role.REVIEW) == {0: 1}
    assert take(world, Role.REVIEW, second, third, kept={0: 1}) == 2
    assert world.desk.counts().open == 3


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"\xff",
        b"null",
        b"[" * 100_000,
        request("i").value().replace(b'"i"', b'"i\\u0000"'),
        request("i").value().replace(b'"removed"', b'"\\u0000"'),
        request("i").value().replace(b"text of i", b"\\ud800"),
        request("i").value().replace(b"0.75", b"1e999"),
        request("i").value().replace(b"0.75", b"1e308"),
        request("i").value().replace(b"0.75", b"NaN"),
    ],
)
def test_what_cannot_be_read_stops_nothing(world: World, value: bytes) -> None:
    good = request("good").value()
    taken = take(world, Role.REVIEW, review(0, "i", value), review(1, "good", good))
    assert taken >= 1
    assert world.desk.card("good", None).text == "text of good"


@pytest.mark.parametrize("name", ["item", "label", "author"])
def test_a_name_longer_than_an_index_holds_stops_nothing(world: World, name: str) -> None:
    value = json.loads(request("i").value()) | {name: scattered(1024)}
    value["scores"] = {value["label"]: 0.75}
    other = review(1, "good", request("good").value())
    assert take(world, Role.REVIEW, review(0, "i", json.dumps(value).encode()), other) >= 1


def test_hostile_counts_stop_nothing(world: World) -> None:
    policies = [{"name": scattered(40 + n)[:60], "action": "Review"} for n in range(16)]
    count = {"at": "2026-11-27T12:00:00Z", "flagged": True, "texts": 1, "scores": 0.5}
    value = {"source": "in/0", "from": 0, "until": 1, "model": "m"}
    for more in ({"policies": policies}, {"policyVersion": scattered(100)}):
        body = json.dumps(value | {"counts": [count | more]}).encode()
        take(world, Role.REVIEW, Message(Place(0, 0), None, COUNTED, "", body))


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_utc_does_not_have_is_no_time(world: World, at: str) -> None:
    appeal = {"appeal": "a", "item": "i", "by": "bob", "reason": "why", "at": at}
    message = Message(Place(0, 0), None, APPEAL, "a", json.dumps(appeal).encode())
    assert take(world, Role.FEEDBACK, message) == 0


@pytest.mark.parametrize("role", list(Role))
def test_a_name_with_a_nul_stops_nothing(world: World, role: Role) -> None:
    """Binary keys and ids, as of a wrong program: Postgres refuses them in queries, too."""
    kind, value = (REVIEW_REQUESTED, None) if role is Role.REVIEW else (AUDIT, b"{}")
    assert take(world, role, Message(Place(0, 0), b"\0\0\0\1", kind, "a\0b", value)) == 0
    with world.database.read() as connection:
        assert projection.next_offsets(connection, role) == {0: 1}


@pytest.mark.parametrize("kind", ["Skip", "Unsure", "Remove"])
def test_a_decision_of_the_last_day_of_the_calendar_stops_nothing(world: World, kind: str) -> None:
    world.ask(request("i"))
    value = {
        "id": "d", "item": "i", "decision": kind, "actor": "ann", "actorKind": "Human",
        "tool": {"name": "t", "version": "1"}, "at": "9999-12-31T23:59:59.999999Z",
    }  # fmt: skip
    body = json.dumps(value).encode()
    assert take(world, Role.FEEDBACK, Message(Place(0, 0), None, DECISION, "d", body)) == 1
    card = world.desk.claim("i", "bob")
    made = world.desk.decide("i", "bob", Answer("Skip"), card.version)
    world.desk.undo(made.id, "bob")


def test_hostile_decisions_stop_nothing(world: World) -> None:
    def message(offset: int, kind: str, value: bytes | None) -> Message:
        return Message(Place(0, offset), None, kind, "", value)

    kinds = [DECISION, APPEAL, "dev.textmoderation.audit.v1", "dev.textmoderation.new.v9", ""]
    values = [b"{}", b"\xff\x00", None, b'{"number": "x"}', b'{"number": 1, "at": 1}']
    messages = [
        message(n, kind, v) for n, (kind, v) in enumerate((k, v) for k in kinds for v in values)
    ]
    assert take(world, Role.FEEDBACK, *messages) == 0


def test_a_tombstone_erases_the_text_and_keeps_the_decisions(world: World) -> None:
    messages = [review(n, f"i{n}", request(f"i{n}").value()) for n in range(2)]
    take(world, Role.REVIEW, *messages)
    world.desk.decide("i0", "ann", Answer("Remove"), 0)
    take(world, Role.REVIEW, review(2, "i0", None), review(3, "i1", None))
    card = world.desk.card("i0", None)
    assert (card.text, card.author, card.context) == (None, None, None)
    assert [one.decision for one in card.decided] == ["Remove"]
    assert world.desk.next_card("bob") is None
    with pytest.raises(NotFoundError):
        world.desk.decide("i1", "bob", Answer("Remove"), world.desk.card("i1", None).version)


def test_a_text_is_erased_while_it_is_decided(world: World) -> None:
    world.ask(request("i"))
    world.desk.claim("i", "ann")

    def erase() -> int:
        with world.database.write() as connection:
            return projection.erase(connection, ["i"])

    with ThreadPoolExecutor(1) as pool:
        with world.database.write() as connection:
            row = deciding.locked(connection, "i")
            erased = pool.submit(erase)
            wait_for_a_lock(world)
            queue.give_up(connection, row.id, "ann", world.now)
        assert erased.result(20) == 1


def wait_for_a_lock(world: World) -> None:
    """Wait until a transaction on Postgres waits for another."""
    waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    end = time.monotonic() + 20
    while not world.database.is_sqlite:
        with world.database.read() as connection:
            if connection.execute(waits).scalar_one():
                return
        assert time.monotonic() < end


def test_an_erased_text_is_not_in_the_file_of_the_database(tmp_path: Path) -> None:
    file = tmp_path / "console.db"
    with World(f"sqlite:///{file}") as world:
        world.ask(request("i", text="a very private text" * 1000), request("j"))
        take(world, Role.REVIEW, review(9, "i", None))
    assert b"text of j" in file.read_bytes()
    assert b"a very private text" not in file.read_bytes()


def test_retention_erases_what_the_topic_no_longer_holds(world: World) -> None:
    value = request("old").value()
    take(world, Role.REVIEW, review(0, "old", value), review(1, "again", request("again").value()))
    take(world, Role.REVIEW, review(2, "again", request("again").value()))  # redelivered
    take(world, Role.REVIEW, review(0, "other", request("other").value(), partition=1))
    with world.database.write() as connection:
        assert projection.erase_before(connection, 0, 2) == 1
    found = {item: world.desk.card(item, None).text for item in ("old", "again", "other")}
    assert found == {"old": None, "again": "text of again", "other": "text of other"}


def test_an_appeal_opens_a_decided_item_until_a_decision_names_it(world: World) -> None:
    take(world, Role.REVIEW, review(0, "i", request("i").value()))
    world.desk.decide("i", "ann", Answer("Remove"), 0)
    assert world.desk.next_card("bob") is None
    appeal = Appeal(appeal="a1", item="i", by="mallory", reason="it was a joke", at=world.now)
    take(world, Role.FEEDBACK, Message(Place(0, 0), b"i", APPEAL, "a1", appeal.value()))
    card: Any = world.desk.next_card("bob")
    assert card.appeal == "a1"
    answer = Answer("Approve", appeal="a1", outcome="Overturned")
    world.desk.decide("i", "bob", answer, card.version)
    assert world.desk.next_card("cat") is None
    assert [entry.kind for entry in world.desk.history("i")] == [
        "Requested", "Decision", "Appeal", "Decision",
    ]  # fmt: skip


# --- records that others wrote ------------------------------------------------------------------


def forged(**fields: object) -> bytes:
    record = {"number": 1, "at": 1, "actor": "eve", "act": "x", "item": None, "detail": "{}"}
    return json.dumps(record | {"digest": "d"} | fields).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"number": 2**63 - 1}, {"number": 10**30}, {"number": 1e300}, {"number": 0},
        {"number": -5}, {"at": 10**30}, {"at": 2**62}, {"detail": "no JSON"}, {"detail": "[1]"},
    ],
)  # fmt: skip
def test_a_forged_audit_record_stops_neither_the_audit_nor_decisions(
    world: World, fields: dict[str, object]
) -> None:
    message = Message(Place(0, 0), None, "dev.textmoderation.audit.v1", "x", forged(**fields))
    assert take(world, Role.FEEDBACK, message) == 0
    world.ask(request("i"))
    world.desk.decide("i", "ann", Answer("Remove"), world.desk.claim("i", "ann").version)
    assert [entry.act for entry in world.desk.audit(None, 10)] == ["decide", "claim"]


@pytest.mark.parametrize("kind", ["Skip", "Unsure", "Remove"])
def test_a_decision_of_a_name_longer_than_an_index_holds_stops_nothing(
    world: World, kind: str
) -> None:
    value = {
        "id": "d", "item": scattered(250), "decision": kind, "actor": scattered(1000),
        "actorKind": "Human", "tool": {"name": "t", "version": "1"}, "at": "2026-11-27T12:00:00Z",
    }  # fmt: skip
    body = json.dumps(value).encode()
    assert take(world, Role.FEEDBACK, Message(Place(0, 0), None, DECISION, "d", body)) == 1


@pytest.mark.parametrize("item", ["a\u200bb", "a\nb", " a", "a ", "\u2028"])
def test_an_item_that_no_form_can_name_is_not_put_before_anybody(world: World, item: str) -> None:
    value = json.loads(request("i").value()) | {"item": item}
    assert take(world, Role.REVIEW, review(0, "x", json.dumps(value).encode())) == 0
    assert world.desk.next_card("ann") is None


HOSTILE: dict[str, dict[str, Any]] = {
    "a probability near 0": {"selection": {"strategy": "x", "probability": 1e-300}},
    "a probability of no weight": {"selection": {"strategy": "x", "probability": 5e-324}},
    "a score beyond any": {"scores": {"removed": 1e308}},
    "a score below any": {"scores": {"removed": -1e308}},
    "10,000 labels with slashes": {"scores": {f"a/{n}/<b>": 0.5 for n in range(10_000)}},
    "a number of 5,000 digits": {"explanation": {"base": "DIGITS"}},
    "an unknown number of 5,000 digits": {"newer": "DIGITS"},
    "reasons without an end": {"reasons": [{"kind": "Policy", "policy": "p" * 1000}] * 50},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_leaves_cards_and_figures_as_they_are(world: World, name: str) -> None:
    """Its item may be shown, decided and measured, and nothing fails; or it is not taken in."""
    value = json.loads(request("i").value()) | HOSTILE[name]
    body = json.dumps(value).replace('"DIGITS"', "9" * 5000).encode()
    take(world, Role.REVIEW, review(0, "i", body))
    world.ask(request("j"))
    while (card := world.desk.next_card("ann")) is not None:
        world.desk.decide(card.item, "ann", Answer("Remove"), card.version)
    delay = timedelta(0)
    found = Measuring(world.database, delay, 1, lambda: world.now + timedelta(days=1)).figures()
    quality_document(found.quality)
    evidence_document(found.model, found.evidence)
    world.desk.scores_of_the_day()
    if len(world.desk.audit(None, 10)) > 2:
        assert world.desk.history("i")


@pytest.mark.parametrize(
    "value",
    [b'{"a": "\xff"}', b"\xff\xfe{\x00}\x00", b'{"at": 1e999}', b'{"id": ' + b"9" * 5000 + b"}"],
)
@pytest.mark.parametrize("kind", [REVIEW_REQUESTED, DECISION, APPEAL, COUNTED])
def test_bytes_that_are_no_json_stop_nothing(world: World, kind: str, value: bytes) -> None:
    whole = json.dumps({"id": "d", "item": "i", "decision": "Remove", "actor": "a", "x": 1})
    mixed = whole.encode().replace(b'"x": 1', b'"x": "\xff\xc3"')
    messages = [
        Message(Place(0, n), b"\xff", kind, "\ufffd", one) for n, one in enumerate([value, mixed])
    ]
    for role in Role:
        take(world, role, *messages)
