"""Packages of conda that are installed (docs.conda.io, "Package metadata", `conda-meta`)."""

from __future__ import annotations

import re

import msgspec

from services.scanner.catalogers.interface import Cataloger, Evidence, Hints, PackageFormat
from services.scanner.catalogers.records import Record, packages_of
from services.scanner.reading.complaints import Complaints
from services.scanner.reading.documents import Unreadable, read_json

_RECORD = re.compile(r"(?:.*/)?conda-meta/[^/]+\.json", re.DOTALL)
_FOLDER = re.compile(r"(?:.*/)?conda-meta", re.DOTALL)


class _Package(msgspec.Struct):
    name: str
    version: str


class CondaCataloger(Cataloger):
    """Reads the record of one package. OSV knows none of conda's own names, so they are listed and not judged."""

    name = "conda"
    version = 1
    hints = Hints(ends=("json",))
    max_bytes = 64 << 20

    def wants(self, path: str) -> bool:
        """Every record of an environment, wherever that lies."""
        return path.endswith(".json") and _RECORD.fullmatch(path) is not None

    def holds(self, path: str) -> bool:
        """The folder of an environment's records."""
        return _FOLDER.fullmatch(path) is not None

    def read(self, path: str, content: bytes) -> Evidence:
        """One package."""
        complaints = Complaints(path)
        try:
            told = read_json(content, _Package)
        except Unreadable as error:
            complaints.broken("The document", error.why)
            return Evidence(path=path, cataloger=self.name, warnings=complaints.warnings())
        packages = packages_of((Record(told.name, told.version),), PackageFormat.CONDA, complaints)
        return Evidence(path=path, cataloger=self.name, packages=packages, warnings=complaints.warnings())
