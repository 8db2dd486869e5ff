"""Packages of npm that are installed (npm's documentation, "package.json"; "folders")."""

from __future__ import annotations

import re

import msgspec

from services.scanner.catalogers.interface import Cataloger, Evidence, Hints, PackageFormat
from services.scanner.catalogers.records import Record, packages_of
from services.scanner.reading.complaints import Complaints
from services.scanner.reading.documents import Unreadable, read_json

_PACKAGE = re.compile(
    r"(?:.*/)?(?:node_modules|usr/share/nodejs|usr/lib/(?:[^/]+/)?nodejs)/(?:@[^/]+/)?[^/@.][^/]*/package\.json"
    r"|opt/yarn-v[^/]+/package\.json",
    re.DOTALL,
)
"""Where npm and Debian put packages, and where the official images of Node.js put yarn."""
_NAME = re.compile(r"(?:@[^/]+/)?[^/]+$")
"""At the end of a folder's path."""
_FIXTURE = re.compile(r"node_modules/.*/(?:__)?(?:tests?|fixtures?|examples?|spec)(?:__)?/", re.DOTALL)
"""Below a package, what only its own tests use."""
_FOLDER = re.compile(r"(?:.*/)?node_modules(?:/(?:@[^/]+/)?[^./@][^/]*|/@[^/]+)?", re.DOTALL)


class _Package(msgspec.Struct):
    name: str = ""
    version: str = ""


class NodeCataloger(Cataloger):
    """Reads `package.json` of packages; of a project's own nothing is known to anybody else."""

    name = "node"
    version = 1
    hints = Hints(names=("package.json",))
    max_bytes = 16 << 20

    def wants(self, path: str) -> bool:
        """Outside of `node_modules` any: a link there may lead to it, as with workspaces."""
        return self.counts(path) or (path.endswith("/package.json") and "node_modules/" not in path)

    def counts(self, path: str) -> bool:
        """The one of a package that is installed, at any depth."""
        return path.endswith("/package.json") and bool(_PACKAGE.fullmatch(path)) and not _FIXTURE.search(path)

    def holds(self, path: str) -> bool:
        """`node_modules`, and a package's folder in there."""
        return _FOLDER.fullmatch(path) is not None

    def read(self, path: str, content: bytes) -> Evidence:
        """One package, which its folder names where it does not; what has no version was never published."""
        complaints = Complaints(path)
        try:
            told = read_json(content, _Package)
        except Unreadable as error:
            complaints.broken("The document", error.why)
            return Evidence(path=path, cataloger=self.name, warnings=complaints.warnings())
        folder = _NAME.search(path.removesuffix("/package.json"))
        name = told.name or (folder[0] if folder else "")
        records = (Record(name, told.version),) if told.version else ()
        packages = packages_of(records, PackageFormat.NPM, complaints)
        return Evidence(path=path, cataloger=self.name, packages=packages, warnings=complaints.warnings())
