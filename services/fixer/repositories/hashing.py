"""The hashes that files of repositories are known by."""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

from services.fixer.repositories.apk_identity import ALGORITHM, ApkHash

ALGORITHMS: Final = frozenset({"sha1", "sha256", "sha384", "sha512", ALGORITHM})


class Hasher(Protocol):
    """What hashes a file as it comes."""

    @property
    def digest_size(self) -> int:
        """Bytes of the hash."""
        ...

    def update(self, chunk: bytes | bytearray | memoryview, /) -> None:
        """Takes the next bytes."""
        ...

    def hexdigest(self) -> str:
        """Returns the hash of all that came, in hexadecimal."""
        ...


def hasher_of(algorithm: str) -> Hasher:
    """Returns one that has seen nothing yet.

    Raises:
        ValueError: no hash that we know.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"{algorithm[:40]!r} is no hash")
    return ApkHash() if algorithm == ALGORITHM else hashlib.new(algorithm)
