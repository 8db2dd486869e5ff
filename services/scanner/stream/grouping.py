"""A report as the stream needs it: findings that are one are put together; what is told of is cut to what fits.

The inventory, most of a report, is not even read. Blocking: call it from a thread.
"""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from services.kernel.model.finding import Finding, Package
from services.scanner.inventory import Verdict, unpack_verdict
from services.scanner.records import StoredReport
from services.scanner.reports import Judgement, read_judgement
from services.scanner.stream.identity import Uids, name_of
from services.scanner.stream.known import FINGERPRINT_BYTES, KnownFindings
from services.scanner.stream.records import Difference, Group, Result, StreamedImage, Told

MAX_PLACES: Final = 20
"""Of one finding, which a file may have by the thousand."""
_MAX_ALIASES: Final = 50
_MAX_NAME: Final = 512
_MAX_PATH: Final = 4096
_MAX_TEXT: Final = 2000

_VERDICTS: Final = 4
"""That are remembered at once: each may be of thousands of findings."""
_Named: TypeAlias = Mapping[bytes, tuple[bytes, Sequence[Finding]]]
"""Fingerprint and findings, by the name that findings have in an image which are one."""

_CONTENT = msgspec.json.Decoder(list[Finding])
_ENCODER = msgspec.json.Encoder()


class Differences:
    """Holds reports of a batch against what is open.

    What matching says of an inventory is read once for all images that have it: they come one after the other.
    """

    def __init__(self) -> None:
        self._verdicts: dict[bytes, tuple[Verdict, _Named]] = {}

    def of(self, stored: StoredReport, image: StreamedImage, result: Result, written: bytes) -> Difference:
        """Reads a report as it stands, and returns what differs from what is open, as it was `written`."""
        known = KnownFindings(written)
        report, named = self._read(stored)
        uids = Uids(image, result.platform, result.engine)
        changed: list[tuple[bytes, bytes, Sequence[Finding]]] = []
        found: set[bytes] = set()
        for name, (fingerprint, findings) in named.items():
            uid = uids.of(name)
            found.add(uid)
            if not known.says(uid, fingerprint):
                changed.append((uid, fingerprint, findings))
        changed.sort(key=lambda each: each[0])
        return Difference(
            said=Told(
                engine=report.engine,
                advisories=report.advisories,
                summary=report.summary,
                warnings=report.warnings,
            ),
            changed=[(_group(*each), known.get(each[0])) for each in changed],
            vanished=[uuid.UUID(bytes=uid) for uid in sorted(known.without(found))],
        )

    def _read(self, stored: StoredReport) -> tuple[Judgement, _Named]:
        report = read_judgement(stored, self._verdict)
        if stored.later is None or stored.later.content is None:
            return report, _named(report.findings)
        verdict, named = self._verdicts[stored.later.content]
        if report.findings is verdict.findings:
            return report, named
        seen = _named([finding for finding in report.findings if finding.package is None])
        if seen.keys().isdisjoint(named):
            return report, {**named, **seen}
        return report, _named(report.findings)

    def _verdict(self, content: bytes) -> Verdict:
        if content not in self._verdicts:
            if len(self._verdicts) >= _VERDICTS:
                self._verdicts.clear()
            verdict = unpack_verdict(content)
            self._verdicts[content] = verdict, _named(verdict.findings)
        return self._verdicts[content][0]


def pack_content(findings: Sequence[Finding]) -> bytes:
    """Returns findings as they are kept."""
    return _ENCODER.encode(findings)


def unpack_content(content: bytes) -> Sequence[Finding]:
    """Reads findings that were kept."""
    return _CONTENT.decode(content)


def bounded(group: Group) -> Group:
    """Cuts what images and advisories chose: for groups that are told, a few of a report's hundreds."""
    return dataclasses.replace(group, findings=tuple(map(_bounded, group.findings)))


def _named(findings: Sequence[Finding]) -> _Named:
    """Puts together what is one; the worst of several is the first."""
    by_name: dict[bytes, list[Finding]] = {}
    for finding in findings:
        by_name.setdefault(name_of(finding), []).append(finding)
    for several in by_name.values():
        if len(several) > 1:
            several.sort(key=lambda each: (-each.severity.rank, each.key, each.line))
    return {name: (_fingerprint(several), several) for name, several in by_name.items()}


def _fingerprint(findings: Sequence[Finding]) -> bytes:
    content = b"".join(map(_ENCODER.encode, findings))
    return hashlib.sha256(content).digest()[:FINGERPRINT_BYTES]


def _group(uid: bytes, fingerprint: bytes, findings: Sequence[Finding]) -> Group:
    return Group(uid=uuid.UUID(bytes=uid), fingerprint=fingerprint, findings=tuple(findings[:MAX_PLACES]))


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
