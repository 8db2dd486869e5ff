"""From an image's name to the source that has its bytes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import ArchiveKind, ArchiveReference, ImageReference, LayoutReference
from services.registry.interface import ImageSource
from services.registry.limits import SourceSettings
from services.scanner.images.archive import open_archive
from services.scanner.images.docker_archive import DockerArchiveSource
from services.scanner.images.files import Folder
from services.scanner.images.layout import ONLY_IMAGE, LayoutSource


@contextlib.asynccontextmanager
async def open_source(
    reference: ImageReference, access: RegistryAccess | None, settings: SourceSettings
) -> AsyncIterator[ImageSource]:
    """Opens the source for the time of the block; of an archive the headers are read, of anything else nothing.

    Args:
        reference: the image; of it only the repository, the folder or the file matters here.
        access: for a registry: how to reach it, where that is not anonymously over TLS at the reference's own
            host. An instance's access has its own address, which wins over the reference's host.
        settings: bounds and deadlines.

    Raises:
        ScanFailure: IMAGE_NOT_FOUND or ARCHIVE_INVALID, for an archive.
    """
    if isinstance(reference, LayoutReference):
        yield LayoutSource(Folder(Path(reference.path)), settings.limits)
        return
    if isinstance(reference, ArchiveReference):
        source = LayoutSource if reference.kind is ArchiveKind.OCI else DockerArchiveSource
        async with open_archive(Path(reference.path), reference.kind) as archive:
            yield source(archive, settings.limits)
        return
    # What speaks HTTP takes longer to import than a small image takes to scan.
    from services.registry.open import open_repository  # noqa: PLC0415

    reached = access or RegistryAccess(address=reference.host)
    async with open_repository(settings, reached, reference.image.repository) as registry:
        yield registry


def name_in_source(reference: ImageReference) -> str:
    """Returns what to ask the source's `head` and `manifest` for: the digest where there is one, else the tag."""
    if isinstance(reference, LayoutReference):
        return reference.tag or ONLY_IMAGE
    if isinstance(reference, ArchiveReference):
        return reference.name or ONLY_IMAGE
    return reference.image.digest or reference.image.tag or "latest"
