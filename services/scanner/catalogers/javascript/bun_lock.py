"""Bun's lock as text (bun.sh/docs, "Lockfile"): JSON with trailing commas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from services.scanner.catalogers.interface import PackageFormat
from services.scanner.catalogers.records import LockCataloger, Record
from services.scanner.reading.documents import Unreadable, read_each, read_json, read_jsonc


class _Needs(msgspec.Struct):
    name: str = ""
    dependencies: dict[str, msgspec.Raw] = {}
    optional: dict[str, msgspec.Raw] = msgspec.field(name="optionalDependencies", default_factory=dict)
    peers: dict[str, msgspec.Raw] = msgspec.field(name="peerDependencies", default_factory=dict)

    def names(self) -> Iterator[str]:
        yield from (*self.dependencies, *self.optional, *self.peers)


class _Lock(msgspec.Struct):
    workspaces: dict[str, _Needs] = {}
    packages: dict[str, msgspec.Raw] = {}


class _Package(msgspec.Struct):
    told: str
    """Name and version, or where it is from."""
    needs: _Needs


class BunLockCataloger(LockCataloger):
    """Reads what production needs from a registry; of all else the version is an address or a folder."""

    name = "bun-lock"
    version = 2
    names = frozenset({"bun.lock"})
    kind = PackageFormat.NPM
    max_bytes = 8 << 20

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """Each package is a list that begins with its name and its version."""
        lock = read_jsonc(content, _Lock)
        packages: dict[str, _Package] = {}
        for key, entry in read_each(lock.packages, list[msgspec.Raw]):
            try:
                packages[key] = _package(entry)
            except Unreadable as error:
                yield error
        needed = _needed(lock.workspaces, packages)
        for key, package in packages.items():
            if ":" not in package.told and key in needed:
                yield Record(*package.told.rpartition("@")[::2])


def _package(entry: list[msgspec.Raw] | Unreadable) -> _Package:
    if isinstance(entry, Unreadable):
        raise entry
    if not entry:
        raise Unreadable("is an empty list")
    needs = next((raw for raw in map(bytes, entry[1:]) if raw.startswith(b"{")), b"{}")
    return _Package(read_json(bytes(entry[0]), str), read_json(needs, _Needs))


def _needed(workspaces: Mapping[str, _Needs], packages: Mapping[str, _Package]) -> set[str]:
    """Returns the keys of what the workspaces need; a key is a way of names, as in `node_modules`."""
    if not workspaces:
        return set(packages)
    found: set[str] = set()
    pending = [
        ("" if not place else each.name, name) for place, each in workspaces.items() for name in each.names()
    ]
    while pending:
        way, name = pending.pop()
        key = _resolve(way, name, packages)
        if key and key not in found:
            found.add(key)
            pending.extend((key, each) for each in packages[key].needs.names())
    return found


def _resolve(way: str, name: str, packages: Mapping[str, _Package]) -> str:
    """Looks for a package below the one that needs it, then below those above."""
    while way:
        if f"{way}/{name}" in packages:
            return f"{way}/{name}"
        way, _, last = way.rpartition("/")
        if last and way.rpartition("/")[2].startswith("@"):
            way = way.rpartition("/")[0]
    return name if name in packages else ""
