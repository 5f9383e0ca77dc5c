"""One process at a time reads and writes the topics; the others only serve pages.

On Postgres that is a session's advisory lock, which ends with the session; on SQLite a lock of a
file beside the database, which ends with the process. A process that lost its session unnoticed is
fenced by Kafka (`record.publisher`), and offsets are compared when they are stored (`intake`).
"""

import fcntl
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from textmod_console.errors import RecordError
from textmod_console.store.engine import Database

_LOCK: Final = 7_381_620_120


class Leadership:
    """The lock of one process; not thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._file: IO[str] | None = None
        self._session: Connection | None = None

    def acquire(self) -> bool:
        """Try to become the leader; True if this process is. Raises RecordError."""
        if self.held():
            return True
        return self._lock_file() if self._database.is_sqlite else self._lock_session()

    def held(self) -> bool:
        """Tell whether this process still is the leader."""
        if self._file is not None:
            return True
        if self._session is None:
            return False
        try:
            self._session.execute(text("SELECT 1"))
        except SQLAlchemyError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Stop being the leader."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._session is not None:
            session, self._session = self._session, None
            # The server ends a closed session, and with it the lock, only a moment later.
            with suppress(SQLAlchemyError):
                session.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            session.invalidate()  # closes the session, and so the lock where that failed
            session.close()

    def _lock_file(self) -> bool:
        path = self._database.url.database
        if not path:
            return True
        file = Path(f"{path}.leader").open("a")  # noqa: SIM115 - open as long as it leads
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def _lock_session(self) -> bool:
        try:
            session = self._database.engine.connect().execution_options(
                isolation_level="AUTOCOMMIT"
            )
            got = session.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK})
            if got.scalar():
                self._session = session
                return True
            session.close()
        except SQLAlchemyError as error:
            message = f"can't request the leader's lock from the database ({type(error).__name__})."
            raise RecordError(message) from None
        return False
