"""The commands on a database in a file: what they print, and their exit codes."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from desk_world import World, request

from textmod_console.__main__ import main
from textmod_console.commands import rebuild
from textmod_console.desk import Answer
from textmod_console.store import digest


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A desk on the database that the commands open."""
    monkeypatch.setenv("TEXTMOD_CONSOLE_DATA", str(tmp_path))
    return World(f"sqlite:///{tmp_path}/console.db")


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of Kafka; nothing answers there."""
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "REVIEW_TOPIC", "FEEDBACK_TOPIC", "CONSUMER_GROUP"):
        monkeypatch.setenv(f"TEXTMOD_{name}", name.lower())


def test_an_export_and_an_import_are_in_the_audit_by_whom(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "decisions.jsonl")
    with world:
        world.ask(request("a"))
        world.desk.decide("a", "ann", Answer("Remove"), 0)
        assert main(["export", "--actor", "rita", file]) == 0
        assert main(["import", "--actor", "rita", file]) == 0
        records = [(one.act, one.actor, one.detail) for one in world.desk.audit(None, 9)]
    assert capsys.readouterr().err == (
        "exported 1 decisions\nimported 0 decisions; 1 were known, 0 refused\n"
    )
    assert records[:2] == [
        ("import", "rita", {"format": "jsonl", "rows": 0}),
        ("export", "rita", {"format": "jsonl", "rows": 1, "texts": False}),
    ]


def test_an_import_that_refuses_a_row_takes_the_others_and_fails(
    world: World, tmp_path: Path
) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text("item,decision\na,Approve\nunknown,Approve\n")
    with world:
        world.ask(request("a"))
        assert main(["import", "--format", "csv", str(file)]) == 65
        assert [one.decision for one in world.desk.card("a", None).decided] == ["Approve"]


def test_an_import_that_ends_half_way_is_in_the_audit_with_what_it_took(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "decisions.csv"
    good = [f"a,Approve,{n}" for n in range(250)]
    file.write_text("\n".join(["item,decision,id", *good, "a,Ban,x"]) + "\n")
    with world:
        world.ask(request("a"))
        assert main(["import", "--actor", "rita", "--format", "csv", str(file)]) == 65
        (record,) = [one for one in world.desk.audit(None, 9) if one.act == "import"]
    assert (record.actor, record.detail["rows"]) == ("rita", 200)
    said = capsys.readouterr().err
    assert "imported 200 decisions; 0 were known, 0 refused" in said
    assert "line 252: the decision must be one of" in said


def test_an_export_that_cannot_be_written_is_in_the_audit_and_a_sentence(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    with world:
        world.ask(request("a"))
        world.desk.decide("a", "ann", Answer("Remove"), 0)
        assert main(["export", "--texts", "/dev/full"]) == 78
        acts = [one.act for one in world.desk.audit(None, 9)]
    assert acts == ["export", "decide"]
    assert "/dev/full can't be written: No space left on device." in capsys.readouterr().err


def test_an_exported_file_is_its_owners(world: World, tmp_path: Path) -> None:
    with world:
        assert main(["export", "--texts", str(tmp_path / "x.jsonl")]) == 0
    assert (tmp_path / "x.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_utf8_is_refused_in_a_sentence(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "decisions.csv"
    file.write_bytes(b"item,decision,note\na,Approve,caf\xe9\n")
    with world:
        assert main(["import", "--format", "csv", str(file)]) == 65
    assert "is not UTF-8" in capsys.readouterr().err


def test_a_command_leaves_the_write_ahead_log_to_the_console(world: World, tmp_path: Path) -> None:
    database, file = tmp_path / "console.db", tmp_path / "decisions.csv"
    rows = [f"i{n},Skip,{'n' * 1500}" for n in range(1500)]
    file.write_text("\n".join(["item,decision,note", *rows]) + "\n")
    with world:
        world.desk.record("ann", "reveal")
        size = database.stat().st_size
        assert main(["import", "--format", "csv", str(file)]) == 0
        assert database.stat().st_size == size
        world.desk.record("ann", "reveal")
        assert database.stat().st_size > size


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("command", ["export", "import", "erase"])
def test_a_database_that_is_still_read_from_the_topics_is_left_alone(
    world: World,
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A record of its audit would take a number that another has in the topic."""
    given = ["--author", "mallory"] if command == "erase" else [str(tmp_path / "x.jsonl")]
    with world:
        with world.database.write() as connection:
            digest.forget(connection)
        assert main([command, *given]) == 75
        assert world.desk.audit(None, 9) == []
    assert "wait until the console is ready" in capsys.readouterr().err
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.usefixtures("kafka")
def test_a_rebuild_is_in_the_audit_by_whom(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(rebuild, "rebuild", lambda _settings, _database: "ab" * 32)
    with world:
        assert main(["rebuild", "--actor", "rita"]) == 0
        (record,) = world.desk.audit(None, 9)
    assert (record.act, record.actor, record.detail) == ("rebuild", "rita", {"digest": "ab" * 32})
    assert capsys.readouterr().out == "ab" * 32 + "\n"


def test_verify_and_digest_print_one_line(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with world:
        world.desk.record("ann", "reveal")
        assert main(["verify"]) == 0
        assert main(["digest"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "the audit chain is whole: 1 records"
    assert len(second) == 64


def test_the_url_of_a_webhook_is_not_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with world:
        assert main(["verify"]) == 0
    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(204)))
    with caplog.at_level("INFO"):
        client.post("https://example.com/hook?token=hunter2")
    assert "hunter2" not in caplog.text


def test_a_wrong_setting_is_one_sentence_and_ex_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEXTMOD_CONSOLE_PORT", "0")
    monkeypatch.setenv("TEXTMOD_TERMINATION_LOG", str(tmp_path / "message"))
    assert main(["settings"]) == 78
    sentence = "TEXTMOD_CONSOLE_PORT: input should be greater than or equal to 1."
    assert capsys.readouterr().err == f"textmod-console: {sentence}\n"
    assert (tmp_path / "message").read_text() == sentence
