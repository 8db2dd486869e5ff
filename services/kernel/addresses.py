"""Addresses that Drydock never connects to: those by which a machine's own cloud or link would be reached.

Cloud metadata services hand out credentials to whoever asks from inside; where we connect is said by users, by
registries and by name servers. Ranges: IANA special-purpose address registries, and the metadata addresses of
cloud providers. Loopback and private addresses are allowed here; `services/kernel/egress.py` allows fewer.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from aiohttp.abc import AbstractResolver, ResolveResult

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


class AddressRefused(OSError):
    """A host is, or its name leads to, an address that is never connected to."""


def is_refused(host: str) -> bool:
    """Tells whether a host is, in any spelling that resolvers take, an address that is never connected to.

    An IPv4 address inside an IPv6 one is looked at too. False for names: `GuardedResolver` sees where they lead.
    """
    return any(form in network for form in forms_of(host) for network in _REFUSED)


def forms_of(host: str) -> tuple[Address, ...]:
    """Returns the address that a host is, in any spelling that resolvers take; nothing for a name.

    Where an IPv6 address leads to an IPv4 one that it holds, that one is last.
    """
    host = host.removesuffix(".")  # which says of a name that it is whole
    address = _plain(host) or _shorthand(host)
    return () if address is None else _forms(address)


def is_loopback(host: str) -> bool:
    """Tells whether only this machine reaches what listens there."""
    address = _plain(host.removeprefix("[").removesuffix("]"))
    return host == "localhost" or (address is not None and address.is_loopback)


def check_literal(host: str) -> None:
    """Refuses a host that is itself a forbidden address: aiohttp asks no resolver about those.

    Raises:
        AddressRefused: it is one.
    """
    if is_refused(host):
        raise AddressRefused(host)


class GuardedResolver(AbstractResolver):
    """Looks names up once and refuses forbidden addresses; the connection goes to what was checked."""

    def __init__(self, inner: AbstractResolver, check: Callable[[str], None] = check_literal) -> None:
        """`check` raises AddressRefused for an address that is not to be connected to."""
        self._inner = inner
        self._check = check

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Returns the addresses of a name.

        Raises:
            AddressRefused: one of them is forbidden; then none is used.
        """
        found = await self._inner.resolve(host, port, family)
        for answer in found:
            self._check(answer["host"])
        return found

    async def close(self) -> None:
        """Closes the inner resolver."""
        await self._inner.close()


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
