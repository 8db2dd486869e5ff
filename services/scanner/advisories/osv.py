"""Records as sources write them (OSV schema 1.7.x, ossf.github.io/osv-schema, read 2026-11).

Only what decides is read; prose, references and credits are left out, unknown fields are ignored.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True):
    """A point where the verdict turns; one of its fields is set."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class Range(msgspec.Struct, frozen=True):
    """Affected versions between events."""

    type: str = ""
    """`ECOSYSTEM`, `SEMVER` or `GIT`; commits of GIT ranges are no package versions."""
    events: list[Event] | None = None


class Score(msgspec.Struct, frozen=True):
    """A severity as somebody judged it."""

    type: str
    """`CVSS_V2`, `CVSS_V3`, `CVSS_V4`, or a distribution's name for a word of its own."""
    score: str


class PackageName(msgspec.Struct, frozen=True):
    """Which package."""

    ecosystem: str
    name: str
    purl: str | None = None


class Specific(msgspec.Struct, frozen=True):
    """The words that databases add in places of their own; of any shape, as no schema binds them."""

    severity: Any = None
    urgency: Any = None
    ubuntu_priority: Any = None
    informational: Any = None
    """RustSec: why a record is no vulnerability (`unmaintained`, `notice`), or a possible one (`unsound`)."""


class Affected(msgspec.Struct, frozen=True):
    """Which versions of one package."""

    package: PackageName | None = None
    ranges: list[Range] | None = None
    versions: list[str] | None = None
    severity: list[Score] | None = None
    ecosystem_specific: Specific | None = None
    database_specific: Specific | None = None


class Record(msgspec.Struct, frozen=True):
    """One advisory."""

    id: str
    modified: str = ""
    """RFC 3339, UTC."""
    withdrawn: str | None = None
    aliases: list[str] | None = None
    """Ids of the very same thing."""
    upstream: list[str] | None = None
    """Ids that a distribution's advisory answers."""
    related: list[str] | None = None
    """Ids that have to do with it; some distributions name here what others call `upstream`."""
    summary: str | None = None
    severity: list[Score] | None = None
    affected: list[Affected] | None = None
    database_specific: Specific | None = None


_DECODER = msgspec.json.Decoder(Record)


def decode(content: bytes | memoryview) -> Record:
    """Reads one record.

    Raises:
        msgspec.MsgspecError: no JSON, or not of the schema's shape.
    """
    return _DECODER.decode(content)


def moment_of(text: str) -> datetime | None:
    """Reads a `modified`, in UTC where it names no zone; None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
