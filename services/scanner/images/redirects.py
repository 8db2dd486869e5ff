"""Redirects of a registry: which of them are followed, and which addresses never are.

A registry is not trusted to choose where we connect: the machine's own metadata services answer anyone who
asks from inside.
"""

from __future__ import annotations

import ipaddress
import re
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from services.scanner.reasons import Reason, ScanFailure

_REFUSED = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::254/128"),
)
_PRINTABLE = re.compile(r"[!-~]+")
STATUSES = frozenset({301, 302, 303, 307, 308})


class AddressRefused(OSError):
    """A host name led to an address that is never connected to."""


def next_hop(current: URL, location: str) -> URL:
    """Returns where the redirect leads.

    Raises:
        ScanFailure: REGISTRY_REDIRECT_REFUSED; the sentence names the host only, for the rest of such an
            address is often a signed secret.
    """
    try:
        # A signed address has to arrive as it was signed: requoting would break its signature.
        asked = URL(location, encoded=_PRINTABLE.fullmatch(location) is not None)
        target = current.join(asked).with_fragment(None)
        host = target.host
    except ValueError as error:
        raise refused(current, "to an address that cannot be read") from error
    if not location or target.scheme not in ("http", "https") or not host:
        raise refused(current, "to something that is no web address")
    if target.scheme not in (current.scheme, "https"):
        raise refused(current, f"from https to plain http on {host}")
    if is_refused_address(host):
        raise refused(current, f"to the link-local or metadata address {host}")
    return target.with_user(None) if target.user or target.password else target


def same_registry(registry: URL, target: URL) -> bool:
    """Tells whether the target is the registry itself, on the same port or on https instead of http."""
    if registry.host != target.host:
        return False
    upgraded = target.scheme == "https" and registry.is_default_port() and target.is_default_port()
    return (registry.scheme == target.scheme and registry.port == target.port) or upgraded


def is_refused_address(host: str) -> bool:
    """Tells whether the host is, as a literal, an address that is never connected to."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in _REFUSED)


def refused(current: URL, what: str) -> ScanFailure:
    """The failure of a redirect that is not followed."""
    return ScanFailure(
        Reason.REGISTRY_REDIRECT_REFUSED,
        f"The host {current.host} redirects {what}; that is not followed.",
        hint="Check the storage settings of the registry.",
    )


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses those that lead to a link-local or metadata address.

    The check is made on the very answer that is connected to: a name cannot change in between.
    """

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolves the name.

        Raises:
            AddressRefused: one of its addresses is refused.
        """
        answers = await self._inner.resolve(host, port, family)
        if any(is_refused_address(answer["host"]) for answer in answers):
            raise AddressRefused(f"{host} leads to a refused address")
        return answers

    async def close(self) -> None:
        """Closes the inner resolver."""
        await self._inner.close()
