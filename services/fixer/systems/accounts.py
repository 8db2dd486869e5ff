"""Users and groups of an image, as every package system asks for them (passwd(5), group(5))."""

from __future__ import annotations

import re
from typing import Final

USERS: Final = "etc/passwd"
GROUPS: Final = "etc/group"
_ID: Final = re.compile(r"[0-9]{1,10}")
_MAX_ID: Final = 1 << 32


def ids_of(text: str) -> dict[str, int]:
    """Returns the numbers of users or of groups by their names: of each its first line, odd ones left out."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, *rest = line.split(":")
        if name and len(rest) > 1 and _ID.fullmatch(rest[1]) and int(rest[1]) < _MAX_ID:
            found.setdefault(name, int(rest[1]))
    return found
