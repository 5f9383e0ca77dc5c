"""Webhooks are not sent to addresses where clouds keep credentials, whatever a name leads to.

Nor to others that are not public, unless the installation names their network.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network

import httpx
import pytest

from textmod_console.record.addresses import AddressRefusedError, checking, is_refused

EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.0.1", "fe80::1%eth0", "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::169.254.169.254", "fd00:ec2::254",
        "fd20:ce::254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "224.0.0.1", "ff02::1",
        "0.0.0.0", "::",  # noqa: S104
    ],
)  # fmt: skip
def test_some_addresses_are_refused_whatever_is_allowed(address: str) -> None:
    assert is_refused(address)
    assert is_refused(address, EVERYTHING)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.7", "192.168.1.1", "172.16.0.1", "100.64.0.1", "127.0.0.1", "::1", "fd12::7",
        "::ffff:10.0.0.7", "64:ff9b::a00:7", "::10.0.0.7", "fec0::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_take_a_list(address: str) -> None:
    assert is_refused(address)
    assert not is_refused(address, EVERYTHING)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f::1", "::ffff:93.184.215.14"])
def test_public_addresses_are_reached(address: str) -> None:
    assert not is_refused(address)


def test_a_network_allows_its_own_addresses_alone() -> None:
    allowed = (ip_network("10.96.0.0/12"), ip_network("fd00:10::/64"))
    answers = ["10.96.0.10", "10.111.255.1", "10.112.0.1", "fd00:10::7", "fd00:11::7"]
    assert [is_refused(one, allowed) for one in answers] == [False, False, True, False, True]


@contextmanager
def receiving(received: list[bytes]) -> Iterator[int]:
    """Accept one connection on a loopback port, and keep what is sent first."""

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            received.append(connection.recv(100))
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(30)


def test_a_name_that_leads_elsewhere_now_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding over a real connection: the address that it leads to counts."""
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, *rest, **more: look_up("127.0.0.1", port)
    )
    received: list[bytes] = []
    with receiving(received) as port, httpx.Client(trust_env=False) as client:
        url = f"http://receiver.example.com:{port}/latest/meta-data"
        with pytest.raises(AddressRefusedError):
            client.post(url, content=b"x", extensions={"trace": checking(())})
    assert received == [b""]


def test_an_allowed_network_is_reached() -> None:
    received: list[bytes] = []
    with receiving(received) as port, httpx.Client(trust_env=False) as client:
        allowed = checking((ip_network("127.0.0.0/8"),))
        answer = client.post(f"http://127.0.0.1:{port}/", extensions={"trace": allowed})
    assert answer.status_code == 204
    assert received[0].startswith(b"POST / ")
