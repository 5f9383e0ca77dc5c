"""The migrations make the tables that the code declares, and several processes may run them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from textmod_console.errors import ConfigurationError, RecordError
from textmod_console.store import migrations
from textmod_console.store.engine import Database
from textmod_console.store.leadership import Leadership
from textmod_console.store.schema import metadata


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
