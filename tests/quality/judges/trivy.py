"""Trivy: the judge of findings, by the very advisories that Drydock has."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.quality.facts import Fact, Said, fact_of
from tests.trivies import trivy_programs

_PATIENCE_SECONDS = 300
OFFLINE = (
    "--skip-db-update",
    "--skip-java-db-update",
    "--offline-scan",
    "--skip-version-check",
    "--disable-telemetry",
    "--quiet",
)
"""Nothing is asked of anybody."""


class TrivyMissing(Exception):
    """Trivy cannot be had here; the text says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trivy:
    """A Trivy that was built from its module, and a cache with our advisories as its database."""

    program: Path
    cache: Path


class _Identifier(msgspec.Struct):
    purl: str = msgspec.field(default="", name="PURL")


class _Vulnerability(msgspec.Struct):
    id: str = msgspec.field(name="VulnerabilityID")
    version: str = msgspec.field(name="InstalledVersion")
    identifier: _Identifier = msgspec.field(name="PkgIdentifier")
    fixed: str = msgspec.field(default="", name="FixedVersion")


class _Result(msgspec.Struct):
    vulnerabilities: list[_Vulnerability] = msgspec.field(default_factory=list, name="Vulnerabilities")


class _Document(msgspec.Struct):
    results: list[_Result] = msgspec.field(default_factory=list, name="Results")


def built() -> Path:
    """Returns the folder with Trivy and the writer of its database; builds them when they are not there.

    Raises:
        TrivyMissing: there is no Go, or no module proxy that answers.
    """
    folder = trivy_programs()
    if folder is None:
        raise TrivyMissing("deploy/trivy/build.sh could not build it")
    return folder


def with_advisories(data: Path, cache: Path) -> Trivy:
    """Writes the advisories of a data directory as a database of Trivy's below `cache`.

    Raises:
        TrivyMissing: see `built`.
    """
    folder = built()
    drydock = Path(sys.executable).with_name("drydock")
    with subprocess.Popen([drydock, "advisories", "export", "--data", data], stdout=subprocess.PIPE) as export:
        subprocess.run(
            [folder / "trivy-advisories", cache],
            stdin=export.stdout,
            check=True,
            timeout=_PATIENCE_SECONDS,
        )
    if export.returncode != 0:
        raise RuntimeError(f"drydock advisories export ended with {export.returncode}")
    _write_empty_java_database(cache / "java-db")
    return Trivy(program=folder / "trivy", cache=cache)


def _write_empty_java_database(folder: Path) -> None:
    """Without one Trivy refuses images that hold jars; with an empty one it asks jars for their names."""
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "trivy-java.db")) as database:
        database.executescript(
            "CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);"
            "CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT);"
        )
    now = datetime.now(UTC).isoformat()
    (folder / "metadata.json").write_text(json.dumps({"Version": 1, "UpdatedAt": now, "DownloadedAt": now}))


def ask(trivy: Trivy, image: str, target: Path, *, locks: bool) -> Said:
    """Has an OCI layout judged; with `locks` a folder, the only place where lock files count."""
    command = [str(trivy.program), "fs" if locks else "image", "--cache-dir", str(trivy.cache), *OFFLINE]
    command += ["--scanners", "vuln", "--format", "json"]
    command += [str(target)] if locks else ["--input", str(target)]
    ran = subprocess.run(command, capture_output=True, timeout=_PATIENCE_SECONDS, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"trivy on {image} ended with {ran.returncode}: {ran.stderr.decode()[-2000:]}")
    document = msgspec.json.decode(ran.stdout, type=_Document)
    findings: set[Fact] = set()
    fixes: dict[Fact, str] = {}
    for each in (found for result in document.results for found in result.vulnerabilities):
        fact = fact_of(image, each.identifier.purl, each.version, each.id)
        findings.add(fact)
        if each.fixed:
            fixes[fact] = each.fixed
    return Said(findings=frozenset(findings), fixes=fixes)
