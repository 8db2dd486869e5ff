"""The facts of an advisory file as lines of JSON, for programs that cannot read the file itself.

The form is told in `docs/advisories-export.md`. `deploy/trivy` makes a database of Trivy's of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from services.kernel.model.severity import Severity
from services.scanner.advisories.database import Database, KnownPackage
from services.scanner.advisories.merge import Vulnerability
from services.scanner.advisories.ranges import Interval, Upper

SCHEMA: Final = "drydock.advisories/1"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line."""

    schema: str = SCHEMA
    version: str
    built_at: str
    """RFC 3339, UTC."""
    sample: bool
    families: dict[str, str | None]
    """The moment of the youngest fact of each family, as in `Debian`; None when nothing tells."""


class Affected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Affected versions without a gap; without an upper bound it never ends. Words as in OSV."""

    introduced: str
    """`0` is before every version."""
    fixed: str = ""
    last_affected: str = ""
    limit: str = ""
    module: str = ""
    """The modules of an rpm distribution that it is of, as `modules.module_of` says; empty for all others."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One vulnerability of one package."""

    ecosystem: str
    package: str
    id: str
    aliases: tuple[str, ...]
    severity: Severity
    score: float | None
    title: str
    ceiling: str
    """No version above it is affected; empty when there is no such bound."""
    affected: tuple[Affected, ...]
    versions: tuple[str, ...]
    """Affected ones that no interval covers."""


def export_lines(database: Database) -> Iterator[bytes]:
    """Gives the lines, each with its newline: first the head, then every vulnerability of every package."""
    meta = database.meta
    encoder = msgspec.json.Encoder()
    head = Head(
        version=meta.version,
        built_at=_written(meta.built_at),
        sample=meta.sample,
        families={name: _written(moment) if moment else None for name, moment in meta.families.items()},
    )
    yield encoder.encode(head) + b"\n"
    for package in database.packages():
        for vulnerability in package.vulnerabilities:
            yield encoder.encode(_line(package, vulnerability)) + b"\n"


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _line(package: KnownPackage, vulnerability: Vulnerability) -> Line:
    sides = vulnerability.sides
    return Line(
        ecosystem=package.ecosystem,
        package=package.name,
        id=vulnerability.id,
        aliases=vulnerability.aliases,
        severity=vulnerability.severity,
        score=vulnerability.score,
        title=vulnerability.title,
        ceiling=vulnerability.ceiling,
        affected=tuple(
            dict.fromkeys(_affected(interval, side.module) for side in sides for interval in side.intervals)
        ),
        versions=tuple(dict.fromkeys(version for side in sides for version in side.versions)),
    )


def _affected(interval: Interval, module: str) -> Affected:
    introduced = interval.lower or "0"
    match interval.kind:
        case Upper.OPEN:
            return Affected(introduced=introduced, module=module)
        case Upper.FIXED:
            return Affected(introduced=introduced, fixed=interval.upper, module=module)
        case Upper.LAST:
            return Affected(introduced=introduced, last_affected=interval.upper, module=module)
        case Upper.LIMIT:
            return Affected(introduced=introduced, limit=interval.upper, module=module)
