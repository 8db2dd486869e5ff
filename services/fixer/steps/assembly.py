"""From new layers to new images: configurations, manifests, and the index that leads to them. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from services.fixer.image.assemble import AddedLayer, described, fixed_config, fixed_index, fixed_manifest
from services.fixer.image.mark import Origin
from services.fixer.plan.packages import Upgrade
from services.fixer.steps.labour import BuiltLayer
from services.fixer.steps.original import Original
from services.fixer.steps.prepare import Prepared
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.platform import Platform
from services.registry.interface import Descriptor, RawManifest

OCTETS = "application/octet-stream"
"""What a blob is to the registry: its manifest tells the rest."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Created(msgspec.Struct):
    created: datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixedPlatform:
    """One platform's new image, with what of it the registry has not."""

    prepared: Prepared
    built: BuiltLayer
    config: bytes
    raw: RawManifest

    @property
    def platform(self) -> Platform:
        """Which one."""
        return self.prepared.image.platform


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixedImage:
    """What is to be pushed: layers and configurations first, then manifests, the last of them by the tag."""

    platforms: tuple[FixedPlatform, ...]
    top: RawManifest
    """What the tag will hold: the one manifest, or the index."""
    dropped: tuple[Digest, ...] = ()
    """Attestations that the index led to: they speak of the images that were replaced."""

    @property
    def blobs(self) -> tuple[tuple[Descriptor, bytes | Path], ...]:
        """The new layers, on disk, and the new configurations."""
        found: list[tuple[Descriptor, bytes | Path]] = []
        for each in self.platforms:
            layer = each.built.layer
            found.append((Descriptor(media_type=OCTETS, digest=layer.digest, size=layer.size), layer.path))
            config = Descriptor(media_type=OCTETS, digest=digest_of(each.config), size=len(each.config))
            found.append((config, each.config))
        return tuple(found)

    @property
    def manifests(self) -> tuple[RawManifest, ...]:
        """Manifests that an index leads to; empty where the manifest is all there is."""
        return tuple(each.raw for each in self.platforms if each.raw.digest != self.top.digest)


def assemble_platform(prepared: Prepared, built: BuiltLayer, name: str) -> FixedPlatform:
    """Makes one platform's manifest, whose base is that platform's own image; the same inputs give the same bytes.

    Raises:
        ScanFailure: CONFIG_INVALID, MANIFEST_INVALID.
    """
    layer = AddedLayer(digest=built.layer.digest, diff_id=built.layer.diff_id, size=built.layer.size)
    content = prepared.image.image.config.content
    config = fixed_config(
        content, layer, created=_created(content), created_by=_created_by(prepared.plan.upgrades)
    )
    origin = Origin(digest=prepared.image.raw.digest, name=name)
    raw = fixed_manifest(prepared.image.raw, config, layer, origin)
    return FixedPlatform(prepared=prepared, built=built, config=config, raw=raw)


def assemble_image(original: Original, platforms: Sequence[FixedPlatform], name: str) -> FixedImage:
    """Puts the new manifests in the places of the old ones.

    Raises:
        ScanFailure: MANIFEST_INVALID.
    """
    if not original.is_index:
        return FixedImage(platforms=tuple(platforms), top=platforms[0].raw)
    replaced: dict[Digest, Descriptor] = {
        each.prepared.image.raw.digest: described(each.raw) for each in platforms
    }
    index = fixed_index(original.raw, replaced, Origin(digest=original.raw.digest, name=name))
    return FixedImage(platforms=tuple(platforms), top=index.raw, dropped=index.dropped)


def _created(config: bytes) -> datetime:
    """Returns when the original was made: the fix follows from it and from packages, and not from the clock."""
    try:
        moment = msgspec.json.decode(config, type=_Created).created
    except msgspec.DecodeError:
        return _EPOCH
    return _EPOCH if moment is None else moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _created_by(upgrades: Sequence[Upgrade]) -> str:
    names = " ".join(f"{each.candidate.name}={each.candidate.version}" for each in upgrades)
    return f"drydock fix {names}"[:4096]
