"""What an index says of a file: where it is, how large, and its hash."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from services.fixer.repositories.depot import Expected

_HEX: Final = re.compile(r"[0-9a-f]{64,128}")
_HASHES: Final = {"sha256": 64, "sha384": 96, "sha512": 128}


def expected(size: str, checksum: str, at_most: int) -> Expected:
    """Returns what a file must be.

    Raises:
        ValueError: it has no hash that counts, or no size that can be.
    """
    algorithm, _, digest = checksum.partition(":")
    if _HASHES.get(algorithm) != len(digest) or not _HEX.fullmatch(digest):
        raise ValueError("a file without a hash that counts")
    if not size.isascii() or not size.isdecimal() or len(size) > 12 or int(size) > at_most:
        raise ValueError("a file without a size that can be one")
    return Expected(size=int(size), checksum=checksum)


def is_inside(href: str) -> bool:
    """Tells whether an address leads to somewhere within its repository."""
    parts = urlsplit(href)
    return bool(href) and not parts.scheme and not parts.netloc and not href.startswith("/") and (
        ".." not in href.split("/") and len(href) < 2048 and href.isprintable() and "\\" not in href
    )  # fmt: skip
