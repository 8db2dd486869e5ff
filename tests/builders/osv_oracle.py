"""A naive judge of OSV records: the schema's own pseudo-code, line by line ("Evaluation", read 2026-11-26).

Slow, and independent of how Drydock compiles records: it shares the order of versions with it, and nothing else.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from services.kernel.versions import sort_key

Json = Mapping[str, Any]
Key = Callable[[str], Any]

SCHEMES: Mapping[str, str] = {
    "AlmaLinux": "rpm",
    "Alpine": "apk",
    "Bitnami": "semver",
    "Debian": "dpkg",
    "Go": "go",
    "Maven": "maven",
    "NuGet": "nuget",
    "Packagist": "packagist",
    "PyPI": "pep440",
    "RubyGems": "gem",
    "crates.io": "cargo",
    "npm": "npm",
}


def key_of(ecosystem: str) -> Key:
    """The order of an ecosystem's versions."""
    return partial(sort_key, SCHEMES[ecosystem.partition(":")[0]])


def is_vulnerable(affected: Json, version: str, key: Key) -> bool:
    """Tells whether one entry of `affected` says that a version of its package is."""
    return included_in_versions(version, affected.get("versions", []), key) or included_in_ranges(
        version, [each for each in affected.get("ranges", []) if each["type"] != "GIT"], key
    )


def included_in_versions(version: str, versions: Sequence[str], key: Key) -> bool:
    return any(key(version) == key(each) for each in versions)


def included_in_ranges(version: str, ranges: Sequence[Json], key: Key) -> bool:
    v = key(version)
    for each in ranges:
        if not before_limits(v, each, key):
            continue
        vulnerable = False
        for event in sorted(each["events"], key=lambda event: _place(event, key)):
            if "introduced" in event and (event["introduced"] == "0" or v >= key(event["introduced"])):
                vulnerable = True
            if "fixed" in event and v >= key(event["fixed"]):
                vulnerable = False
            if "last_affected" in event and v > key(event["last_affected"]):
                vulnerable = False
        if vulnerable:
            return True
    return False


def before_limits(v: Any, each: Json, key: Key) -> bool:
    limits = [event["limit"] for event in each["events"] if "limit" in event]
    return not limits or any(limit == "*" or v < key(limit) for limit in limits)


def versions_named(affected: Json) -> Iterator[str]:
    """All versions that an entry names: where its verdict turns."""
    yield from affected.get("versions", [])
    for each in affected.get("ranges", []):
        if each["type"] != "GIT":
            for event in each["events"]:
                yield from (version for version in event.values() if version != "*")


def only_informs(record: Json, affected: Json) -> bool:
    """Tells of RustSec's records about upkeep, which are no vulnerabilities."""
    word = (affected.get("database_specific") or {}).get("informational")
    return word in ("unmaintained", "notice") and not any(
        each.startswith("CVE-") for each in record.get("aliases", [])
    )


def _place(event: Json, key: Key) -> tuple[Any, ...]:
    """Sorts by version; `introduced: 0` comes before all. Of one version the order is the record's own."""
    (version,) = event.values()
    return (0,) if event.get("introduced") == "0" else (1, key(version))


def read_zip(path: Path) -> Iterator[Json]:
    """All records of a zip."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            yield msgspec.json.decode(archive.read(name))


def entries(records: Iterable[Json]) -> Iterator[tuple[Json, Json]]:
    """Every entry of `affected` of a known ecosystem, with its record; withdrawn records have none."""
    for record in records:
        if record.get("withdrawn"):
            continue
        for affected in record.get("affected", []):
            package = affected.get("package")
            if package and package["ecosystem"].partition(":")[0] in SCHEMES:
                yield record, affected
