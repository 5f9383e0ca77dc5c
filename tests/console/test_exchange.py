"""Decisions as files, there and back, and what a file may not do."""

import csv
import io
import json

import pytest
from desk_world import START, World, request

from textmod_console.desk import Answer
from textmod_console.errors import DataError
from textmod_console.exchange import FORMATS
from textmod_console.store import outbox, transfer
from textmod_console.store.transfer import Imported


def decided(world: World) -> None:
    world.ask(request("a", text="=HYPERLINK(x)"), request("b"), request("c"))
    world.desk.decide("a", "ann", Answer("Remove", note='-1, "quoted"\nand more'), 0)
    world.wait(seconds=1)
    world.desk.decide("b", "bob", Answer("Approve"), 0)
    world.desk.decide("c", "bob", Answer("Skip"), 0)


def exported(world: World, name: str, *, texts: bool = False) -> str:
    file = io.StringIO(newline="")
    with world.database.read() as connection:
        assert FORMATS[name].write(file, transfer.rows(connection, None, texts=texts)) == 3
    return file.getvalue()


def imported(world: World, name: str, content: str) -> Imported:
    found = Imported()
    with world.database.write() as connection:
        given = FORMATS[name].read(io.StringIO(content, newline=""))
        transfer.take(connection, given, world.now, found)
    return found


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_is_exported_is_known_when_it_is_imported(world: World, name: str) -> None:
    decided(world)
    content = exported(world, name)
    assert "text of" not in content
    found = imported(world, name, content)
    assert (found.added, found.known, found.refused) == (0, 3, [])


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_decision_that_was_changed_in_the_file_supersedes_what_was_exported(
    world: World, name: str
) -> None:
    decided(world)
    world.wait(minutes=1)
    edited = exported(world, name).replace("Approve", "Remove").replace('{"removed": 0.0}', "{}")
    assert imported(world, name, edited).added == 1
    card = world.desk.card("b", None)
    assert [(one.decision, one.labels["removed"]) for one in card.decided] == [
        ("Approve", 0.0),
        ("Remove", 1.0),
    ]
    assert imported(world, name, edited).known == 3


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_another_console_takes_an_export_as_imported(world: World, name: str) -> None:
    decided(world)
    content = exported(world, name, texts=True)
    assert "text of b" in content
    world.empty()
    world.ask(request("a"), request("b"), request("c"))
    assert imported(world, name, content).added == 3
    card = world.desk.card("a", None)
    assert [(one.decision, one.actor, one.actor_kind) for one in card.decided] == [
        ("Remove", "ann", "Import")
    ]
    assert card.decided[0].labels == {"removed": 1.0}
    assert card.decided[0].at == START
    taken = world.desk.next_card("cat")
    assert taken is not None
    assert taken.item == "c"  # the others are decided
    with world.database.write() as connection:
        kinds = [json.loads(one.value) for one in outbox.take(connection, world.now, 10, 1)]
    assert sum(one.get("actorKind") == "Import" for one in kinds) == 3


def test_a_file_without_ids_counts_once(world: World) -> None:
    world.ask(request("a"))
    content = "item,decision,actor\r\na,remove,ann\r\n"
    assert imported(world, "csv", content).added == 1
    world.wait(seconds=5)
    assert imported(world, "csv", content).known == 1


def test_an_item_that_nobody_knows_needs_labels(world: World) -> None:
    found = imported(world, "csv", "item,decision\r\nx,Approve\r\n")
    assert found.refused == ["line 2: there is no such item, and the file names no labels for it."]
    line = json.dumps({"item": "x", "decision": "Approve", "labels": {"removed": 0}})
    assert imported(world, "jsonl", line).added == 1
    world.ask(request("x"))
    assert world.desk.next_card("ann") is None  # decided before it came


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("csv", "item\r\nx\r\n", "line 1: the header must name the columns item and decision."),
        ("csv", "item,decision\r\n,Remove\r\n", "line 2: item is missing."),
        ("csv", 'item,decision\r\n"x,Remove', "line 2: a quotation mark opens a field here and"),
        ("csv", '\nitem,decision\na,Skip\n"b"c,Skip\n', "line 4: more text behind a closing"),
        (
            "csv",
            "item,decision,Decision\nx,Remove,Skip\n",
            "line 1: two columns are named decision",
        ),
        ("csv", "sep=;\nitem;item;decision\nx;y;Skip\n", "line 2: two columns are named item"),
        (
            "csv",
            'item,decision,note\na,Remove,"x\nb,Approve,y\nc,Skip,z"\nd,Skip,\n',
            "line 2: a quotation mark opens a field here and takes in the rows up to line 4:",
        ),
        ("csv", 'item,decision,note\na,Skip,"x\ny"\nb,no,\n', "line 4: the decision must be"),
        (
            "csv",
            "item,decision,note\r\nx,Remove,rude, as ever\r\n",
            "line 2: more fields than the header has: put quotation marks around a note",
        ),
        ("jsonl", "[]", "line 1: it is no JSON object."),
        ("jsonl", '\n{"item": "x"}', "line 2: the decision must be one of Approve, Remove,"),
        ("jsonl", '{"item": "\\u0000", "decision": "Skip"}', "line 1: item is missing."),
        (
            "jsonl",
            '{"item": "x", "decision": "Skip", "labels": {"a": 2}}',
            "line 1: labels must be an object of numbers from 0 to 1.",
        ),
        (
            "jsonl",
            '{"item": "x", "decision": "Remove", "decision": "Approve"}',
            "line 1: an object has two values named 'decision'.",
        ),
        ("jsonl", '{"item": "x", "decision": "Skip", "note": 5}', "line 1: note must be text"),
        ("jsonl", '{"item": "x", "decision": "Skip", "reason": ["a"]}', "line 1: reason must be"),
        ("label-studio", '[{"data": {"item": "a", "item": "b"}}]', "the file: an object has two"),
        ("jsonl", '{"item": "x", "decision": "Skip", "at": "now"}', "line 1: the moment must be"),
        ("label-studio", "{}", "the file is no JSON list of tasks"),
        ("label-studio", "[1]", "task 1: it has no data."),
        (
            "label-studio",
            '[{"data": {"item": "x"}, "annotations": [{"result": []}]}]',
            "task 1: the decision must be one of",
        ),
    ],
)
def test_a_file_that_cannot_be_read_names_the_place(name: str, content: str, sentence: str) -> None:
    with pytest.raises(DataError) as raised:
        list(FORMATS[name].read(io.StringIO(content, newline="")))
    assert str(raised.value).startswith(sentence)


def test_a_tool_that_numbers_the_rows_of_each_file_loses_none(world: World) -> None:
    decided(world)
    first = "id,item,decision\n1,a,Approve\n2,b,Approve\n"
    assert imported(world, "csv", first).added == 2
    second = "id,item,decision\n1,c,Approve\n2,b,Approve\n"
    assert (found := imported(world, "csv", second)).added == 1
    assert found.known == 1
    assert imported(world, "csv", second).known == 2
    assert {one.decision for one in world.desk.card("c", None).decided} == {"Skip", "Approve"}


def test_no_id_of_another_tool_is_a_formula(world: World) -> None:
    decided(world)
    line = {"item": "a", "decision": "Remove", "id": "=1+1", "at": "2026-11-27T13:00:00Z"}
    assert imported(world, "jsonl", json.dumps(line)).added == 1
    file = io.StringIO(newline="")
    with world.database.read() as connection:
        FORMATS["csv"].write(file, transfer.rows(connection, None, texts=False))
    rows = list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))
    assert "'=1+1" in [row["id"] for row in rows]
    assert imported(world, "csv", file.getvalue()).known == 4


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_no_character_begins_a_formula(world: World, first: str) -> None:
    world.ask(request("a", text=f"{first}1"))
    world.desk.decide("a", "ann", Answer("Remove", note=f"{first}1"), 0)
    file = io.StringIO(newline="")
    with world.database.read() as connection:
        FORMATS["csv"].write(file, transfer.rows(connection, None, texts=True))
    (row,) = csv.DictReader(io.StringIO(file.getvalue(), newline=""))
    assert (row["text"], row["note"]) == (f"'{first}1", f"'{first}1")


def test_no_cell_is_a_formula(world: World) -> None:
    decided(world)
    rows = list(csv.DictReader(io.StringIO(exported(world, "csv", texts=True), newline="")))
    assert rows[0]["text"] == "'=HYPERLINK(x)"
    assert rows[0]["note"].startswith("'-1")
    first = next(FORMATS["csv"].read(io.StringIO(exported(world, "csv"), newline="")))
    assert first.note == '-1, "quoted"\nand more'


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"item": "x" * 1025}, "item: is longer than 1024 bytes"),
        ({"id": "x" * 65}, "id: string should have at most 64 characters"),
        ({"note": "x" * 1_000_000}, "the decision has more than 900,000 bytes"),
        ({"labels": {"x" * 1_000_000: 0}}, "the decision has more than 900,000 bytes"),
    ],
)
def test_a_row_that_no_event_can_be_of_is_refused_and_the_others_are_taken(
    world: World, fields: dict[str, object], why: str
) -> None:
    row = {"item": "a", "decision": "Approve", "labels": {"removed": 0}}
    lines = [row | {"id": "1"}, row | fields, row | {"id": "3"}]
    found = imported(world, "jsonl", "\n".join(json.dumps(line) for line in lines))
    assert found.added == 2
    (sentence,) = found.refused
    assert sentence.startswith("line 2: ")
    assert why in sentence


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_text_of_a_megabyte_is_exported_and_imported(world: World, name: str) -> None:
    decided(world)
    world.ask(request("d", text="long \u202e" * 200_000))
    world.desk.decide("d", "ann", Answer("Remove"), 0)
    file = io.StringIO(newline="")
    with world.database.read() as connection:
        FORMATS[name].write(file, transfer.rows(connection, None, texts=True))
    assert imported(world, name, file.getvalue()).known == 4


@pytest.mark.parametrize(
    ("decision", "share", "taken"),
    [("Remove", 0, 0), ("Approve", 1, 0), ("Remove", 1, 1), ("Approve", 0.4, 1), ("Skip", 1, 1)],
)
def test_a_decision_that_its_label_contradicts_is_refused(
    world: World, decision: str, share: float, taken: int
) -> None:
    line = json.dumps({"item": "x", "decision": decision, "labels": {"removed": share}})
    found = imported(world, "jsonl", line)
    assert (found.added, len(found.refused)) == (taken, 1 - taken)
    assert all("change both, or leave the labels out" in sentence for sentence in found.refused)


def test_a_decision_that_was_changed_without_its_label_is_refused(world: World) -> None:
    decided(world)
    edited = exported(world, "jsonl").replace("Approve", "Remove")
    found = imported(world, "jsonl", edited)
    assert (found.added, found.known) == (0, 2)
    (sentence,) = found.refused
    assert sentence.startswith("line 2: the decision is Remove and its label is 0: change both")


def read(name: str, content: str) -> list[tuple[str, str]]:
    given = FORMATS[name].read(io.StringIO(content, newline=""))
    return [(one.item, one.decision) for one in given]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("csv", "\ufeffitem,decision\r\na,Remove\r\n", id="byte order mark"),
        pytest.param("csv", "item;decision\na;Remove\n", id="semicolons"),
        pytest.param("csv", "sep=;\r\nitem;decision\r\na;Remove\r\n", id="Excel's first line"),
        pytest.param("csv", "item, decision\na,Remove\n", id="spaces in the header"),
        pytest.param("csv", "Item\tDecision\na\tREMOVE\n", id="tabs and capitals"),
        pytest.param("csv", "\nitem,decision\n,\n\na,Remove\n , \n", id="rows that say nothing"),
        pytest.param("csv", "item,decision\na,Remove,,\n", id="cells that say nothing"),
        pytest.param("jsonl", '\ufeff{"item":"a","decision":"Remove"}\r\n', id="mark, JSON"),
    ],
)
def test_dialects_of_files(name: str, content: str) -> None:
    assert read(name, content) == [("a", "Remove")]


def task(*regions: object) -> str:
    return json.dumps([{"data": {"item": "a"}, "annotations": [{"result": list(regions)}]}])


CHOSEN = {"type": "choices", "from_name": "decision", "value": {"choices": ["Remove"]}}


def test_the_decision_is_the_choice_of_its_own_control() -> None:
    topic = {"type": "choices", "from_name": "topic", "value": {"choices": ["Sports"]}}
    assert read("label-studio", "\ufeff" + task(topic, CHOSEN)) == [("a", "Remove")]
    assert read("label-studio", task(CHOSEN | {"from_name": "x"})) == [("a", "Remove")]


def test_two_choices_of_the_decision_are_refused() -> None:
    other = CHOSEN | {"value": {"choices": ["Approve"]}}
    with pytest.raises(DataError, match="task 1: the decision must be"):
        read("label-studio", task(CHOSEN, other))
    assert read("label-studio", task(CHOSEN, CHOSEN)) == [("a", "Remove")]


@pytest.mark.parametrize("value", [[1], "x", None, 5, {"choices": 5}, {"choices": "R"}, {}])
def test_a_choice_that_is_none_is_refused_with_its_task(value: object) -> None:
    with pytest.raises(DataError, match="task 1: the decision must be"):
        read("label-studio", task(CHOSEN | {"value": value}))


@pytest.mark.parametrize("field", ["item", "actor", "note", "reason", "id"])
@pytest.mark.parametrize("character", ["\x00", "\ud800"])
def test_a_field_that_no_database_holds_is_refused(field: str, character: str) -> None:
    row = {"item": "a", "decision": "Remove"} | {field: f"x{character}"}
    with pytest.raises(DataError, match="line 1: "):
        read("jsonl", json.dumps(row))


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_moment_beyond_the_calendar_is_refused(at: str) -> None:
    with pytest.raises(DataError, match="line 2: the moment must be like"):
        read("csv", f"item,decision,at\na,Remove,{at}\n")
