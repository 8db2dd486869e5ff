"""Where Drydock sends what somebody asked it to send: the guard of targets, when one is saved, tested and told.

A name is looked up once, what it leads to is checked, and the connection goes to that very address. Public
addresses are allowed, others only in the networks that the operator named; what `services/kernel/addresses.py`
refuses is refused whatever was named.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection

from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver

from services.kernel.addresses import Address, AddressRefused, GuardedResolver, forms_of, is_refused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAIL_PORTS = frozenset({25, 465, 587})
_LOOKUP_SECONDS = 3.0
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Doors of services that take a request for something else, or that only their own clients have business with: most
# of what browsers refuse (Fetch standard, "Port blocking"), and what clusters run.
_PORTS_OF_OTHERS = frozenset(
    {
        *(21, 22, 23, 53, 69, 110, 111, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 445, 512, 513, 514, 515),
        *(532, 540, 548, 554, 556, 563, 601, 636, 873, 989, 990, 993, 995, 1433, 1521, 1719, 1720, 1723, 2049),
        *(2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5432, 5672, 5900, 6000, 6379),
        *(6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9042, 9092, 9093, 9200, 9300, 10080, 10250, 11211),
        *(27017, 50051),
        # Our own.
        *(7070, 7071, 7072, 7073, 7074, 7080, 7091, 7092, 7093, 7094, 7095),
    }
)


class EgressRefused(AddressRefused):
    """Nothing is sent there."""

    def __init__(self, reason: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint


class Egress:
    """The way out. Of a host it says only whether it is used, never what answers there."""

    def __init__(
        self,
        *,
        networks: Collection[Network] = (),
        ports: Collection[int] = (),
        names: AbstractResolver | None = None,
    ) -> None:
        """Opens a way out; within a running event loop, unless `names` is given.

        Args:
            networks: what is allowed besides public addresses.
            ports: what is allowed besides those that are allowed anyway.
            names: looks names up; the system does by default.
        """
        self._networks = tuple(networks)
        self._ports = frozenset(ports)
        self.resolver = GuardedResolver(names or ThreadedResolver(), self.check_address)
        """Looks names up for connections; one that leads to a single refused address has none."""

    def check_address(self, host: str) -> None:
        """Checks a host that is an address, in any spelling; a name passes, and `resolver` sees where it leads.

        Raises:
            EgressRefused: ADDRESS_REFUSED, or ADDRESS_NOT_ALLOWED where the operator could allow it.
        """
        forms = forms_of(host)
        if not forms:
            return
        if is_refused(host):
            raise EgressRefused(
                "ADDRESS_REFUSED",
                "Its host is, or leads to, a link-local, metadata or multicast address.",
                "Name a host that listens for notifications.",
            )
        if not _is_public(forms[-1]) and not any(forms[-1] in network for network in self._networks):
            raise EgressRefused(
                "ADDRESS_NOT_ALLOWED",
                "Its host is, or leads to, a private address, and no allowed network holds that.",
                "If it is meant to be told, add its network to DRYDOCK_NOTIFIER_ALLOWED_NETWORKS.",
            )

    def check_port(self, port: int, *, refused: Collection[int] = MAIL_PORTS) -> None:
        """Checks a port: not one of `refused`, those of mail by default, and not the door of another service.

        Raises:
            EgressRefused: PORT_REFUSED.
        """
        if port in self._ports or (port not in _PORTS_OF_OTHERS and port not in refused):
            return
        raise EgressRefused(
            "PORT_REFUSED",
            f"Its port {port} is that of a service that takes no notifications.",
            "If one listens there all the same, add the port to DRYDOCK_NOTIFIER_ALLOWED_PORTS.",
        )

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Returns the addresses of a host, all of them checked; for connections that aiohttp does not make.

        Raises:
            EgressRefused: see `check_address`.
            OSError: the name cannot be looked up.
        """
        self.check_address(host)
        if forms_of(host):
            return (host,)
        return tuple(answer["host"] for answer in await self.resolver.resolve(host, port, socket.AF_UNSPEC))

    async def check_host(self, host: str) -> None:
        """Checks where a host leads just now; a name that cannot be looked up leads nowhere yet, and passes.

        Raises:
            EgressRefused: see `check_address`.
        """
        self.check_address(host)
        if forms_of(host):
            return
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                await self.resolver.resolve(host)
        except EgressRefused:
            raise
        except OSError:  # TimeoutError is one
            return


def _is_public(address: Address) -> bool:
    # What Python calls global leaves out ranges that were set apart later, all of them outside of 2000::/3.
    return address.is_global and (address.version == 4 or address in _GLOBAL_UNICAST)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Reads networks with commas between; raises ValueError naming the first that is none."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def parse_ports(text: str) -> frozenset[int]:
    """Reads ports with commas between; raises ValueError naming the first that is none."""
    ports = [part.strip() for part in text.split(",") if part.strip()]
    for port in ports:
        if not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
            raise ValueError(f"{port[:20]!r} is no port")
    return frozenset(map(int, ports))
