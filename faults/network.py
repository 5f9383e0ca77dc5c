"""Break the network between stream workers and brokers: a TCP proxy in front of each broker.

Known proxies for tests (Toxiproxy) close or delay a connection, but none loses what one side says
while the other is still heard, nor leaves a part of the connections half-open; hence these lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Final, Self

from textmod_dev.processes import free_port

HOST: Final = "127.0.0.1"
_CHUNK: Final = 1 << 16
_MINUTE: Final = 60.0
_RST: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: the socket is closed by a reset."""


class Way(Enum):
    """A direction."""

    REQUESTS = "requests"
    ANSWERS = "answers"


BOTH: Final = frozenset(Way)


class Commit(Enum):
    """When a commit's connection is dropped."""

    BEFORE = "the broker never receives the request"
    AFTER = "the broker carries it out, and the client never receives the answer"


_COMMITS: Final = frozenset(
    {
        8,  # OffsetCommit
        24,  # AddPartitionsToTxn
        25,  # AddOffsetsToTxn
        26,  # EndTxn
        28,  # TxnOffsetCommit
    }
)
"""Kafka's API keys. A request begins with four bytes of length, then two of its key."""
_CARRIED_OUT_SECONDS: Final = 0.1


@dataclass(eq=False, slots=True)
class _Connection:
    """A client's connection and the one to its broker."""

    broker: int
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    dead: set[Way] = field(default_factory=set)
    """Directions whose bytes are lost from now on; both sides keep the connection open."""

    def reset(self) -> None:
        for side in (self.client, self.server):
            own = side.get_extra_info("socket")
            with contextlib.suppress(OSError):  # closed already
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            side.transport.abort()


@dataclass(slots=True)
class _Weather:
    """What happens to the bytes of one broker's connections."""

    refuses: bool = False
    """New connections are closed at once."""
    stalled: frozenset[Way] = frozenset()
    """Directions in which bytes wait until it is over."""
    delay: tuple[float, float] = (0.0, 0.0)
    """Seconds that each piece waits, at least and at most."""
    loss: float = 0.0
    """The share of pieces that are lost once and come with TCP's retransmission."""
    cut: Commit | None = None
    """Connections are dropped at commits."""
    cut_share: float = 0.0
    """At this share of them."""


class Network:
    """Proxies in front of brokers; a context manager with a thread of its own.

    Attributes:
        ports: the proxies', one for each broker; what brokers have to advertise.
    """

    def __init__(self, brokers: int, random: Random) -> None:
        self.ports = [free_port() for _ in range(brokers)]
        self._random = random
        self._weather = [_Weather() for _ in range(brokers)]
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []

    @property
    def bootstrap_servers(self) -> str:
        """The proxies' addresses."""
        return ",".join(f"{HOST}:{port}" for port in self.ports)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_MINUTE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def connect(self, targets: list[int]) -> None:
        """Begin to serve; `targets` are the brokers' own ports."""
        asyncio.run_coroutine_threadsafe(self._serve(targets), self._loop).result(_MINUTE)

    # --- faults -----------------------------------------------------------------------------------

    def reset(self, broker: int, share: float = 1.0) -> None:
        """Close a share of a broker's connections by RST."""
        self._on_loop(lambda: [one.reset() for one in self._some(broker, share)])

    def half_open(self, broker: int, share: float = 1.0, ways: frozenset[Way] = BOTH) -> None:
        """Lose, for ever, what goes over a share of the connections that there are now."""

        def lose() -> None:
            for one in self._some(broker, share):
                one.dead |= ways

        self._on_loop(lose)

    @contextlib.contextmanager
    def cut(self, broker: int) -> Iterator[None]:
        """No connection, old or new."""
        weather = self._weather[broker]
        self._on_loop(lambda: setattr(weather, "refuses", True))
        self.reset(broker)
        try:
            yield
        finally:
            self._on_loop(lambda: setattr(weather, "refuses", False))

    @contextlib.contextmanager
    def stalled(self, broker: int, ways: frozenset[Way] = BOTH) -> Iterator[None]:
        """Nothing arrives until it is over; then all of it does."""
        weather = self._weather[broker]
        self._on_loop(lambda: setattr(weather, "stalled", ways))
        try:
            yield
        finally:
            self._on_loop(lambda: setattr(weather, "stalled", frozenset()))

    @contextlib.contextmanager
    def slow(self, broker: int, delay: tuple[float, float], loss: float = 0.0) -> Iterator[None]:
        """Each piece comes late, some by a retransmission."""
        weather = self._weather[broker]

        def change(seconds: tuple[float, float], share: float) -> None:
            weather.delay, weather.loss = seconds, share

        self._on_loop(lambda: change(delay, loss))
        try:
            yield
        finally:
            self._on_loop(lambda: change((0.0, 0.0), 0.0))

    @contextlib.contextmanager
    def commits_cut(self, broker: int, when: Commit, share: float) -> Iterator[None]:
        """Connections are dropped in the middle of a share of the commits."""
        weather = self._weather[broker]

        def change(what: Commit | None) -> None:
            weather.cut, weather.cut_share = what, share

        self._on_loop(lambda: change(when))
        try:
            yield
        finally:
            self._on_loop(lambda: change(None))

    # --- the proxy --------------------------------------------------------------------------------

    def _on_loop(self, change: Callable[[], object]) -> None:
        """Run a change between two pieces, and have those that wait look again. Raises what the
        change raises: a fault that was not applied must not pass as survived."""

        async def run() -> None:
            change()
            self._changed.set()
            self._changed = asyncio.Event()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(_MINUTE)

    def _some(self, broker: int, share: float) -> list[_Connection]:
        there = [one for one in self._connections if one.broker == broker]
        return [one for one in there if share >= 1 or self._random.random() < share]

    async def _serve(self, targets: list[int]) -> None:
        for broker, target in enumerate(targets):

            async def accept(
                reader: asyncio.StreamReader,
                writer: asyncio.StreamWriter,
                broker: int = broker,
                target: int = target,
            ) -> None:
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await self._carry(broker, target, reader, writer)
                writer.transport.abort()

            self._servers.append(await asyncio.start_server(accept, HOST, self.ports[broker]))

    async def _carry(
        self,
        broker: int,
        target: int,
        from_client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
    ) -> None:
        if self._weather[broker].refuses:
            return
        from_server, to_server = await asyncio.open_connection(HOST, target)
        connection = _Connection(broker, to_client, to_server)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(connection, Way.REQUESTS, from_client, to_server))
                both.create_task(self._pump(connection, Way.ANSWERS, from_server, to_client))
        except* (OSError, EOFError):
            pass
        finally:
            self._connections.discard(connection)
            connection.reset()

    async def _pump(
        self,
        connection: _Connection,
        way: Way,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Carry one direction; an end of either side ends the connection (EOFError)."""
        weather = self._weather[connection.broker]
        while piece := await reader.read(_CHUNK):
            low, high = weather.delay
            if high:
                await asyncio.sleep(self._random.uniform(low, high))
            if weather.loss and self._random.random() < weather.loss:
                await asyncio.sleep(self._random.choice((0.2, 0.4, 0.8, 1.6)))
            while way in weather.stalled:
                await self._changed.wait()
            if way is Way.REQUESTS and self._is_cut(weather, piece):
                if weather.cut is Commit.AFTER:
                    connection.dead.add(Way.ANSWERS)
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(_CARRIED_OUT_SECONDS)
                raise EOFError
            if way not in connection.dead:
                writer.write(piece)
                await writer.drain()
        if connection.dead:  # the end is lost as well
            await asyncio.sleep(_MINUTE)
        raise EOFError

    def _is_cut(self, weather: _Weather, piece: bytes) -> bool:
        if weather.cut is None or int.from_bytes(piece[4:6]) not in _COMMITS:
            return False
        return self._random.random() < weather.cut_share

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for one in list(self._connections):
            one.reset()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
