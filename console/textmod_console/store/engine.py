"""Connections: what differs between SQLite and Postgres when one is opened, and nothing else.

A write on SQLite begins with BEGIN IMMEDIATE, so that two never deadlock over a lock that both read
under; within a process writers wait for a lock of ours, because SQLite's busy handler is not fair,
and those that wait share one commit (`group_commit`).

Up to SQLite 3.51.2 a commit can be lost where two processes copy the write-ahead log into the
database at the same moment (https://sqlite.org/wal.html#walresetbug). So one alone does: the
console that serves, as part of its commits, which take turns.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from textmod_console.errors import ConfigurationError, RecordError
from textmod_console.store.group_commit import GroupCommit

_POSTGRES: Final = "postgresql+psycopg"
_POOL: Final = 8
"""Connections of one process; writers are serialized, so that more are not used."""


_PRAGMAS: Final = (
    "journal_mode = WAL",
    # A decision that a reviewer saw accepted outlasts a loss of power, too.
    "synchronous = FULL",
    "foreign_keys = ON",
    "cache_size = -8192",  # KiB for each connection
    "journal_size_limit = 67108864",
    "secure_delete = ON",  # erased texts must not stay in free pages
)
_NO_CHECKPOINTS: Final = "wal_autocheckpoint = 0"
"""The write-ahead log is then copied when its last process ends, which is alone."""
_BUSY_TRIES: Final = 500
_BUSY_PAUSE_SECONDS: Final = 0.02


class Database:
    """One database; may be used from several threads.

    Args:
        url: of SQLAlchemy.
        beside: whether a console may be serving from it in another process.
    """

    def __init__(self, url: str, *, beside: bool = False) -> None:
        self.url = _parse(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite(self.url, beside=beside) if self.is_sqlite else _postgres(self.url)
        # Postgres's own default is a snapshot for each statement.
        self._snapshots = (
            self.engine
            if self.is_sqlite
            else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )
        self._writes = GroupCommit(self._connect_to_write)
        """Not used on Postgres: locks held for others' writes could deadlock between replicas."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read from one snapshot. Raises RecordError."""
        with _as_record_error(), self._snapshots.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, grouped: bool = False) -> Iterator[Connection]:
        """Write all or nothing; committed when the block ends. Raises RecordError.

        Args:
            grouped: a short write, which may share its commit with others that wait.
        """
        with _as_record_error():
            if not self.is_sqlite:
                with self._connect_to_write() as connection, connection.begin():
                    yield connection
            else:
                with self._writes.grouped() if grouped else self._writes.alone() as connection:
                    yield connection

    def _connect_to_write(self) -> Connection:
        return self.engine.connect().execution_options(textmod_write=True)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def describe(self) -> str:
        """Return the URL without its password."""
        return self.url.render_as_string(hide_password=True)


def _parse(url: str) -> URL:
    try:
        found = make_url(url)
    except ArgumentError:
        message = "TEXTMOD_CONSOLE_DATABASE_URL is not a URL such as postgresql://user@host/name."
        raise ConfigurationError(message) from None
    if found.get_backend_name() == "sqlite":
        return found.set(drivername="sqlite")
    if found.get_backend_name() in {"postgresql", "postgres"}:
        return found.set(drivername=_POSTGRES)
    message = (
        f"TEXTMOD_CONSOLE_DATABASE_URL names {found.get_backend_name()}: use a URL of postgresql"
        " or sqlite."
    )
    raise ConfigurationError(message)


@contextmanager
def _as_record_error() -> Iterator[None]:
    """Raise RecordError for an error of the driver, without parameters: they hold texts."""
    try:
        yield
    except DBAPIError as error:
        first = str(error.orig).strip().partition("\n")[0]
        raise RecordError(f"the database refused a statement: {first}.") from error.orig
    except SQLAlchemyError as error:
        raise RecordError(f"the database can't be used ({type(error).__name__}).") from None


def _sqlite(url: URL, *, beside: bool) -> Engine:
    if url.database:
        folder = Path(url.database).parent
        if not folder.is_dir():
            message = f"the database's folder {folder} is missing: mount a volume there."
            raise ConfigurationError(message)
    engine = create_engine(
        url, pool_size=_POOL, max_overflow=_POOL, connect_args={"timeout": 10}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _open(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in (*_PRAGMAS, *([_NO_CHECKPOINTS] if beside else [])):
            set_pragma(connection, pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("textmod_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def set_pragma(
    connection: sqlite3.Connection, pragma: str, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Set a pragma, retrying while the file is locked for up to 10 s.

    SQLite refuses to switch a new file to WAL at once, without its busy handler, while another
    connection writes to it: several that start together do.

    Raises:
        sqlite3.OperationalError: the file stayed locked, or another error.
    """
    for left in reversed(range(_BUSY_TRIES)):
        try:
            connection.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError as error:
            if left == 0 or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            sleep(_BUSY_PAUSE_SECONDS)
        else:
            return


def _postgres(url: URL) -> Engine:
    options = {
        "connect_timeout": 5,
        "application_name": "textmod-console",
        "options": "-c statement_timeout=30000 -c lock_timeout=10000"
        " -c idle_in_transaction_session_timeout=30000 -c synchronous_commit=on",
        "keepalives_idle": 10,
    }
    given = {name: value for name, value in options.items() if name not in url.query}
    return create_engine(
        url,
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_pre_ping=True,
        connect_args=given,
        hide_parameters=True,
    )


def lock_for_migration(connection: Connection) -> None:
    """Wait until no other process migrates; the lock ends with the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(7381620119)"))
