"""Resolve: from a name to one image with its configuration, or to the list of an index's platforms."""

from __future__ import annotations

import dataclasses

from services.kernel.model.digest import Digest
from services.kernel.model.platform import Platform
from services.kernel.reasons import Reason, ScanFailure
from services.registry.config import config_invalid, parse_config
from services.registry.interface import (
    ImageConfig,
    ImageIndex,
    ImageManifest,
    ImageSource,
    IndexChild,
    RawManifest,
)
from services.registry.limits import ImageLimits
from services.registry.manifest import IndexDocument, IndexEntry, empty_index, parse_manifest, too_large

_DEFAULT_LIMITS = ImageLimits()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """One image of one platform, ready to be fetched."""

    manifest: ImageManifest
    config: ImageConfig


Resolved = ImageIndex | ResolvedImage


async def resolve(
    source: ImageSource, reference: str, platform: Platform | None, limits: ImageLimits = _DEFAULT_LIMITS
) -> Resolved:
    """Reads what the name leads to.

    Args:
        source: where the image is.
        reference: tag or digest, as the source's `manifest` takes it.
        platform: with one, the result is always a `ResolvedImage` of that platform; a platform without a
            variant takes the first that fits. With None, an index stays an index.
        limits: bounds.

    Raises:
        ScanFailure: the image cannot be read, is no image, or does not have the platform.
    """
    raw = await source.manifest(reference)
    parsed = parse_manifest(raw, limits)
    if isinstance(parsed, ImageManifest):
        image = await _complete(source, parsed, limits)
        if platform is not None and not fits(platform, image.config.platform):
            raise _no_platform(parsed.digest, platform, (image.config.platform,))
        return image
    index = await _flatten(source, raw, parsed, limits)
    if platform is None:
        return index
    for child in index.children:
        if fits(platform, child.platform):
            return await _child(source, child, limits)
    raise _no_platform(index.digest, platform, tuple(child.platform for child in index.children))


def fits(wanted: Platform, offered: Platform) -> bool:
    """Tells whether an image for `offered` is one for `wanted`; a variant that is not named fits any."""
    if (wanted.os, wanted.architecture) != (offered.os, offered.architecture):
        return False
    return not wanted.variant or _variant(wanted) == _variant(offered)


def _variant(platform: Platform) -> str:
    # arm64 and arm64/v8 are one platform under two names; builders disagree about which to write.
    return "v8" if platform.architecture == "arm64" and not platform.variant else platform.variant


async def _complete(source: ImageSource, manifest: ImageManifest, limits: ImageLimits) -> ResolvedImage:
    if manifest.config.size > limits.config_bytes:
        raise config_invalid(manifest.config.digest, f"is larger than {limits.config_bytes:,} bytes")
    content = bytearray()
    # The stream itself ends with an error when more bytes come than the descriptor says.
    async with source.blob(manifest.config) as chunks:
        async for chunk in chunks:
            content += chunk
    return ResolvedImage(manifest=manifest, config=parse_config(bytes(content), manifest))


async def _child(source: ImageSource, child: IndexChild, limits: ImageLimits) -> ResolvedImage:
    raw = await source.manifest(child.descriptor.digest)
    parsed = parse_manifest(raw, limits)
    if not isinstance(parsed, ImageManifest):
        raise ScanFailure(
            Reason.MANIFEST_INVALID, f"{raw.digest} is announced as an image for {child.platform} but is an index."
        )
    return await _complete(source, parsed, limits)


class _Walk:
    """Follows nested indexes, each digest once, and keeps the first image of each platform."""

    def __init__(self, source: ImageSource, limits: ImageLimits) -> None:
        self._source = source
        self._limits = limits
        self._seen: set[Digest] = set()
        self._entries = 0
        self.children: dict[tuple[str, str, str], IndexChild] = {}

    async def follow(self, document: IndexDocument, depth: int) -> None:
        if depth > self._limits.index_depth:
            raise ScanFailure(
                Reason.MANIFEST_INVALID,
                f"Indexes are nested more than {self._limits.index_depth} deep at {document.digest}.",
            )
        self._seen.add(document.digest)
        for entry in document.entries:
            self._entries += 1
            if self._entries > self._limits.children:
                raise ScanFailure(
                    Reason.MANIFEST_TOO_LARGE,
                    f"The index and those nested in it list more than {self._limits.children:,} manifests.",
                    metadata={"limit": str(self._limits.children)},
                )
            if entry.descriptor.digest in self._seen:
                continue
            if entry.nested or entry.platform is None:
                await self._look_into(entry, depth)
            else:
                self._keep(entry, entry.platform)

    async def _look_into(self, entry: IndexEntry, depth: int) -> None:
        self._seen.add(entry.descriptor.digest)
        if entry.descriptor.size > self._limits.manifest_bytes:
            raise too_large(entry.descriptor.digest, self._limits)
        try:
            parsed = parse_manifest(await self._source.manifest(entry.descriptor.digest), self._limits)
        except ScanFailure as failure:
            if failure.why in (Reason.NOT_AN_IMAGE, Reason.EMPTY_INDEX):
                # An artifact that lies beside images, without a platform to tell it by.
                return
            raise
        if isinstance(parsed, IndexDocument):
            await self.follow(parsed, depth + 1)
            return
        image = await _complete(self._source, parsed, self._limits)
        self._keep(entry, image.config.platform)

    def _keep(self, entry: IndexEntry, platform: Platform) -> None:
        key = (platform.os, platform.architecture, _variant(platform))
        # Runtimes take the first that fits, so the first is the image that runs.
        self.children.setdefault(key, IndexChild(descriptor=entry.descriptor, platform=platform))


async def _flatten(
    source: ImageSource, raw: RawManifest, document: IndexDocument, limits: ImageLimits
) -> ImageIndex:
    walk = _Walk(source, limits)
    await walk.follow(document, 1)
    if not walk.children:
        raise empty_index(raw.digest)
    return ImageIndex(digest=raw.digest, children=tuple(walk.children.values()))


def _no_platform(digest: Digest, wanted: Platform, offered: tuple[Platform, ...]) -> ScanFailure:
    listed = ", ".join(str(platform)[:60] for platform in offered[:20]) + (", …" if len(offered) > 20 else "")
    return ScanFailure(
        Reason.PLATFORM_NOT_FOUND,
        f"The image {digest} is not there for {wanted}.",
        hint=f"It is there for: {listed}.",
    )
