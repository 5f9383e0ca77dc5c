"""The migrations make the tables that the code declares, and several processes may run them."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Table, insert, inspect, select, text

from textmod_console import metrics
from textmod_console.errors import ConfigurationError, RecordError
from textmod_console.store import migrations
from textmod_console.store.engine import Database, set_pragma
from textmod_console.store.leadership import Leadership
from textmod_console.store.schema import head, metadata


def test_several_that_start_at_once_make_the_declared_tables(new_url: Callable[[], str]) -> None:
    url = new_url()
    databases = [Database(url) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(migrations.upgrade, databases))
    with databases[0].read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "schema_version"})
        assert compare_metadata(context, metadata) == []
    for database in databases:
        database.close()


REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_an_earlier_release_keeps_what_it_holds(
    new_url: Callable[[], str], revision: str
) -> None:
    database = Database(new_url())
    migrations.upgrade(database, revision)
    with database.write() as connection:
        present = set(inspect(connection).get_table_names())
        kept = [table for table in metadata.sorted_tables if table.name in present]
        for table in kept:
            if table is not head:
                connection.execute(insert(table), [_row(table, n) for n in range(3)])
        before = {table.name: connection.execute(select(table)).all() for table in kept}
    assert {"items", "decisions", "outbox", "audit"} <= before.keys()
    migrations.upgrade(database)
    with database.read() as connection:
        assert {table.name: connection.execute(select(table)).all() for table in kept} == before
        context = MigrationContext.configure(connection, opts={"version_table": "schema_version"})
        assert compare_metadata(context, metadata) == []
    database.close()


def _row(table: Table, number: int) -> dict[str, object]:
    values = {str: f"{table.name} {number}", bool: True, float: 0.5, int: number + 1}
    return {column.name: values[column.type.python_type] for column in table.columns}


def test_an_older_console_leaves_a_newer_database_alone(new_url: Callable[[], str]) -> None:
    database = Database(new_url())
    migrations.upgrade(database)
    with database.write() as connection:
        connection.execute(text("UPDATE schema_version SET version_num = '9999'"))
        connection.execute(text("CREATE TABLE newer (id INTEGER)"))
    with pytest.raises(ConfigurationError, match="schema 9999 of a newer console") as raised:
        migrations.upgrade(database)
    assert str(raised.value).count(". ") == 1
    assert "textmod_console_outbox_events" in str(raised.value)
    assert metrics.OUTBOX._name == "textmod_console_outbox_events"
    with database.read() as connection:
        assert connection.scalar(text("SELECT version_num FROM schema_version")) == "9999"
    database.close()


def test_every_version_is_tried_above() -> None:
    folder = Path(migrations.__file__).parent / "versions"
    assert len(list(folder.glob("v*.py"))) == len(REVISIONS)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    """A new file: one connection writes, and the other is refused without waiting for it."""
    with (
        closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as writer,
        closing(sqlite3.connect(tmp_path / "x.db")) as other,
    ):
        writer.execute("BEGIN IMMEDIATE")
        yield writer, other


def test_a_new_file_becomes_a_wal_while_another_connection_writes(
    locked: tuple[sqlite3.Connection, sqlite3.Connection],
) -> None:
    writer, other = locked
    set_pragma(other, "journal_mode = WAL", lambda _: writer.rollback())
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_stays_locked_is_an_error_in_the_end(
    locked: tuple[sqlite3.Connection, sqlite3.Connection],
) -> None:
    pauses: list[float] = []
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        set_pragma(locked[1], "journal_mode = WAL", pauses.append)
    assert sum(pauses) == pytest.approx(9.98)


def test_another_error_of_a_pragma_is_not_retried(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all" * 100)
    pauses: list[float] = []
    with (
        closing(sqlite3.connect(tmp_path / "x.db")) as connection,
        pytest.raises(sqlite3.DatabaseError, match="not a database"),
    ):
        set_pragma(connection, "journal_mode = WAL", pauses.append)
    assert pauses == []


def test_a_commit_outlasts_a_loss_of_power(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/console.db")
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    database.close()


def test_one_process_leads_until_it_ends(new_url: Callable[[], str]) -> None:
    url = new_url()
    first, second = Database(url), Database(url)
    one, other = Leadership(first), Leadership(second)
    assert one.acquire()
    assert one.held()
    assert not other.acquire()
    one.release()
    assert not one.held()
    assert other.acquire()
    other.release()
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://u:hunter2@h/x", "TEXTMOD_CONSOLE_DATABASE_URL names mysql"),
        ("hunter2", "TEXTMOD_CONSOLE_DATABASE_URL is not a URL"),
        ("sqlite:////no/such/folder/x.db", "the database's folder /no/such/folder is missing"),
    ],
)
def test_a_url_that_cannot_be_used_is_a_sentence_without_its_password(
    url: str, sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Database(url)
    assert str(raised.value).startswith(sentence)
    assert "hunter2" not in str(raised.value)


def test_a_database_that_is_away_is_a_sentence_without_its_password() -> None:
    database = Database("postgresql://u:hunter2@127.0.0.1:1/x")
    with pytest.raises(RecordError) as raised, database.read():
        pass
    assert "hunter2" not in str(raised.value)
    database.close()
