"""OSV records, packages and compiled files for tests."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.kernel.model.finding import Package, SourcePackage
from services.scanner.advisories.compile import Source, compile_sources
from services.scanner.advisories.database import Database

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LAYER = "sha256:" + "a" * 64

Json = dict[str, Any]


def affected(
    ecosystem: str, name: str, *events: Mapping[str, str], versions: Sequence[str] = (), **more: object
) -> Json:
    """One `affected` entry with one range of the given events."""
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    return {
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": ranges,
        "versions": list(versions),
        **more,
    }


def before(fixed: str, introduced: str = "0") -> tuple[Json, Json]:
    """The events of `[introduced, fixed)`."""
    return {"introduced": introduced}, {"fixed": fixed}


def record(identifier: str, *entries: Json, **more: object) -> Json:
    """One record, modified the day before NOW."""
    return {"id": identifier, "modified": "2026-02-28T00:00:00Z", "affected": list(entries), **more}


def cvss(vector: str) -> list[Json]:
    """A `severity` field of one vector."""
    return [{"type": f"CVSS_V{vector[5]}" if vector.startswith("CVSS:") else "CVSS_V2", "score": vector}]


def write_zip(path: Path, records: Sequence[Json]) -> Path:
    """Writes a zip like osv.dev's: a member for each record."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in records:
            archive.writestr(f"{each['id']}.json", json.dumps(each))
    return path


def write_lines(path: Path, records: Sequence[Json]) -> Path:
    """Writes one record a line."""
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def compiled(folder: Path, *records: Json, built_at: datetime | None = NOW) -> Database:
    """Compiles records into a file of its own and opens it; the sample when `built_at` is None."""
    number = len(list(folder.iterdir()))
    source = write_lines(folder / f"records-{number}.ndjson", records)
    output = folder / f"advisories-{number}.mdb"
    compile_sources([Source(path=source, name="test")], output, built_at=built_at)
    return Database(output)


def debian(name: str, version: str, *, source: str = "", source_version: str = "", release: str = "12") -> Package:
    """A Debian package."""
    return Package(
        purl=f"pkg:deb/debian/{name}@{version}",
        name=name,
        version=version,
        ecosystem=f"Debian:{release}",
        path="/var/lib/dpkg/status",
        layer=LAYER,
        source=SourcePackage(name=source or name, version=source_version or version),
    )


def python(name: str, version: str, *, path: str = "") -> Package:
    """A Python package."""
    return Package(
        purl=f"pkg:pypi/{name.lower()}@{version}",
        name=name,
        version=version,
        ecosystem="PyPI",
        path=path or f"/usr/lib/python3/dist-packages/{name}-{version}.dist-info/METADATA",
        layer=LAYER,
    )


def rpm(
    name: str, version: str, *, ecosystem: str, source: str = "", source_version: str = "", module: str = ""
) -> Package:
    """A package of an rpm distribution."""
    return Package(
        purl=f"pkg:rpm/{name}@{version}",
        name=name,
        version=version,
        ecosystem=ecosystem,
        path="/var/lib/rpm/rpmdb.sqlite",
        layer=LAYER,
        source=SourcePackage(name=source or name, version=source_version or version),
        module=module,
    )
