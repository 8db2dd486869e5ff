"""Packages of NuGet.

Sources: github.com/dotnet/sdk, "runtime-configuration-file.md" (`*.deps.json`); learn.microsoft.com/nuget,
"Package references in project files" (`packages.lock.json`) and "packages.config reference".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from services.scanner.catalogers.interface import Hints, PackageFormat
from services.scanner.catalogers.records import MAX_LOCK_BYTES, LockCataloger, Record, RecordCataloger
from services.scanner.reading.complaints import to_text
from services.scanner.reading.documents import Unreadable, read_each, read_json

_ASSETS: Final = ("runtime", "native", "runtimeTargets", "resources")
_ELEMENT = re.compile(rb"<package\s([^<>]*)>")
_ATTRIBUTE = re.compile(rb"""\b(id|version|developmentDependency)\s*=\s*["']([^"'<>]*)["']""")


class _Library(msgspec.Struct):
    type: str = ""


class _Deps(msgspec.Struct):
    libraries: dict[str, msgspec.Raw]
    targets: dict[str, msgspec.Raw] = {}


class _Locked(msgspec.Struct):
    type: str = ""
    resolved: str = ""


class _Lock(msgspec.Struct):
    dependencies: dict[str, msgspec.Raw] = {}


class DotnetCataloger(RecordCataloger):
    """Reads what a published program has beside it."""

    name = "dotnet"
    version = 1
    kind = PackageFormat.NUGET
    hints = Hints(ends=("json",))
    max_bytes = MAX_LOCK_BYTES

    def wants(self, path: str) -> bool:
        """`*.deps.json`."""
        return path.endswith(".deps.json") and not path.endswith("/.deps.json")

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """Packages with files to run: of the others the framework brings what there is."""
        return _libraries(content)


class NugetLockCataloger(LockCataloger):
    """Reads NuGet's lock, and the older list, which pins as well."""

    name = "nuget-lock"
    version = 2
    names = frozenset({"packages.lock.json", "packages.config"})
    kind = PackageFormat.NUGET

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """Packages for any framework; projects are the program's own."""
        if path.endswith("packages.config"):
            yield from _configured(content)
            return
        for _, entries in read_each(read_json(content, _Lock).dependencies, dict[str, msgspec.Raw]):
            if isinstance(entries, Unreadable):
                yield entries
                continue
            for package, entry in read_each(entries, _Locked):
                if isinstance(entry, Unreadable):
                    yield entry
                elif entry.type != "Project":
                    yield Record(package, entry.resolved)


def _libraries(content: bytes) -> Iterator[Record | Unreadable]:
    deps = read_json(content, _Deps)
    used, unused = set[str](), set[str]()
    for _, target in read_each(deps.targets, dict[str, msgspec.Raw]):
        for key, entry in read_each({} if isinstance(target, Unreadable) else target, dict[str, msgspec.Raw]):
            empty = not isinstance(entry, Unreadable) and not _has_assets(entry)
            (unused if empty else used).add(key)
    for key, library in read_each(deps.libraries, _Library):
        if isinstance(library, Unreadable):
            yield library
        elif library.type == "package" and (key in used or key not in unused):
            name, _, version = key.partition("/")
            yield Record(name, version)


def _has_assets(entry: Mapping[str, msgspec.Raw]) -> bool:
    """Tells whether a target takes any file from a package; `_._` stands for none."""
    for kind in _ASSETS:
        raw = bytes(entry.get(kind, b""))
        if raw and raw.strip() not in (b"{}", b"null") and raw.count(b'"') > 2 * raw.count(b"_._"):
            return True
    return False


def _configured(content: bytes) -> Iterator[Record | Unreadable]:
    for element in _ELEMENT.findall(content):
        told = {key: to_text(value) for key, value in _ATTRIBUTE.findall(element)}
        if told.get(b"developmentDependency", "").lower() != "true":
            yield Record(told.get(b"id", ""), told.get(b"version", ""))
