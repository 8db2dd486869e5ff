"""What every source of image bytes offers, and the values that it speaks in."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from services.kernel.model.digest import Digest
from services.kernel.model.platform import Platform


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A pointer to content (OCI image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    """Bytes of the content as stored."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RawManifest:
    """A manifest's bytes, already verified against its digest."""

    media_type: str
    digest: Digest
    content: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageManifest:
    """One image of one platform."""

    digest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...]
    """From the base upward; foreign layers and repeated digests are kept as they stand."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IndexChild:
    """A runnable image that an index points to."""

    descriptor: Descriptor
    platform: Platform


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageIndex:
    """The runnable images of an index: attestations and other artifacts are left out, nested indexes resolved."""

    digest: Digest
    children: tuple[IndexChild, ...]
    """Never empty; one child for each platform, in the index's own order."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What the scanner reads of an image's configuration."""

    platform: Platform
    diff_ids: tuple[Digest, ...]
    """Digests of the uncompressed layers, from the base upward, as many as the manifest has layers."""
    content: bytes
    """The whole configuration as JSON."""


class ImageSource(ABC):
    """Reads one repository. Every method has a deadline inside; every failure is a `ScanFailure`.

    Cancelling any call closes its connection at once and leaves nothing behind.
    """

    @abstractmethod
    async def head(self, reference: str) -> Descriptor:
        """Resolves a tag or digest to the descriptor of its manifest, without fetching the manifest."""

    async def knows_repository(self) -> bool:
        """Tells whether the repository is there, after something in it was not found; True where nobody says."""
        return True

    @abstractmethod
    async def manifest(self, reference: str) -> RawManifest:
        """Fetches a manifest by tag or digest, bounded in size, verified against the digest it was asked by."""

    async def place(self, descriptor: Descriptor) -> Path | None:
        """Returns the file that a blob is on this machine, not verified; None where it must be fetched."""
        return None

    @abstractmethod
    def blob(self, descriptor: Descriptor) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Streams a blob's bytes as stored.

        The stream raises DIGEST_MISMATCH or TRANSFER_CUT_OFF at its end when bytes and descriptor disagree:
        nothing read from it may be trusted before it ended.
        """
