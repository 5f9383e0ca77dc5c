"""HTTP connections whose client ends its side after the last request, and still reads.

TCP allows it, and `nc -N` and scripts with shutdown(SHUT_WR) do it. uvicorn closes a connection as
soon as the client's side ends, so that such a client got no answer at all.
"""

from uvicorn.protocols.http.h11_impl import H11Protocol


class HalfCloseProtocol(H11Protocol):
    """Answers the requests that were read before the client's side ended, and closes then."""

    _ended = False

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks for more than uvicorn
        """Return whether the connection stays open: while an answer is due."""
        self._ended = True
        return self._answer_is_due()

    def on_response_complete(self) -> None:
        """Close the connection after the last answer; begin a request that was read meanwhile."""
        super().on_response_complete()
        if self._ended and not self._answer_is_due():
            self.transport.close()

    def _answer_is_due(self) -> bool:
        """A request whose body is not complete never will be."""
        cycle = self.cycle
        return bool(cycle) and not cycle.more_body and not cycle.response_complete
