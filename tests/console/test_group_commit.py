"""Writers of several threads share one commit; only a write that fails is undone."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from textmod_console.errors import RecordError
from textmod_console.store import group_commit
from textmod_console.store.engine import Database


class Writers:
    """A SQLite database with a table, and threads that write to it."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder}/x.db")
        with self.database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE t (x TEXT PRIMARY KEY)")
        self.commits = 0
        event.listen(self.database.engine, "commit", self._count)
        self._pool = ThreadPoolExecutor(4)

    def _count(self, _: Connection) -> None:
        self.commits += 1

    def add(self, value: str) -> None:
        with self.database.write(grouped=True) as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (?)", (value,))

    def add_and_fail(self, value: str) -> None:
        with self.database.write(grouped=True) as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (?)", (value,))
            message = "changed its mind"
            raise ValueError(message)

    def add_alone(self, value: str) -> None:
        with self.database.write() as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (?)", (value,))

    def queue(self, work: object, value: str) -> "Future[None]":
        """Run `work(value)` in a thread; return once it waits for its turn."""
        waiting = self.database._writes.waiting
        future = self._pool.submit(work, value)  # type: ignore[arg-type]
        end = time.monotonic() + 20
        while work != self.add_alone and self.database._writes.waiting == waiting:
            assert time.monotonic() < end
        return future

    def rows(self) -> list[str]:
        with self.database.read() as connection:
            return sorted(connection.exec_driver_sql("SELECT x FROM t").scalars())

    def close(self) -> None:
        self._pool.shutdown()
        self.database.close()


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    made = Writers(tmp_path)
    yield made
    made.close()


def test_writers_that_wait_share_a_commit(writers: Writers) -> None:
    with writers.database.write(grouped=True) as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES ('a')")
        others = [writers.queue(writers.add, value) for value in "bc"]
    for other in others:
        other.result(20)
    assert writers.commits == 1
    assert writers.rows() == ["a", "b", "c"]


def test_a_full_group_is_committed_while_others_wait(
    writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MOST", 2)
    with writers.database.write(grouped=True) as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES ('a')")
        others = [writers.queue(writers.add, value) for value in "bc"]
    for other in others:
        other.result(20)
    assert writers.commits == 2


def test_a_writer_returns_only_when_its_write_is_committed(writers: Writers) -> None:
    with writers.database.write(grouped=True) as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES ('a')")
        other = writers.queue(writers.add, "b")
    seen = writers.rows()  # read by another connection
    other.result(20)
    assert "a" in seen


def test_a_writer_that_fails_is_undone_without_the_others(writers: Writers) -> None:
    with writers.database.write(grouped=True) as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES ('a')")
        failed = writers.queue(writers.add_and_fail, "b")
        other = writers.queue(writers.add, "c")
    with pytest.raises(ValueError, match="changed its mind"):
        failed.result(20)
    other.result(20)
    assert writers.commits == 1
    assert writers.rows() == ["a", "c"]


def test_nothing_is_committed_after_an_error_of_the_database(writers: Writers) -> None:
    with pytest.raises(RecordError), writers.database.write(grouped=True) as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES ('a')")
        failed = writers.queue(writers.add, "a")
    with pytest.raises(RecordError):
        failed.result(20)
    assert writers.rows() == []
    writers.add("d")
    assert writers.rows() == ["d"]


def test_a_failed_commit_is_raised_by_every_writer(writers: Writers) -> None:
    def refuse(_: Connection) -> None:
        message = "disk is full"
        raise RecordError(message)

    event.listen(writers.database.engine, "commit", refuse)
    with (
        pytest.raises(RecordError, match="full"),
        writers.database.write(grouped=True) as connection,
    ):
        connection.exec_driver_sql("INSERT INTO t VALUES ('a')")
        other = writers.queue(writers.add, "b")
    with pytest.raises(RecordError, match="full"):
        other.result(20)
    event.remove(writers.database.engine, "commit", refuse)
    assert writers.rows() == []
    writers.add("d")
    assert writers.rows() == ["d"]


def test_a_long_write_has_a_transaction_of_its_own(writers: Writers) -> None:
    with writers.database.write(grouped=True) as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES ('a')")
        others = [writers.queue(writers.add_alone, "b"), writers.queue(writers.add, "c")]
    for other in others:
        other.result(20)
    assert writers.commits in {2, 3}  # whichever of the two was first
    assert writers.rows() == ["a", "b", "c"]
