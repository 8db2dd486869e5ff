"""Packages of npm that are installed (npm's documentation, "package.json"; "folders")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from services.scanner.catalogers.interface import Hints, PackageFormat
from services.scanner.catalogers.records import Record, RecordCataloger
from services.scanner.reading.documents import read_json

_PACKAGE = re.compile(
    r"(?:.*/)?(?:node_modules|usr/share/nodejs|usr/lib/(?:[^/]+/)?nodejs)/(?:@[^/]+/)?[^/@.][^/]*/package\.json"
    r"|opt/yarn-v[^/]+/package\.json",
    re.DOTALL,
)
"""Where npm and Debian put packages, and where the official images of Node.js put yarn."""
_NAME = re.compile(r"(?:@[^/]+/)?[^/]+$")
"""At the end of a folder's path."""
_FOLDERS: Final = "node_modules/"
_FIXTURE = re.compile(r"node_modules/.*/(?:__)?(?:tests?|fixtures?|examples?|spec)(?:__)?/", re.DOTALL)
"""Below a package, what only its own tests use."""
_FOLDER = re.compile(r"(?:.*/)?node_modules(?:/(?:@[^/]+/)?[^./@][^/]*|/@[^/]+)?", re.DOTALL)


class _Package(msgspec.Struct):
    name: str = ""
    version: str = ""


class NodeCataloger(RecordCataloger):
    """Reads `package.json` of packages; of a project's own nothing is known to anybody else."""

    name = "node"
    version = 2
    kind = PackageFormat.NPM
    unversioned = True
    hints = Hints(names=("package.json",))
    max_bytes = 16 << 20

    def wants(self, path: str) -> bool:
        """Outside of `node_modules` any: a link there may lead to it, as with workspaces."""
        return self.counts(path) or (path.endswith("/package.json") and _FOLDERS not in path)

    def counts(self, path: str) -> bool:
        """The one of a package that is installed, at any depth."""
        if not path.endswith("/package.json") or not _PACKAGE.fullmatch(path):
            return False
        first = path.find(_FOLDERS)  # from there on the others are seen, too
        return first < 0 or not _FIXTURE.match(path, first)

    def holds(self, path: str) -> bool:
        """`node_modules`, and a package's folder in there."""
        return _FOLDER.fullmatch(path) is not None

    def records(self, path: str, content: bytes) -> Iterator[Record]:
        """One package, which its folder names where it does not. Without a version it came from no registry."""
        told = read_json(content, _Package)
        folder = _NAME.search(path.removesuffix("/package.json"))
        yield Record(told.name or (folder[0] if folder else ""), told.version)
