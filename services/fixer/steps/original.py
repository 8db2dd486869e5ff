"""The image that is to be fixed: what the tag held, its platforms, and their layers on disk."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from services.fixer.failure import FixFailure, FixReason
from services.kernel.blocking import in_thread
from services.kernel.model.digest import Digest
from services.kernel.model.platform import Platform
from services.kernel.reasons import Reason, ScanFailure
from services.layers.fetch import fetch_layers
from services.layers.file import LayerFile
from services.registry.interface import Descriptor, ImageIndex, ImageSource, RawManifest
from services.registry.limits import ImageLimits
from services.registry.manifest import IndexDocument, parse_manifest
from services.registry.resolve import ResolvedImage, resolve
from services.registry.spool import LayerSpool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformImage:
    """One platform's image."""

    platform: Platform
    raw: RawManifest
    image: ResolvedImage
    nested: bool = False
    """Whether an index inside the index leads to it, and not the index itself."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What the tag held when the fix was asked for."""

    raw: RawManifest
    """A manifest, or an index."""
    platforms: tuple[PlatformImage, ...]
    """One of a manifest; of an index those that can run, in its order."""
    is_index: bool


async def read_original(source: ImageSource, digest: Digest, limits: ImageLimits) -> Original:
    """Reads manifests and configurations, nothing of the layers.

    Raises:
        ScanFailure: what the registry answers, or what is wrong with them.
    """
    raw = await source.manifest(digest)
    found = await resolve(source, digest, None, limits)
    if not isinstance(found, ImageIndex):
        one = PlatformImage(platform=found.config.platform, raw=raw, image=found)
        return Original(raw=raw, platforms=(one,), is_index=False)
    listed = parse_manifest(raw, limits)
    direct = {each.descriptor.digest for each in listed.entries} if isinstance(listed, IndexDocument) else set()
    platforms = []
    for child in found.children:
        # By its digest alone, as scans and runtimes do: configurations often tell no variant.
        image = await resolve(source, child.descriptor.digest, None, limits)
        content = await source.manifest(child.descriptor.digest)
        if isinstance(image, ImageIndex):
            raise ScanFailure(
                Reason.MANIFEST_INVALID,
                f"{content.digest} is announced as an image for {child.platform} but is an index.",
            )
        nested = child.descriptor.digest not in direct
        platforms.append(PlatformImage(platform=child.platform, raw=content, image=image, nested=nested))
    return Original(raw=raw, platforms=tuple(platforms), is_index=True)


async def bring_layers(
    source: ImageSource, image: ResolvedImage, spool: LayerSpool, folder: Path, *, at_most: int
) -> tuple[LayerFile, ...]:
    """Puts the layers of an image into a folder on the spool's disk; returns them from the base upward.

    Args:
        source: the repository.
        image: whose layers.
        spool: through which they come, so that what a scan fetches at the moment is not fetched again.
        folder: of the caller's own; each layer has its digest for a name there, and what is there stays.
        at_most: bytes of all of them, as stored.

    Raises:
        FixFailure: IMAGE_TOO_LARGE.
        ScanFailure: what the registry answers, or SPOOL_FULL.
    """
    layers = image.manifest.layers
    stored = sum(layer.size for layer in layers)
    if stored > at_most:
        raise FixFailure(
            FixReason.IMAGE_TOO_LARGE,
            f"The image has {stored:,} bytes of layers, and a fix may have {at_most:,}.",
            hint="Raise DRYDOCK_FIXER_IMAGE_BYTES if the disk has the room.",
        )

    async def keep(layer: LayerFile) -> None:
        # A second name: the spool takes its own away.
        await in_thread(os.link, layer.path, _place(folder, layer.descriptor))

    missing = [layer for layer in layers if not await in_thread(_place(folder, layer).exists)]

    await fetch_layers(source, missing, spool, keep)
    return tuple(LayerFile(layer, _place(folder, layer)) for layer in layers)


def _place(folder: Path, layer: Descriptor) -> Path:
    return folder / layer.digest.replace(":", "-")
