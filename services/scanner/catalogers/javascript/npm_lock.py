"""npm's locks (npm's documentation, "package-lock.json", lockfile versions 1 to 3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from services.scanner.catalogers.interface import PackageFormat
from services.scanner.catalogers.records import LockCataloger, Record, is_published
from services.scanner.reading.documents import Unreadable, read_each, read_json

_FOLDER: Final = "node_modules/"
_HIDDEN: Final = ".package-lock.json"
_ALIAS: Final = "npm:"
_MAX_DEPTH: Final = 64


class _Lock(msgspec.Struct):
    packages: dict[str, msgspec.Raw] | None = None
    dependencies: dict[str, msgspec.Raw] | None = None


class _Entry(msgspec.Struct):
    version: str = ""
    name: str = ""
    dev: bool = False
    link: bool = False
    dependencies: msgspec.Raw = msgspec.Raw(b"{}")


class NpmLockCataloger(LockCataloger):
    """Reads a project's lock, and the one that npm leaves in `node_modules`."""

    name = "npm-lock"
    version = 2
    names = frozenset({"package-lock.json", "npm-shrinkwrap.json", _HIDDEN})
    kind = PackageFormat.NPM

    def wants(self, path: str) -> bool:
        """The hidden one is right in a project's `node_modules`."""
        if path.endswith(f"{_FOLDER}{_HIDDEN}"):
            return not is_published(path.removesuffix(f"{_FOLDER}{_HIDDEN}"))
        return super().wants(path)

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """Since version 2 all packages are in one list; before, each is below the one that brings it."""
        lock = read_json(content, _Lock)
        if lock.packages is not None:
            return _flat(lock.packages)
        return _nested(lock.dependencies or {}, 0)


def _flat(packages: dict[str, msgspec.Raw]) -> Iterator[Record | Unreadable]:
    """Packages lie in `node_modules`; elsewhere are the project and its workspaces, and links to them."""
    for place, entry in read_each(packages, _Entry):
        if isinstance(entry, Unreadable):
            yield entry
        elif _FOLDER in place and entry.version and not (entry.dev or entry.link):
            yield Record(entry.name or place.rpartition(_FOLDER)[2], entry.version)


def _nested(dependencies: dict[str, msgspec.Raw], depth: int) -> Iterator[Record | Unreadable]:
    if depth > _MAX_DEPTH:
        yield Unreadable(f"is below more than {_MAX_DEPTH} others")
        return
    for key, entry in read_each(dependencies, _Entry):
        if isinstance(entry, Unreadable):
            yield entry
            continue
        name, version = key, entry.version
        if version.startswith(_ALIAS):
            name, _, version = version.removeprefix(_ALIAS).rpartition("@")
        # An address or a folder in its place tells of no version.
        if version and not entry.dev and ":" not in version and "/" not in version:
            yield Record(name, version)
        yield from _below(entry.dependencies, depth + 1)


def _below(raw: msgspec.Raw, depth: int) -> Iterator[Record | Unreadable]:
    try:
        below = read_json(bytes(raw), dict[str, msgspec.Raw])
    except Unreadable as error:
        yield error
        return
    yield from _nested(below, depth)
