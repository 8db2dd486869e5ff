"""The token that a call carries, as `Authorization: Bearer TOKEN` (RFC 6750, section 2.1)."""

from __future__ import annotations

from services.kernel.rpc.interceptors import Metadata


def bearer_in(metadata: Metadata) -> str:
    """Returns the token in the metadata of a call; empty where there is none."""
    header = next((value for name, value in metadata if name == "authorization"), "")
    return bearer_of(header) if isinstance(header, str) else ""


def bearer_of(header: str) -> str:
    """Returns the token in the value of the header; empty where there is none, or another scheme."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
