"""What the stream works with, as values."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from services.kernel.model.finding import Finding
from services.kernel.model.report import AdvisoriesInfo, EngineInfo, ReportWarning, Summary


class Activity(enum.Enum):
    """What became of a finding."""

    CREATE = 1
    UPDATE = 2
    CLOSE = 3


class Ending(enum.Enum):
    """Why a finding is open no more."""

    NOT_FOUND = "NOT_FOUND"
    """A scan that would have found it did not."""
    IMAGE_DELETED = "IMAGE_DELETED"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StreamedImage:
    """An image: a digest in a repository."""

    instance_id: str
    repo_id: str
    namespace: str
    repository: str
    digest: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StreamClaim:
    """An image of which there is something to tell, and the right to do so."""

    image: StreamedImage
    gone: bool
    """Whether its results went."""
    heard: int
    fence: int
    due_at: datetime
    """Its place in the queue."""
    again: bool = False
    """Whether somebody claimed it before and did not come to its end."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The last scan of a platform by an engine."""

    scan_id: str
    platform: str
    engine: str
    ended_at: datetime
    judged_at: datetime
    """Since when its report says what it says: newer advisories may have been held against it after the scan."""
    bytes: int = 0
    """Of its report, as it is stored; known of what is to be told."""
    verdict: str = ""
    """Identity of what matching says of its packages; empty where nobody can match them again."""
    advisories_at: str = ""
    """When the advisories were imported that it judged by, RFC 3339; known of what was told."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there is of an image, and what was last told of it."""

    claim: StreamClaim
    results: Sequence[Result]
    """The last ones: one of each platform by each engine."""
    told: Mapping[tuple[str, str], Result]
    """By platform and engine."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A report, but for its findings and its inventory."""

    engine: EngineInfo
    advisories: AdvisoriesInfo
    summary: Summary
    warnings: tuple[ReportWarning, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Findings that are one in the stream: the same thing at the same place, however often it was seen there."""

    uid: uuid.UUID
    fingerprint: bytes
    findings: Sequence[Finding]
    """Never empty; the worst first."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was told of a finding that is open, as short as it can be."""

    fingerprint: bytes
    first_seen_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a report says of an image that was not told."""

    said: Told
    changed: Sequence[tuple[Group, Known | None]]
    """In the order of the uids; with None what is new."""
    vanished: Sequence[uuid.UUID]
    """What is open and is not in the report; sorted."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenFinding:
    """A finding as it was last told."""

    uid: uuid.UUID
    platform: str
    engine: str
    findings: Sequence[Finding]
    first_seen_at: datetime
    seen_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An open finding, and where it is."""

    image: StreamedImage
    finding: OpenFinding
