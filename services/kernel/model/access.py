"""How to reach a registry, credentials included."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """Address and credentials of a registry; its repr hides the password."""

    address: str
    """`HOST[:PORT]`."""
    plain_http: bool = False
    username: str = ""
    """Empty for anonymous access."""
    password: str = dataclasses.field(default="", repr=False)
