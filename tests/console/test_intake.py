"""What comes from the topics: redelivered, unreadable, hostile, gone."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from desk_world import World, request

from textmod_console.desk import Answer
from textmod_console.errors import NotFoundError
from textmod_console.events import APPEAL, COUNTED, DECISION, REVIEW_REQUESTED, Appeal
from textmod_console.store import projection
from textmod_console.store.intake import Message, Role, take_in
from textmod_console.store.projection import Place


def review(offset: int, item: str, value: bytes | None, partition: int = 0) -> Message:
    return Message(Place(partition, offset), item.encode(), REVIEW_REQUESTED, item, value)


def scattered(length: int) -> str:
    """Return four bytes a character, that no compression makes shorter."""
    draw = random.Random(length)  # noqa: S311 - the same at every run
    return "".join(chr(draw.randrange(0x10000, 0x10FFF)) for _ in range(length))


def take(world: World, role: Role, *messages: Message) -> int:
    ends = {one.place.partition: one.place.offset + 1 for one in messages}
    with world.database.write() as connection:
        return take_in(connection, role, role, messages, ends)


def test_an_item_is_taken_once_and_offsets_move_on(world: World) -> None:
    value = request("i").value()
    assert take(world, Role.REVIEW, review(0, "i", value), review(1, "i", value)) == 1
    assert take(world, Role.REVIEW, review(2, "i", value)) == 0
    assert world.desk.counts().open == 1
    with world.database.read() as connection:
        assert projection.next_offsets(connection, Role.REVIEW) == {0: 3}


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
