"""pnpm's lock (github.com/pnpm/spec, "lockfile", versions 5 to 9)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from services.scanner.catalogers.interface import PackageFormat
from services.scanner.catalogers.records import LockCataloger, Record
from services.scanner.reading.documents import Unreadable
from services.scanner.reading.indented import read_indented

_SINCE_6 = re.compile(r"/?(@[^/@]+/[^/@]+|[^/@]+)@([^()]+)(?:\(.*\))?", re.DOTALL)
_BEFORE_6 = re.compile(r"(?:[^/.]*+\.[^/]*+)?/(@[^/]+/[^/]+|[^/@]+)/([^/_()]+)(?:_.*)?", re.DOTALL)
"""With a host in front of it where the package is from another registry than the usual one."""
_WANTED: Final = frozenset({"dependencies", "optionalDependencies"})


class PnpmLockCataloger(LockCataloger):
    """Reads what production needs: marked until version 6, found along the dependencies since."""

    name = "pnpm-lock"
    version = 2
    names = frozenset({"pnpm-lock.yaml"})
    kind = PackageFormat.NPM

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """All packages where nothing tells which ones production needs."""
        lock = _Lock(content)
        if not lock.version:
            raise Unreadable("is not written as pnpm writes it: it has no lockfileVersion")
        needed = lock.needed()
        for key, fields in lock.packages.items():
            record = _record(key, fields)
            if record is None or fields.get("dev") == "true":
                continue
            if needed is None or key in needed:
                yield record


class _Lock:
    def __init__(self, content: bytes) -> None:
        self.version = ""
        self.packages: dict[str, dict[str, str]] = {}
        self._roots: set[str] = set()
        self._needs: dict[str, set[str]] = {}
        for keys, value in read_indented(content):
            match keys:
                case ("lockfileVersion",):
                    self.version = value
                case ("packages", key):
                    self.packages.setdefault(key, {})
                case ("packages", key, field):
                    self.packages.setdefault(key, {})[field] = value
                case ("snapshots", key):
                    self._needs.setdefault(key, set())
                case ("snapshots", key, field, name) if field in _WANTED:
                    self._needs.setdefault(key, set()).add(_key(name, value))
                case ("importers", _, field, name, "version") if field in _WANTED:
                    self._roots.add(_key(name, value))

    def needed(self) -> set[str] | None:
        """Returns the keys of what is needed, without their peers; None where the lock does not tell."""
        if not self._needs:
            return None
        seen: set[str] = set()
        pending = list(self._roots)
        while pending:
            key = pending.pop()
            if key not in seen:
                seen.add(key)
                pending.extend(self._needs.get(key, ()))
        return {key.partition("(")[0] for key in seen}


def _key(name: str, version: str) -> str:
    """A version that has a name is that of another package under this one's name."""
    named = "@" in version.partition("(")[0].lstrip("@") and ":" not in version.partition("(")[0]
    return version if named else f"{name}@{version}"


def _record(key: str, fields: dict[str, str]) -> Record | None:
    """What is from a registry has its version in its key, all else in its fields, if anywhere."""
    match = _SINCE_6.fullmatch(key) or _BEFORE_6.fullmatch(key)
    name = fields.get("name") or (match[1] if match else "")
    version = fields.get("version") or (match[2] if match else "")
    if not name or not version or ":" in version or "/" in version:
        return None
    return Record(name, version)
