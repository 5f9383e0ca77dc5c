"""One transaction for the writes of several threads, committed once for all of them.

A commit waits for the disk for several milliseconds, and writers on SQLite take turns, so each
would wait for the commits of all before it. Here a writer leaves its transaction open for the next
one that waits, and returns when the last of them has committed. Each write has a savepoint, so one
that fails is undone without the others; after an error of the database nothing is committed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, RootTransaction
from sqlalchemy.exc import SQLAlchemyError

MOST: Final = 16
"""Writes of one commit. A write takes a few milliseconds, and the first waits for the last."""


@dataclass
class _Group:
    """The writes of one transaction."""

    transaction: RootTransaction
    writes: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    """Why nothing of the group was committed."""


class GroupCommit:
    """Writes that take turns; may be used from several threads.

    Args:
        connect: opens a connection whose transactions may write.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._turn = threading.Lock()
        self._count = threading.Lock()
        self._group: _Group | None = None
        """The transaction that is left open. Read and written by the writer whose turn it is."""
        self.waiting = 0
        """Writers that will join a group when it is their turn. Written under `_count`."""

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Write in a separate transaction: no writer of a group waits for a long write."""
        with self._turn:
            if self._group is not None:
                self._end(self._group)
            with self._connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def grouped(self) -> Iterator[Connection]:
        """Write with others that wait already; committed when the block ends."""
        self._take_turn()
        try:
            group = self._group = self._group or self._begin()
        except BaseException:
            self._turn.release()
            raise
        try:
            with group.transaction.connection.begin_nested():
                yield group.transaction.connection
        except SQLAlchemyError as error:
            group.error = _first(error)  # it may have ended the transaction: the others fail, too
            raise group.error  # noqa: B904 - it has its own cause
        finally:
            self._leave(group)
        group.ended.wait()
        if group.error is not None:
            raise group.error

    def _take_turn(self) -> None:
        with self._count:
            self.waiting += 1
        self._turn.acquire()
        with self._count:
            self.waiting -= 1

    def _begin(self) -> _Group:
        connection = self._connect()
        try:
            return _Group(connection.begin())
        except BaseException:
            connection.close()
            raise

    def _leave(self, group: _Group) -> None:
        """Leave the transaction to the next writer; the last one ends it."""
        group.writes += 1
        try:
            if group.error is not None or group.writes >= MOST or not self.waiting:
                self._end(group)
        finally:
            self._turn.release()

    def _end(self, group: _Group) -> None:
        """Commit for all of the group, or for none."""
        self._group = None
        try:
            if group.error is None:
                group.transaction.commit()
        except BaseException as error:  # noqa: BLE001 - each writer of the group raises it
            group.error = error
        finally:
            connection = group.transaction.connection
            with suppress(SQLAlchemyError):
                if group.error is not None:
                    connection.invalidate()  # closes it: only so a failed commit is rolled back
                connection.close()
            group.ended.set()


def _first(error: SQLAlchemyError) -> SQLAlchemyError:
    """Return the error that ended the transaction.

    After some, such as a full disk, SQLite has no savepoint to go back to, which is an error too.
    """
    found = error
    at: BaseException | None = error if "no such savepoint" in str(error) else None
    while at is not None:
        if isinstance(at, SQLAlchemyError):
            found = at
        at = at.__context__
    return found
