"""Programs that behave as Trivy does, or worse; the folder of its databases; and its reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from tests.builders.advisories import Json

WELL = 'cat >"$out" <<END\n{report}\nEND'
_SCRIPT = """\
#!/bin/sh
if [ "$1" = --version ]; then echo "Version: {version}"; exit 0; fi
arguments="$*"
while [ $# -gt 0 ]; do
    case "$1" in
        --output) out=$2 ;;
        --input) input=$2 ;;
        --cache-dir) cache=$2 ;;
    esac
    shift
done
{body}
"""


def fake_trivy(folder: Path, body: str, *, version: str = "0.72.0") -> Path:
    """Writes a program that tells its version, and otherwise does what the shell script `body` says.

    The script has `out`, `input`, `cache` and `arguments`.
    """
    program = folder / "trivy"
    program.write_text(_SCRIPT.format(version=version, body=body))
    program.chmod(0o755)
    return program


def well(report: Json) -> str:
    """The script of a Trivy that writes this report."""
    return WELL.format(report=json.dumps(report))


def _meta(page: str, transaction: str, checksum: str) -> bytes:
    return bytes.fromhex(
        f"{page}0000000000000004000000000000"
        "00edda0ced02000000001000000000000003000000000000000000000000000000020000000000000004000000000000"
        f"00{transaction}00000000000000{checksum}"
    )


EMPTY_DATABASE = (
    _meta("00", "00", "eefd8946116e5107").ljust(4096, b"\0")
    + _meta("01", "01", "0f4879511a354c26").ljust(4096, b"\0")
    + bytes(2 * 4096)
)
"""A bbolt file of four pages: two heads, a list of free pages and a root without entries."""


def databases(folder: Path, updated_at: str, *, java: bool = False, ours: Json | None = None) -> Path:
    """Makes a folder as `trivy --cache-dir` has it; the files hold no advisories."""
    write_database(folder / "db", "trivy.db", updated_at)
    if ours is not None:
        (folder / "db" / "drydock.json").write_text(json.dumps(ours))
    if java:
        write_database(folder / "java-db", "trivy-java.db", updated_at, version=1)
    return folder


def write_database(folder: Path, name: str, updated_at: str, *, version: int = 2) -> None:
    folder.mkdir(parents=True)
    (folder / name).write_bytes(EMPTY_DATABASE)
    metadata = {"Version": version, "UpdatedAt": updated_at, "NextUpdate": updated_at, "DownloadedAt": updated_at}
    (folder / "metadata.json").write_text(json.dumps(metadata))


def written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def system(*packages: Json, vulnerabilities: tuple[Json, ...] = (), family: str = "debian") -> Json:
    """A result for the packages of a system."""
    return {
        "Target": f"image ({family})",
        "Class": "os-pkgs",
        "Type": family,
        "Packages": list(packages),
        "Vulnerabilities": list(vulnerabilities),
    }


def language(kind: str, *packages: Json, target: str = "Python", vulnerabilities: tuple[Json, ...] = ()) -> Json:
    """A result for the packages of a language."""
    return {
        "Target": target,
        "Class": "lang-pkgs",
        "Type": kind,
        "Packages": list(packages),
        "Vulnerabilities": list(vulnerabilities),
    }


def package(name: str, version: str, *, uid: str = "", purl: str = "", **more: object) -> Json:
    """A package of Trivy's."""
    identifier = {"UID": uid or f"{name}@{version}", "PURL": purl or f"pkg:deb/debian/{name}@{version}"}
    return {"Name": name, "Version": version, "Identifier": identifier, **more}


def vulnerability(identifier: str, of: Mapping[str, object], **more: object) -> Json:
    """A vulnerability of a package of Trivy's."""
    return {
        "VulnerabilityID": identifier,
        "PkgName": of["Name"],
        "PkgIdentifier": of["Identifier"],
        "InstalledVersion": of["Version"],
        **more,
    }


def report(*results: Json, family: str = "debian", release: str = "12.5", **more: object) -> Json:
    """A whole report."""
    system = {"Family": family, "Name": release} if family else None
    return {
        "SchemaVersion": 2,
        "ArtifactType": "container_image",
        "Metadata": {"OS": system} if system else {},
        "Results": list(results),
        **more,
    }
