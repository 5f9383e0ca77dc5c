"""The network that faults break: what each fault does to a connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from random import Random

import pytest

from faults.network import Commit, Network, Way
from textmod_dev.processes import wait_until

LONG_ENOUGH = 0.2
"""Seconds after which what has not come over loopback does not come."""


@pytest.fixture
def echo() -> Iterator[tuple[int, list[bytes]]]:
    """A server that repeats what it hears, and all that it heard."""
    heard: list[bytes] = []

    def repeat(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while piece := connection.recv(100):
                heard.append(piece)
                connection.sendall(piece)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=repeat, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def network(echo: tuple[int, list[bytes]]) -> Iterator[Network]:
    with Network(1, Random(1)) as network:  # noqa: S311 - nothing secret
        network.connect([echo[0]])
        yield network


@pytest.fixture
def client(network: Network) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", network.ports[0]), timeout=5) as client:
        assert _asked(client, b"first") == b"first"
        yield client


def _asked(client: socket.socket, words: bytes) -> bytes:
    client.sendall(words)
    return client.recv(100)


def test_a_reset_ends_the_connection(network: Network, client: socket.socket) -> None:
    network.reset(0)
    with pytest.raises(ConnectionResetError):
        client.recv(100)


def test_a_cut_refuses_new_connections_until_it_is_over(
    network: Network, client: socket.socket
) -> None:
    address = ("127.0.0.1", network.ports[0])
    with network.cut(0):
        with socket.create_connection(address, timeout=5) as other:
            assert _ended(other)
        assert _ended(client)
    with socket.create_connection(address, timeout=5) as other:
        assert _asked(other, b"again") == b"again"


def _ended(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_stall_holds_back_and_loses_nothing(network: Network, client: socket.socket) -> None:
    with network.stalled(0):
        client.sendall(b"held")
        client.settimeout(LONG_ENOUGH)
        with pytest.raises(TimeoutError):
            client.recv(100)
    client.settimeout(5)
    assert client.recv(100) == b"held"


def test_lost_answers_leave_requests_alone(
    network: Network, client: socket.socket, echo: tuple[int, list[bytes]]
) -> None:
    network.half_open(0, ways=frozenset({Way.ANSWERS}))
    client.sendall(b"request")
    wait_until(lambda: b"request" in echo[1], "the server heard it", timeout=5)
    client.settimeout(LONG_ENOUGH)
    with pytest.raises(TimeoutError):
        client.recv(100)


def test_a_half_open_connection_carries_nothing_and_another_one_does(
    network: Network, client: socket.socket, echo: tuple[int, list[bytes]]
) -> None:
    network.half_open(0)
    client.sendall(b"lost")
    with socket.create_connection(("127.0.0.1", network.ports[0]), timeout=5) as other:
        assert _asked(other, b"heard") == b"heard"
    assert b"lost" not in echo[1]


def _request(key: int) -> bytes:
    """A frame of Kafka's: its length, its API key and the rest."""
    rest = key.to_bytes(2) + b"the rest"
    return len(rest).to_bytes(4) + rest


END_TXN, FETCH = 26, 1


@pytest.mark.parametrize(("when", "arrives"), [(Commit.BEFORE, False), (Commit.AFTER, True)])
def test_a_commit_loses_its_connection(
    network: Network,
    client: socket.socket,
    echo: tuple[int, list[bytes]],
    when: Commit,
    arrives: bool,
) -> None:
    with network.commits_cut(0, when, 1.0):
        assert _asked(client, _request(FETCH)) == _request(FETCH)
        client.sendall(_request(END_TXN))
        assert _ended(client)
    assert (_request(END_TXN) in echo[1]) == arrives
