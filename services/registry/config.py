"""An image's configuration (OCI image-spec, config.md, "Properties"; Docker's has the same fields)."""

from __future__ import annotations

import msgspec

from services.kernel.errors import ServiceError
from services.kernel.model.digest import Digest, is_digest
from services.kernel.model.platform import Platform
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import ImageConfig, ImageManifest


class _RootFs(msgspec.Struct):
    diff_ids: list[str] | None = None


class _Config(msgspec.Struct):
    os: str = ""
    architecture: str = ""
    variant: str = ""
    rootfs: _RootFs | None = None


_DECODER = msgspec.json.Decoder(_Config)


def parse_config(content: bytes, manifest: ImageManifest) -> ImageConfig:
    """Reads the configuration of the manifest's image; the bytes are verified already.

    Raises:
        ScanFailure: CONFIG_INVALID, also when it does not have one diffID for each layer.
    """
    digest = manifest.config.digest
    try:
        config = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise config_invalid(digest, "is not the JSON of an image configuration") from error
    if not config.os or not config.architecture:
        raise config_invalid(digest, "does not say for which operating system and architecture it is")
    diff_ids = (config.rootfs.diff_ids if config.rootfs else None) or []
    if len(diff_ids) != len(manifest.layers):
        raise config_invalid(
            digest, f"has {len(diff_ids):,} diffIDs for the manifest's {len(manifest.layers):,} layers"
        )
    for diff_id in diff_ids:
        if not is_digest(diff_id):
            raise config_invalid(digest, f"has the diffID {diff_id[:80]!r}, which is no digest")
    try:
        platform = Platform(os=config.os, architecture=config.architecture, variant=config.variant)
    except ServiceError as error:
        raise config_invalid(digest, f"is for no platform: {error.message.removesuffix('.')}") from error
    return ImageConfig(
        platform=platform,
        diff_ids=tuple(Digest(diff_id) for diff_id in diff_ids),
        content=content,
    )


def config_invalid(digest: Digest, what: str) -> ScanFailure:
    """The failure of a configuration that cannot be used."""
    return ScanFailure(Reason.CONFIG_INVALID, f"The image configuration {digest} {what}.")
