"""Ids of the stream: each follows from what it names, so that a replay changes nothing."""

from __future__ import annotations

import hashlib
import uuid
from typing import Final

import msgspec

from services.kernel.model.finding import Finding
from services.scanner.stream.records import Activity, StreamedImage

_ENCODER: Final = msgspec.json.Encoder()
_VERSION_AND_VARIANT: Final = 0x8000_8000_0000_0000_0000
_KEPT: Final = ((1 << 128) - 1) ^ 0xF000_C000_0000_0000_0000
_EVENTS: Final = uuid.UUID("8f0f6f3e-5a6a-5a0d-9c55-3f5f0a9a6d21")


class Uids:
    """Uids of the findings that an engine has of a platform of an image.

    Each is a UUID of the version 8, of the first half of a SHA-256. That is taken over the JSON list, without
    spaces, of instance, repository (`NAMESPACE/REPO`), digest, platform, engine, kind, id, package URL and path;
    the last two may be empty.
    """

    def __init__(self, image: StreamedImage, platform: str, engine: str) -> None:
        """Begins the list, which all of them have in common."""
        named = (image.instance_id, f"{image.namespace}/{image.repository}", image.digest, platform, engine)
        self._begun = hashlib.sha256(_ENCODER.encode(named)[:-1])

    def of(self, name: bytes) -> bytes:
        """Returns the uid of what has this name in the image, as bytes."""
        whole = self._begun.copy()
        whole.update(name)
        half = int.from_bytes(whole.digest()[:16])
        return (half & _KEPT | _VERSION_AND_VARIANT).to_bytes(16)


def name_of(finding: Finding) -> bytes:
    """Returns what tells a finding from the others of its image: the end of the list that its uid is made of."""
    purl = finding.package.purl if finding.package else ""
    return b"," + _ENCODER.encode((finding.kind, finding.id, purl, finding.path))[1:]


def uid_of(image: StreamedImage, platform: str, engine: str, finding: Finding) -> uuid.UUID:
    """Returns the uid of one finding."""
    return uuid.UUID(bytes=Uids(image, platform, engine).of(name_of(finding)))


def event_id_of(uid: uuid.UUID, activity: Activity, cause: str) -> str:
    """Returns the id of the one event that tells what a cause made of a finding."""
    return str(uuid.uuid5(_EVENTS, f"{uid}/{activity.name}/{cause}"))
