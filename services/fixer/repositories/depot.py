"""The depot: how package systems get anything from a repository."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from services.fixer.plan.packages import Release


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a file must be, as something says that is verified already."""

    size: int
    """Bytes; nothing beyond them is read."""
    checksum: str
    """`ALGORITHM:HEX`; `sha256` wherever the index has it."""


class Depot(Protocol):
    """Fetches, holds against hashes, keeps by hash. Every call has a deadline; every failure is a `FixFailure`.

    Addresses are checked like any that we connect to: REPOSITORY_REFUSED for one that the operator did not allow.
    """

    async def small(self, url: str, *, at_most: int) -> bytes | None:
        """Fetches something that is verified afterwards, by its signature: an index's signed part.

        Returns None where the repository says that it has no such file (404, 410).

        Raises:
            FixFailure: REPOSITORY_UNREACHABLE, REPOSITORY_REFUSED, REPOSITORY_INVALID (larger than `at_most`).
        """
        ...

    async def file(self, url: str, expected: Expected, *, tampered: bool) -> Path:
        """Fetches a file and holds it against its hash, or returns it as kept from an earlier time, verified anew.

        The file stays as long as the depot is open, and is not to be changed.

        Args:
            url: where it is.
            expected: its size and hash.
            tampered: of which kind a mismatch is: PACKAGE_TAMPERED when True, else INDEX_TAMPERED.

        Raises:
            FixFailure: as `small`, and the mismatch; DISK_FULL.
        """
        ...

    def keys(self, system: str, release: Release) -> tuple[bytes, ...]:
        """Returns the keys that we trust for a distribution: files of keyrings, as they are, never the image's.

        Empty where there are none; then nothing of it is believed.
        """
        ...
