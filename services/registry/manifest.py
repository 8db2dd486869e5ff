"""Manifests and indexes: from hostile bytes to an image, an index, or the reason why it is neither.

Formats: OCI image-spec, manifest.md and image-index.md; distribution, "Image Manifest Version 2, Schema 2".
"""

from __future__ import annotations

import dataclasses

import msgspec

from services.kernel.errors import ServiceError
from services.kernel.model import media
from services.kernel.model.digest import Digest, is_digest
from services.kernel.model.platform import Platform
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor, ImageManifest, RawManifest
from services.registry.limits import ImageLimits

_ATTESTATION = "vnd.docker.reference.type"
_LARGEST_SIZE = 1 << 50


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """A line of an index that may lead to a runnable image."""

    descriptor: Descriptor
    platform: Platform | None
    """None where the index does not say; the image's configuration does."""
    nested: bool
    """True when it points to a further index."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IndexDocument:
    """An index as it is written, artifacts and attestations left out, nested indexes not yet followed."""

    digest: Digest
    entries: tuple[IndexEntry, ...]
    """In the index's own order; never empty."""


class _Platform(msgspec.Struct):
    os: str = ""
    architecture: str = ""
    variant: str = ""


class _Pointer(msgspec.Struct, rename="camel"):
    digest: str
    size: int
    media_type: str = ""
    artifact_type: str | None = None
    platform: _Platform | None = None
    annotations: dict[str, str] | None = None


class _Document(msgspec.Struct, rename="camel"):
    schema_version: int | None = None
    media_type: str = ""
    artifact_type: str | None = None
    config: _Pointer | None = None
    # Go writes an empty list as null, so that "absent" and "null" are two things.
    layers: list[_Pointer] | msgspec.UnsetType | None = msgspec.UNSET
    manifests: list[_Pointer] | msgspec.UnsetType | None = msgspec.UNSET


_DECODER = msgspec.json.Decoder(_Document)


def parse_manifest(raw: RawManifest, limits: ImageLimits) -> ImageManifest | IndexDocument:
    """Reads a manifest or an index; which of the two is decided by its media type and its body together.

    Raises:
        ScanFailure: MANIFEST_TOO_LARGE, MANIFEST_INVALID, UNSUPPORTED_MEDIA_TYPE, NOT_AN_IMAGE, TOO_MANY_LAYERS
            or EMPTY_INDEX.
    """
    if len(raw.content) > limits.manifest_bytes:
        raise too_large(raw.digest, limits)
    document = _decode(raw)
    media_type = _media_type(raw, document)
    if media_type in media.INDEX_TYPES:
        return _to_index(raw.digest, document, limits)
    return _to_image(raw.digest, document, limits)


def too_large(what: str, limits: ImageLimits) -> ScanFailure:
    """The failure of a manifest above the bound; `what` names it by tag or digest."""
    return ScanFailure(
        Reason.MANIFEST_TOO_LARGE,
        f"The manifest {what} is larger than {limits.manifest_bytes:,} bytes.",
        metadata={"limit": str(limits.manifest_bytes)},
    )


def check_layer_count(what: str, count: int, limits: ImageLimits) -> None:
    """Refuses an image with too many layers.

    Raises:
        ScanFailure: TOO_MANY_LAYERS.
    """
    if count > limits.layers:
        raise ScanFailure(
            Reason.TOO_MANY_LAYERS,
            f"The image {what} has {count:,} layers; {limits.layers} are allowed.",
            metadata={"limit": str(limits.layers)},
        )


def _decode(raw: RawManifest) -> _Document:
    try:
        document = _DECODER.decode(raw.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(raw.digest, "is not the JSON of an image manifest") from error
    if media.is_schema_1(media.bare(raw.media_type)) or document.schema_version == 1:
        raise ScanFailure(
            Reason.UNSUPPORTED_MEDIA_TYPE,
            f"The manifest {raw.digest} is in Docker's schema 1, which has been given up.",
            hint="Push the image again with a current client; it then gets a schema 2 or OCI manifest.",
        )
    if document.schema_version != 2:
        raise _invalid(raw.digest, "does not say schemaVersion 2")
    return document


def _media_type(raw: RawManifest, document: _Document) -> str:
    """Settles on one of the four media types; a body that could be read as two things is refused."""
    told, own = media.bare(raw.media_type), media.bare(document.media_type)
    known = media.MANIFEST_TYPES | media.INDEX_TYPES
    if own and told in known and own != told:
        raise _invalid(raw.digest, f"was served as {_shown(told)} but calls itself {_shown(own)}")
    has_layers = document.layers is not msgspec.UNSET or document.config is not None
    has_children = document.manifests is not msgspec.UNSET
    if has_layers and has_children:
        raise _invalid(raw.digest, "has both layers and manifests")
    claimed = own or (told if told in known or told == media.OCI_ARTIFACT else "")
    if claimed == media.OCI_ARTIFACT:
        raise _not_an_image(raw.digest, f"an artifact of type {_shown(document.artifact_type or 'unknown')}")
    if claimed and claimed not in known:
        raise ScanFailure(
            Reason.UNSUPPORTED_MEDIA_TYPE,
            f"The manifest {raw.digest} has the media type {_shown(claimed)}, which is not known.",
        )
    settled = claimed or (media.OCI_INDEX if has_children else media.OCI_MANIFEST)
    if (settled in media.INDEX_TYPES and has_layers) or (settled in media.MANIFEST_TYPES and has_children):
        raise _invalid(raw.digest, f"is called {settled}, but its body is of the other kind")
    return settled


def _to_image(digest: Digest, document: _Document, limits: ImageLimits) -> ImageManifest:
    if document.config is None:
        raise _invalid(digest, "names no configuration")
    layers = document.layers or []
    check_layer_count(digest, len(layers), limits)
    if media.bare(document.config.media_type) not in media.CONFIG_TYPES:
        kind = document.artifact_type or document.config.media_type or "unknown"
        raise _not_an_image(digest, f"an artifact of type {_shown(kind)}")
    if layers and not any(media.is_layer(media.bare(layer.media_type)) for layer in layers):
        # Signatures and attestations borrow the configuration type of images; their content gives them away.
        raise _not_an_image(digest, f"an artifact that holds {_shown(layers[0].media_type)}")
    return ImageManifest(
        digest=digest,
        config=_to_descriptor(digest, document.config),
        layers=tuple(_to_descriptor(digest, layer) for layer in layers),
    )


def _to_index(digest: Digest, document: _Document, limits: ImageLimits) -> IndexDocument:
    if document.manifests is msgspec.UNSET:
        raise _invalid(digest, "is an index without a list of manifests")
    children = document.manifests or []
    if len(children) > limits.children:
        raise ScanFailure(
            Reason.MANIFEST_TOO_LARGE,
            f"The index {digest} lists {len(children):,} manifests; {limits.children:,} are allowed.",
            metadata={"limit": str(limits.children)},
        )
    entries = tuple(entry for child in children if (entry := _to_entry(digest, child)) is not None)
    if not entries:
        raise empty_index(digest)
    return IndexDocument(digest=digest, entries=entries)


def empty_index(digest: Digest) -> ScanFailure:
    """The failure of an index in which nothing can be run."""
    return ScanFailure(
        Reason.EMPTY_INDEX,
        f"The index {digest} lists no runnable image.",
        hint="It may hold attestations or artifacts only; scan an image instead.",
    )


def _to_entry(digest: Digest, child: _Pointer) -> IndexEntry | None:
    """Returns None for what no runtime takes for an image.

    What is marked as an attestation or another artifact, and may be run for all that, comes without a platform:
    its own manifest tells what it is. A mark is a claim, and runtimes choose by the platform alone.
    """
    media_type = media.bare(child.media_type)
    nested = media_type in media.INDEX_TYPES
    if not nested and media_type not in media.MANIFEST_TYPES and not media.is_schema_1(media_type):
        return None
    given = child.platform
    if given is not None and given.os == given.architecture == "unknown":
        return None
    marked = bool(child.artifact_type) or _ATTESTATION in (child.annotations or {})
    platform = None
    if given is not None and given.os and given.architecture and not marked:
        try:
            platform = Platform(os=given.os, architecture=given.architecture, variant=given.variant)
        except ServiceError as error:
            raise _invalid(digest, f"has an image for no platform: {error.message.removesuffix('.')}") from error
    return IndexEntry(descriptor=_to_descriptor(digest, child), platform=platform, nested=nested)


def _to_descriptor(digest: Digest, pointer: _Pointer) -> Descriptor:
    if not is_digest(pointer.digest):
        raise _invalid(digest, f"points to {_shown(pointer.digest)}, which is no digest")
    if not 0 <= pointer.size <= _LARGEST_SIZE:
        raise _invalid(digest, f"gives {pointer.digest} the impossible size {pointer.size}")
    return Descriptor(media_type=media.bare(pointer.media_type), digest=Digest(pointer.digest), size=pointer.size)


def _invalid(digest: Digest, what: str) -> ScanFailure:
    return ScanFailure(Reason.MANIFEST_INVALID, f"The manifest {digest} {what}.")


def _not_an_image(digest: Digest, what: str) -> ScanFailure:
    return ScanFailure(
        Reason.NOT_AN_IMAGE, f"{digest} is {what}, not a container image.", hint="Only images are scanned."
    )


def _shown(text: str) -> str:
    return repr(text[:120])
