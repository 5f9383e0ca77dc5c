"""The addresses that webhooks are never sent to, checked where the connection leads.

A URL's name may lead to another address at each look-up (DNS rebinding), so the address of the
connection counts: it is looked at before TLS and before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import httpx

_CONNECTED: Final = "connection.connect_tcp.complete"
_NAT64: Final = IPv6Network("64:ff9b::/96")
_METADATA: Final = IPv6Address("fd00:ec2::254")
"""Of Amazon's machines; others have theirs at 169.254.169.254, which is link-local."""


class AddressRefusedError(httpx.TransportError):
    """The connection leads to an address that no webhook may have."""


def is_refused(address: str) -> bool:
    """Whether the address is link-local, where clouds keep credentials, multicast, or no host's."""
    found = _plain(ip_address(address.partition("%")[0]))
    return found.is_link_local or found.is_multicast or found.is_unspecified or found == _METADATA


def _plain(found: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for."""
    if isinstance(found, IPv4Address):
        return found
    if found in _NAT64:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or found


def check(event: str, info: Mapping[str, Any]) -> None:
    """Refuse the connection: httpx's `trace` extension. Raises AddressRefusedError."""
    if event != _CONNECTED:
        return
    stream = info["return_value"]
    peer = stream.get_extra_info("server_addr")
    if is_refused(str(peer[0])):
        stream.close()
        raise AddressRefusedError("webhooks are not sent to this address")
