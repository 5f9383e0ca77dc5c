"""The acts of the console for programs, in JSON."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from console_client import FakeApiServer, by_token, loopback
from desk_world import World
from desk_world import request as review_request
from memory_desk import MemoryDesk, card

from textmod_console.desk import Answer

ITEM = "/api/items/science-input/0/1%230"


def desk() -> MemoryDesk:
    return MemoryDesk.of(card(1, item="science-input/0/1#0"), card(2))


def test_a_program_takes_decides_and_undoes() -> None:
    made = desk()
    client = loopback(made)
    got = client.get("/api/next").json()
    assert (got["item"], got["text"], got["version"]) == (
        "science-input/0/1#0", "Vaccines do not cause autism.", 1,
    )  # fmt: skip
    assert got["reasons"] == [
        {"kind": "Policy", "policy": "off-topic", "action": "Review", "score": 0.83}
    ]
    body = {"decision": "Remove", "version": 1, "milliseconds": 900, "note": "a note"}
    decided = client.post(f"{ITEM}/decision", json=body)
    assert decided.status_code == 200
    decision = decided.json()
    assert decision["labels"] == {"removed": 1.0}
    assert decision["seen"] == {"score": True, "explanation": False}
    assert (decision["milliseconds"], decision["note"]) == (900, "a note")
    assert client.get("/api/next").json()["item"] == "science-input/0/2"
    assert client.get("/api/counts").json()["decidedToday"] == 1
    assert client.post("/api/undo", json={"decision": decision["id"]}).status_code == 204
    assert made.cards["science-input/0/1#0"].decided == ()
    assert client.post("/api/items/science-input/0/2/release", json={}).status_code == 204


def test_a_blind_items_score_is_in_no_answer_before_somebody_judged_it(tmp_path: Path) -> None:
    """Over the real desk, whose decisions copy the scores of the request."""
    with World(f"sqlite:///{tmp_path}/console.db") as world:
        blind = review_request("science-input/0/1#0", blind=True, scores={"removed": 0.8371})
        world.ask(blind)
        client = loopback(world.desk)
        card_told = client.get("/api/next")
        body = {"version": card_told.json()["version"]}
        unsure = client.post(f"{ITEM}/decision", json=body | {"decision": "Unsure"})
        again = client.get(ITEM)
        page = client.get("/items/science-input/0/1%230")
        for answer in (card_told, unsure, again, page):
            assert answer.status_code == 200
            assert "0.8371" not in answer.text
            assert "0.84" not in answer.text
            assert '"action"' not in answer.text
            assert '"flagged"' not in answer.text
        body = {"version": again.json()["version"]}
        judged = client.post(f"{ITEM}/decision", json=body | {"decision": "Remove"})
        assert judged.json()["scores"] == {"removed": 0.8371}
        assert "0.8371" in client.get(ITEM).text


@pytest.mark.parametrize(("role", "reads"), [("reviewer", False), ("lead", True)])
def test_earlier_decisions_are_given_with_their_notes_to_who_may_read_them(
    role: str, reads: bool, tmp_path: Path
) -> None:
    with World(f"sqlite:///{tmp_path}/console.db") as world:
        world.ask(review_request("i"))
        world.desk.decide("i", "bob", Answer("Unsure", note="ask the police"), 0)
        client = by_token(world.desk, FakeApiServer())
        client.headers["Authorization"] = f"Bearer token-of-{role}"
        (earlier,) = client.get("/api/next").json()["decided"]
    assert (earlier["decision"], earlier["at"]) == ("Unsure", "2026-11-27T12:00:00Z")
    assert ("note" in earlier, "actor" in earlier) == (reads, reads)


def test_a_program_skips_and_sees_the_end() -> None:
    client = loopback(desk())
    skip = {"skip": ["science-input/0/1#0", "science-input/0/2"]}
    answer = client.get("/api/next", params=skip)
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_program_reads_an_item_with_its_history() -> None:
    client = loopback(desk())
    got = client.get(ITEM).json()
    assert [entry["kind"] for entry in got["history"]] == ["Requested"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"{ITEM}/decision", {"decision": "Remove", "version": 9}, 409),
        (f"{ITEM}/decision", {"decision": "Ban", "version": 1}, 422),
        (f"{ITEM}/decision", {"decision": "Remove"}, 422),
        (f"{ITEM}/decision", {"decision": "Remove", "version": 1, "actor": "eve"}, 422),
        (f"{ITEM}/decision", {"decision": "Remove", "version": 1, "note": "x" * 2001}, 422),
        (f"{ITEM}/decision", ["Remove"], 422),
        ("/api/items/none/0/1/decision", {"decision": "Remove", "version": 1}, 404),
        ("/api/undo", {"decision": "none-such"}, 404),
        ("/api/undo", {}, 422),
        ("/api/undo", {"decision": "a\x00b"}, 422),
        (f"{ITEM}/decision", {"decision": "Skip", "version": 1, "policy": "a\x00"}, 422),
        (f"{ITEM}/decision", {"decision": "Skip", "version": 10**30}, 422),
        ("/api/items/a%00b/decision", {"decision": "Skip", "version": 1}, 404),
        ("/api/nothing", {}, 404),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    path: str, body: object, status: int
) -> None:
    answer = loopback(desk()).post(path, json=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["status"] == status
    assert error["message"].endswith(".")
    assert "eve" not in error["message"]


@pytest.mark.parametrize("content", [b"{", b"[" * 30_000, b"\xff", b'"text"'])
def test_a_body_that_is_no_json_object_is_refused(content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = loopback(desk()).post(f"{ITEM}/decision", content=content, headers=headers)
    assert answer.status_code == 422


def test_an_undo_after_ten_seconds_is_a_conflict() -> None:
    made = desk()
    client = loopback(made)
    body = {"decision": "Approve", "version": 1}
    decision = client.post(f"{ITEM}/decision", json=body).json()
    made.now += timedelta(seconds=11)
    assert client.post("/api/undo", json={"decision": decision["id"]}).status_code == 409
