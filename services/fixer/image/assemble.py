"""The fixed image's configuration, manifest and index: the original's, but for what a new layer changes.

What is not changed keeps its bytes, known to us or not. Formats: OCI image-spec, config.md, manifest.md,
image-index.md; distribution, "Image Manifest Version 2, Schema 2", whose documents stay of their kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.fixer.image.mark import Origin
from services.kernel.model import media
from services.kernel.model.digest import Digest, digest_of
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor, RawManifest

_ATTESTED: Final = "vnd.docker.reference.digest"
"""By which BuildKit says in an index what an attestation is of."""
_OF_OLD_BYTES: Final = frozenset({"data", "urls"})
_Fields = dict[str, msgspec.Raw]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AddedLayer:
    """The layer that comes on top."""

    digest: Digest
    diff_id: Digest
    size: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixedIndex:
    """An index that leads to fixed images."""

    raw: RawManifest
    dropped: tuple[Digest, ...]
    """Attestations that it has no more: they speak of images that it does not lead to."""


def fixed_config(content: bytes, layer: AddedLayer, *, created: datetime, created_by: str) -> bytes:
    """Returns the configuration with the layer in it.

    Args:
        content: the original's, read by `parse_config` before.
        layer: what comes on top.
        created: when it was made, by something that follows from the inputs: not by the clock.
        created_by: for the history; left out where the original tells no history.

    Raises:
        ScanFailure: CONFIG_INVALID.
    """
    try:
        config = msgspec.json.decode(content, type=_Fields)
        rootfs = msgspec.json.decode(config["rootfs"], type=_Fields)
        diff_ids = msgspec.json.decode(rootfs["diff_ids"], type=list[msgspec.Raw])
        told = msgspec.json.decode(config.get("history", b"null"), type=list[msgspec.Raw] | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as error:
        what = f"The image configuration {digest_of(content)} cannot be given another layer."
        raise ScanFailure(Reason.CONFIG_INVALID, what) from error
    moment = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rootfs["diff_ids"] = _raw([*diff_ids, _raw(layer.diff_id)])
    config["rootfs"] = _raw(rootfs)
    if told:  # one entry alone, for all the layers, would be a lie that tools trip over
        entry = {"created": moment, "created_by": created_by, "comment": "drydock fix"}
        config["history"] = _raw([*told, _raw(entry)])
    config["created"] = _raw(moment)
    return msgspec.json.encode(config)


def fixed_manifest(raw: RawManifest, config: bytes, layer: AddedLayer, origin: Origin) -> RawManifest:
    """Returns the manifest with the layer in it.

    Args:
        raw: the original's, read by `parse_manifest` before.
        config: from `fixed_config`.
        layer: what comes on top.
        origin: the original.

    Raises:
        ScanFailure: MANIFEST_INVALID.
    """
    with_docker = _media_type(raw) == media.DOCKER_MANIFEST
    layer_type = media.DOCKER_LAYER_GZIP if with_docker else f"{media.OCI_LAYER}+gzip"
    try:
        manifest = msgspec.json.decode(raw.content, type=_Fields)
        layers = msgspec.json.decode(manifest["layers"], type=list[msgspec.Raw])
        described = msgspec.json.decode(manifest["config"], type=_Fields)
        added = {"mediaType": layer_type, "digest": layer.digest, "size": layer.size}
        manifest["config"] = _raw(_redirected(described, digest_of(config), len(config)))
        manifest["layers"] = _raw([*layers, _raw(added)])
        _annotate(manifest, origin)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as error:
        raise _invalid(raw) from error
    return _made(raw, manifest)


def fixed_index(raw: RawManifest, replaced: Mapping[Digest, Descriptor], origin: Origin) -> FixedIndex:
    """Returns an index that leads to other manifests, in the same order; what is not replaced stays as it is.

    Of indexes inside indexes the innermost comes first: to the outer one it is a manifest like any other.

    Args:
        raw: the original's, read by `parse_manifest` before.
        replaced: what comes in place of its manifests.
        origin: the original.

    Raises:
        ScanFailure: MANIFEST_INVALID.
    """
    try:
        index = msgspec.json.decode(raw.content, type=_Fields)
        children, dropped = [], []
        for child in msgspec.json.decode(index["manifests"], type=list[msgspec.Raw]):
            fields = msgspec.json.decode(child, type=_Fields)
            digest = msgspec.json.decode(fields["digest"], type=Digest)
            if new := replaced.get(digest):
                children.append(_raw(_redirected(fields, new.digest, new.size)))
            elif _attested(fields) in replaced:
                dropped.append(digest)
            else:
                children.append(child)
        index["manifests"] = _raw(children)
        _annotate(index, origin)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as error:
        raise _invalid(raw) from error
    return FixedIndex(raw=_made(raw, index), dropped=tuple(dropped))


def described(raw: RawManifest) -> Descriptor:
    """Returns the descriptor of a manifest."""
    return Descriptor(media_type=raw.media_type, digest=raw.digest, size=len(raw.content))


def _redirected(fields: _Fields, digest: Digest, size: int) -> _Fields:
    """Returns a descriptor that leads elsewhere; what it has of the old content itself is left out."""
    kept = {name: value for name, value in fields.items() if name not in _OF_OLD_BYTES}
    return kept | {"digest": _raw(digest), "size": _raw(size)}


def _attested(fields: _Fields) -> str:
    annotations = msgspec.json.decode(fields.get("annotations", b"null"), type=dict[str, object] | None)
    return str((annotations or {}).get(_ATTESTED, ""))


def _annotate(document: _Fields, origin: Origin) -> None:
    present = msgspec.json.decode(document.get("annotations", b"null"), type=_Fields | None) or {}
    present |= {name: _raw(value) for name, value in origin.annotations().items()}
    document["annotations"] = _raw(present)


def _media_type(raw: RawManifest) -> str:
    """Returns a manifest's own media type: what it says itself, else what the registry said."""
    try:
        own = msgspec.json.decode(raw.content, type=_OwnType).media_type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(raw) from error
    return media.bare(own or raw.media_type)


class _OwnType(msgspec.Struct, rename="camel"):
    media_type: str = ""


def _made(raw: RawManifest, document: _Fields) -> RawManifest:
    content = msgspec.json.encode(document)
    return RawManifest(media_type=_media_type(raw), digest=digest_of(content), content=content)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _invalid(raw: RawManifest) -> ScanFailure:
    return ScanFailure(Reason.MANIFEST_INVALID, f"The manifest {raw.digest} cannot be given another layer.")
