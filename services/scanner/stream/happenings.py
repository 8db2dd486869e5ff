"""What is to be told of a finding. Pure."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from datetime import datetime

from services.kernel.model.finding import Finding
from services.scanner.stream.identity import event_id_of
from services.scanner.stream.records import (
    Activity,
    Ending,
    Group,
    Known,
    OpenFinding,
    Result,
    StreamClaim,
    StreamedImage,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What is to be told of one finding."""

    image: StreamedImage
    platform: str
    engine: str
    uid: uuid.UUID
    findings: Sequence[Finding]
    """The worst first; never empty."""
    activity: Activity
    ending: Ending | None
    """Of a finding that is over."""
    at: datetime
    """When the scan ended, newer advisories were held against it, or the image went."""
    first_seen_at: datetime
    seen_at: datetime
    event_id: str
    scan_id: str
    """Whose word it is; empty for an image that went."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A finding that is to be told as open: it is new, or not what was told."""

    claim: StreamClaim
    result: Result
    group: Group
    known: Known | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A finding that is to be told as over."""

    claim: StreamClaim
    happening: Happening


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """A finding that happened, as it is kept; of one that is over nothing is."""

    image: StreamedImage
    happening: Happening
    fingerprint: bytes
    content: bytes


def found(image: StreamedImage, result: Result, group: Group, known: Known | None) -> Happening:
    """Says that a scan found something; `known` is what was told of it before."""
    activity = Activity.UPDATE if known else Activity.CREATE
    return Happening(
        image=image,
        platform=result.platform,
        engine=result.engine,
        uid=group.uid,
        findings=group.findings,
        activity=activity,
        ending=None,
        at=result.judged_at,
        first_seen_at=known.first_seen_at if known else result.judged_at,
        seen_at=result.judged_at,
        event_id=event_id_of(group.uid, activity, _cause(result)),
        scan_id=result.scan_id,
    )


def not_found(image: StreamedImage, result: Result, finding: OpenFinding) -> Happening:
    """Says that a scan did not find something any more, and would have."""
    closed = _closed(image, finding, Ending.NOT_FOUND, result.judged_at)
    event_id = event_id_of(finding.uid, Activity.CLOSE, _cause(result))
    return dataclasses.replace(closed, event_id=event_id, scan_id=result.scan_id)


def deleted(image: StreamedImage, finding: OpenFinding, at: datetime) -> Happening:
    """Says that an image went, and what was wrong with it."""
    return _closed(image, finding, Ending.IMAGE_DELETED, at)


def as_open(image: StreamedImage, finding: OpenFinding) -> Happening:
    """Says that something is open, to whoever asks."""
    return dataclasses.replace(
        _closed(image, finding, Ending.IMAGE_DELETED, finding.seen_at),
        activity=Activity.CREATE,
        ending=None,
        event_id=event_id_of(finding.uid, Activity.CREATE, f"open/{finding.seen_at.isoformat()}"),
    )


def _closed(image: StreamedImage, finding: OpenFinding, ending: Ending, at: datetime) -> Happening:
    return Happening(
        image=image,
        platform=finding.platform,
        engine=finding.engine,
        uid=finding.uid,
        findings=finding.findings,
        activity=Activity.CLOSE,
        ending=ending,
        at=at,
        first_seen_at=finding.first_seen_at,
        seen_at=finding.seen_at,
        event_id=event_id_of(finding.uid, Activity.CLOSE, f"deleted/{finding.seen_at.isoformat()}"),
        scan_id="",
    )


def _cause(result: Result) -> str:
    """A scan that was done anew has its id again, and another end; by newer advisories it says something else."""
    return f"{result.scan_id}/{result.judged_at.isoformat()}/{result.verdict}"
