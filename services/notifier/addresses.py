"""Addresses that no notification goes to: those by which a machine's own cloud or link would be reached.

Cloud metadata services hand out credentials to whoever asks from inside; a target's URL is written by users.
Ranges: IANA special-purpose address registries, and the metadata addresses of cloud providers. Loopback and
private addresses are allowed.
"""

from __future__ import annotations

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host on this network
        "169.254.0.0/16",  # link-local, metadata of most clouds
        "100.100.100.200/32",  # metadata
        "168.63.129.16/32",  # metadata
        "192.0.0.192/32",  # metadata
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/128",  # unspecified
        "fe80::/10",  # link-local
        "fd00:ec2::/32",  # metadata
        "fd20:ce::/32",  # metadata
        "ff00::/8",  # multicast
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


def is_refused(address: Address) -> bool:
    """Tells whether notifications may not go there; an IPv4 address inside an IPv6 one is looked at too."""
    return any(form in network for form in _forms(address) for network in _REFUSED)


def literal(host: str) -> Address | None:
    """Returns the address that a host is written as, in any spelling that resolvers take; None for a name."""
    return _plain(host) or _shorthand(host)


def _plain(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _shorthand(host: str) -> Address | None:
    # `0x7f.1`, `2130706433`: no address to Python, one to every resolver of the C library.
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _forms(address: Address) -> tuple[Address, ...]:
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _NAT64 or (address in _COMPATIBLE and int(address) > 1)):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return (address,) if inner is None else (address, inner)
