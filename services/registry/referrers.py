"""What is attached to an image: artifacts with it as their subject (distribution-spec 1.1, "Listing Referrers").

Where a registry has no list of its own, an index under a tag made of the subject's digest is the list, kept by
clients ("Referrers Tag Schema"). Two who change it at once may lose one of their entries, not the artifact itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from services.kernel.model import media
from services.kernel.model.digest import Digest, digest_of, is_digest
from services.kernel.reasons import Reason, ScanFailure
from services.registry.ask import digest_if_there
from services.registry.interface import Descriptor, RawManifest
from services.registry.manifest import too_large
from services.registry.push import RegistryPush

EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
EMPTY: Final = b"{}"
"""The configuration of what has none (image-spec, manifest.md, "Guidance for an Empty Descriptor")."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Referrer:
    """One artifact."""

    descriptor: Descriptor
    artifact_type: str
    annotations: Mapping[str, str]


class _Pointer(msgspec.Struct, rename="camel", omit_defaults=True):
    media_type: str
    digest: str
    size: int
    artifact_type: str = ""
    annotations: dict[str, str] | None = None


class _List(msgspec.Struct, rename="camel"):
    manifests: list[_Pointer] | None = None


class _Artifact(msgspec.Struct, rename="camel"):
    artifact_type: str = ""
    annotations: dict[str, str] | None = None
    config: _Pointer | None = None


def artifact(
    subject: Descriptor,
    artifact_type: str,
    blobs: Sequence[Descriptor],
    annotations: Mapping[str, str] | None = None,
) -> RawManifest:
    """Returns the manifest of an artifact that is attached to a subject: for the same arguments the same bytes."""
    document = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": _pointed(Descriptor(media_type=EMPTY_TYPE, digest=digest_of(EMPTY), size=len(EMPTY))),
        "layers": [_pointed(blob) for blob in blobs],
        "subject": _pointed(subject),
    }
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    content = msgspec.json.encode(document)
    return RawManifest(media_type=media.OCI_MANIFEST, digest=digest_of(content), content=content)


def fallback_tag(subject: Digest) -> str:
    """Returns the tag under which what is attached is listed where the registry does not list it."""
    algorithm, _, encoded = subject.partition(":")
    return f"{algorithm[:32]}-{encoded[:64]}"


async def attach(push: RegistryPush, subject: Digest, raw: RawManifest) -> bool:
    """Writes an artifact's manifest, its blobs written before, and sees to it that it is found by its subject.

    Returns True where the registry lists it itself, False where it stands in the list under the fallback tag.
    Doing it twice is doing it once.

    Raises:
        PushRefused; ScanFailure: a registry reason.
    """
    if (await push.put_manifest(raw, raw.digest)).lists_referrers:
        return True
    tag = fallback_tag(subject)
    entries = await _listed(push, tag)
    own = _entry(raw)
    if all(entry.digest != own.digest for entry in entries):
        content = msgspec.json.encode(
            {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [*entries, own]}
        )
        if len(content) > push.source.limits.manifest_bytes:
            raise too_large(f"{push.repository}:{tag}", push.source.limits)
        index = RawManifest(media_type=media.OCI_INDEX, digest=digest_of(content), content=content)
        await push.put_manifest(index, tag)
    return False


async def referrers(push: RegistryPush, subject: Digest, artifact_type: str = "") -> tuple[Referrer, ...]:
    """Lists what is attached to a manifest, of one type where one is named; what it lists may be anybody's.

    Raises:
        ScanFailure: a registry reason.
    """
    content = await push.source.referrers(subject)
    entries = await _listed(push, fallback_tag(subject)) if content is None else _entries(content, subject)
    found = tuple(_referrer(entry) for entry in entries if is_digest(entry.digest) and entry.size >= 0)
    return tuple(each for each in found if artifact_type in ("", each.artifact_type))


async def _listed(push: RegistryPush, tag: str) -> list[_Pointer]:
    if await digest_if_there(push.source, tag) is None:
        return []
    raw = await push.source.manifest(tag)
    return _entries(raw.content, tag)


def _entries(content: bytes, what: str) -> list[_Pointer]:
    try:
        return msgspec.json.decode(content, type=_List).manifests or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"The list of what is attached to {what} is not the JSON of an index."
        raise ScanFailure(Reason.MANIFEST_INVALID, message) from error


def _entry(raw: RawManifest) -> _Pointer:
    told = msgspec.json.decode(raw.content, type=_Artifact)
    return _Pointer(
        media_type=raw.media_type,
        digest=raw.digest,
        size=len(raw.content),
        artifact_type=told.artifact_type or (told.config.media_type if told.config else ""),
        annotations=told.annotations,
    )


def _referrer(entry: _Pointer) -> Referrer:
    descriptor = Descriptor(media_type=entry.media_type, digest=Digest(entry.digest), size=entry.size)
    return Referrer(descriptor=descriptor, artifact_type=entry.artifact_type, annotations=entry.annotations or {})


def _pointed(descriptor: Descriptor) -> dict[str, object]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}
