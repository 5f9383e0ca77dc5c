"""Webhooks are not sent to addresses where clouds keep credentials, whatever a name leads to."""

from __future__ import annotations

import socket
import threading

import httpx
import pytest

from textmod_console.record import addresses
from textmod_console.record.addresses import AddressRefusedError, check, is_refused


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("169.254.169.254", True), ("169.254.0.1", True), ("fe80::1%eth0", True),
        ("::ffff:169.254.169.254", True), ("64:ff9b::a9fe:a9fe", True), ("2002:a9fe:a9fe::", True),
        ("fd00:ec2::254", True), ("224.0.0.1", True), ("ff02::1", True), ("0.0.0.0", True),  # noqa: S104
        ("::", True), ("10.0.0.7", False), ("192.168.1.1", False), ("127.0.0.1", False),
        ("::1", False), ("fd12::7", False), ("203.0.113.9", False), ("2001:db8::1", False),
    ],
)  # fmt: skip
def test_addresses_that_are_refused(address: str, *, refused: bool) -> None:
    assert is_refused(address) is refused


def test_nothing_is_sent_to_a_refused_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real connection, by a name: the address that it leads to counts."""
    monkeypatch.setattr(addresses, "is_refused", lambda address: address.startswith("127."))
    received: list[bytes] = []

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            received.append(connection.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listener, httpx.Client() as client:
        thread = threading.Thread(target=accept)
        thread.start()
        url = f"http://localhost:{listener.getsockname()[1]}/latest/meta-data"
        with pytest.raises(AddressRefusedError):
            client.post(url, content=b"x", extensions={"trace": check})
        thread.join(30)
    assert received == [b""]
