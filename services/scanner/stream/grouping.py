"""A report as the stream needs it: findings that are one are put together; what is told of is cut to what fits.

The inventory, most of a report, is not even read. Blocking: call it from a thread.
"""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from services.kernel.model.finding import Finding, Package
from services.scanner.records import StoredReport
from services.scanner.reports import read_judgement
from services.scanner.stream.identity import uid_of
from services.scanner.stream.records import Group, StreamedImage, Told

MAX_PLACES: Final = 20
"""Of one finding, which a file may have by the thousand."""
_MAX_ALIASES: Final = 50
_MAX_NAME: Final = 512
_MAX_PATH: Final = 4096
_MAX_TEXT: Final = 2000
_FINGERPRINT_BYTES: Final = 16


_CONTENT = msgspec.json.Decoder(list[Finding])
_ENCODER = msgspec.json.Encoder()


def read_report(
    stored: StoredReport, image: StreamedImage, platform: str, engine: str
) -> tuple[Told, list[Group]]:
    """Reads a report as it stands; of each uid there is one group, in the order of the uids."""
    report = read_judgement(stored)
    told = Told(
        engine=report.engine, advisories=report.advisories, summary=report.summary, warnings=report.warnings
    )
    return told, list(_grouped(report.findings, image, platform, engine))


def pack_content(findings: Sequence[Finding]) -> bytes:
    """Returns findings as they are kept."""
    return _ENCODER.encode(findings)


def unpack_content(content: bytes) -> Sequence[Finding]:
    """Reads findings that were kept."""
    return _CONTENT.decode(content)


def _grouped(findings: Sequence[Finding], image: StreamedImage, platform: str, engine: str) -> Iterator[Group]:
    by_uid: dict[uuid.UUID, list[Finding]] = {}
    for finding in findings:
        by_uid.setdefault(uid_of(image, platform, engine, finding), []).append(finding)
    for uid, several in sorted(by_uid.items()):
        if len(several) > 1:
            several.sort(key=lambda each: (-each.severity.rank, each.key, each.line))
        fingerprint = hashlib.sha256()
        for each in several:
            fingerprint.update(_ENCODER.encode(each))
        yield Group(
            uid=uid,
            fingerprint=fingerprint.digest()[:_FINGERPRINT_BYTES],
            findings=tuple(several[:MAX_PLACES]),
        )


def bounded(group: Group) -> Group:
    """Cuts what images and advisories chose: for groups that are told, a few of a report's hundreds."""
    return dataclasses.replace(group, findings=tuple(map(_bounded, group.findings)))


def _bounded(finding: Finding) -> Finding:
    """What is longer than anything honest is cut."""
    return msgspec.structs.replace(
        finding,
        id=finding.id[:_MAX_NAME],
        aliases=tuple(alias[:_MAX_NAME] for alias in finding.aliases[:_MAX_ALIASES]),
        title=finding.title[:_MAX_TEXT],
        link=finding.link[:_MAX_TEXT],
        package=_bounded_package(finding.package) if finding.package else None,
        fixed_version=finding.fixed_version[:_MAX_NAME],
        path=finding.path[:_MAX_PATH],
        advice=finding.advice[:_MAX_TEXT],
        match=finding.match[:_MAX_NAME],
    )


def _bounded_package(package: Package) -> Package:
    return msgspec.structs.replace(
        package,
        purl=package.purl[:_MAX_TEXT],
        name=package.name[:_MAX_NAME],
        version=package.version[:_MAX_NAME],
        ecosystem=package.ecosystem[:_MAX_NAME],
        path=package.path[:_MAX_PATH],
        arch=package.arch[:_MAX_NAME],
        module=package.module[:_MAX_NAME],
        owner=package.owner[:_MAX_NAME],
    )
