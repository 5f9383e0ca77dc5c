"""A limit for the whole of an HTTP answer. The time-out of a socket begins again with every byte,
and an answer that comes drop by drop never reaches it."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.client import HTTPConnection
from types import TracebackType
from typing import Self


class TimeLimit:
    """Within it, HTTP connections get so much time for all that is asked and answered on them.

    Args:
        seconds: from entering to the end of what is still open then: reading fails, or ends early.
    """

    def __init__(self, seconds: float) -> None:
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.over = False
        """Whether the time was up before the end."""
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()

    def holds_for(self, connection: HTTPConnection) -> HTTPConnection:
        """Return the same connection, which is not made yet, held to the limit once it is."""
        connect = connection.connect

        def connect_within() -> None:
            connect()
            with self._lock:
                self._open.append(connection.sock)
                over = self.over
            if over:
                self._end()

        connection.connect = connect_within  # type: ignore[method-assign]
        return connection

    def _end(self) -> None:
        with self._lock:
            self.over = True
            for one in self._open:
                with contextlib.suppress(OSError):  # it is closed
                    # Below TLS: another thread reads from it.
                    socket.socket.shutdown(one, socket.SHUT_RDWR)
