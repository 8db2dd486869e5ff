"""How a registry is reached: its address and the credentials for it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who scans a folder has no password, and no use for what it imports
    from pydantic import SecretStr


def _nothing() -> SecretStr:
    from pydantic import SecretStr  # noqa: PLC0415

    return SecretStr("")


USER_AGENT = "drydock"
"""What we call ourselves to registries."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """Address and credentials of one registry; neither `repr` nor `str` shows the password or the token."""

    address: str
    """`HOST` or `HOST:PORT`, checked by `parse_host`."""
    plain_http: bool = False
    username: str = ""
    """Empty for anonymous access; then the password is not looked at."""
    password: SecretStr = dataclasses.field(default_factory=_nothing)
    token: SecretStr = dataclasses.field(default_factory=_nothing)
    """Bearer token that is shown to the registry as it stands, and to nobody else; where it is set, user name and
    password are not looked at."""
