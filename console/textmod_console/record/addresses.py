"""The addresses that webhooks are not sent to, checked where the connection leads.

A URL's name may lead to another address at each look-up (DNS rebinding), so the address of the
connection counts: it is looked at before TLS and before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import httpx

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_CONNECTED: Final = "connection.connect_tcp.complete"
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_METADATA: Final = frozenset(
    ip_address(address)
    for address in (
        "fd00:ec2::254",  # Amazon
        "fd20:ce::254",  # Google
        "168.63.129.16",  # Azure
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
    )
)
"""Where clouds keep credentials besides 169.254.169.254, which is link-local."""


class AddressRefusedError(httpx.TransportError):
    """The connection leads to an address that the webhook may not have."""


def is_refused(address: str, allowed: Collection[Network] = ()) -> bool:
    """Whether no webhook is sent to this address.

    Link-local addresses, those of clouds' metadata, multicast and those of no host are always
    refused; others that are not public unless they are in a network of `allowed`.
    """
    found = _plain(ip_address(address.partition("%")[0]))
    if found.is_link_local or found.is_multicast or found.is_unspecified or found in _METADATA:
        return True
    is_public = found.is_global and not (isinstance(found, IPv6Address) and found.is_site_local)
    return not is_public and not any(found in network for network in allowed)


def _plain(found: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for."""
    if isinstance(found, IPv4Address):
        return found
    own = found.is_loopback or found.is_unspecified
    if found in _NAT64 or (found in _COMPATIBLE and not own):
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or found


def checking(allowed: Collection[Network]) -> Callable[[str, Mapping[str, Any]], None]:
    """Return httpx's `trace` extension that refuses connections; it raises AddressRefusedError."""

    def check(event: str, info: Mapping[str, Any]) -> None:
        if event != _CONNECTED:
            return
        stream = info["return_value"]
        peer = stream.get_extra_info("server_addr")
        if is_refused(str(peer[0]), allowed):
            stream.close()
            raise AddressRefusedError("webhooks are not sent to this address")

    return check
