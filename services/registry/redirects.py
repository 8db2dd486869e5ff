"""Redirects of a registry: which of them are followed. Addresses are guarded where the request is sent."""

from __future__ import annotations

import re

from yarl import URL

from services.kernel.reasons import Reason, ScanFailure

_PRINTABLE = re.compile(r"[!-~]+")
_READING = frozenset({301, 302, 303, 307, 308})
_WRITING = frozenset({307, 308})
"""The others make a GET of a request (RFC 9110, section 15.4): what was to be written would not be."""


def followed(method: str) -> frozenset[int]:
    """Returns the statuses that lead a request elsewhere."""
    return _READING if method in ("GET", "HEAD") else _WRITING


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
    return target.with_user(None) if target.user or target.password else target


def same_registry(registry: URL, target: URL) -> bool:
    """Tells whether the target is the registry itself, on the same port or on https instead of http."""
    if registry.host != target.host:
        return False
    upgraded = target.scheme == "https" and registry.is_default_port() and target.is_default_port()
    return (registry.scheme == target.scheme and registry.port == target.port) or upgraded


def refused(current: URL, what: str) -> ScanFailure:
    """The failure of a redirect that is not followed."""
    return ScanFailure(
        Reason.REGISTRY_REDIRECT_REFUSED,
        f"The host {current.host} redirects {what}; that is not followed.",
        hint="Check the storage settings of the registry.",
    )
