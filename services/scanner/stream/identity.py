"""Ids of the stream: each follows from what it names, so that a replay changes nothing."""

from __future__ import annotations

import hashlib
import uuid
from typing import Final

import msgspec

from services.kernel.model.finding import Finding
from services.scanner.stream.records import Activity, StreamedImage

_EVENTS: Final = uuid.UUID("8f0f6f3e-5a6a-5a0d-9c55-3f5f0a9a6d21")


def uid_of(image: StreamedImage, platform: str, engine: str, finding: Finding) -> uuid.UUID:
    """Returns the uid of a finding: a UUID of the version 8, of the first half of a SHA-256.

    It is taken over the JSON list, without spaces, of instance, repository (`NAMESPACE/REPO`), digest, platform,
    engine, kind, id, package URL and path; the last two may be empty.
    """
    purl = finding.package.purl if finding.package else ""
    named = (
        image.instance_id,
        f"{image.namespace}/{image.repository}",
        image.digest,
        platform,
        engine,
        finding.kind.value,
        finding.id,
        purl,
        finding.path,
    )
    half = bytearray(hashlib.sha256(msgspec.json.encode(named)).digest()[:16])
    half[6] = half[6] & 0x0F | 0x80  # the version
    half[8] = half[8] & 0x3F | 0x80  # the variant
    return uuid.UUID(bytes=bytes(half))


def event_id_of(uid: uuid.UUID, activity: Activity, cause: str) -> str:
    """Returns the id of the one event that tells what a cause made of a finding."""
    return str(uuid.uuid5(_EVENTS, f"{uid}/{activity.name}/{cause}"))
