"""Packages of conda that are installed (docs.conda.io, "Package metadata", `conda-meta`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from services.scanner.catalogers.interface import Hints, PackageFormat
from services.scanner.catalogers.records import Record, RecordCataloger
from services.scanner.reading.documents import read_json

_RECORD = re.compile(r"(?:.*/)?conda-meta/[^/]+\.json", re.DOTALL)
_FOLDER = re.compile(r"(?:.*/)?conda-meta", re.DOTALL)


class _Package(msgspec.Struct):
    name: str
    version: str


class CondaCataloger(RecordCataloger):
    """Reads the record of one package. OSV knows none of conda's own names, so they are listed and not judged."""

    name = "conda"
    version = 1
    kind = PackageFormat.CONDA
    hints = Hints(ends=("json",))
    max_bytes = 64 << 20

    def wants(self, path: str) -> bool:
        """Every record of an environment, wherever that lies."""
        return path.endswith(".json") and _RECORD.fullmatch(path) is not None

    def holds(self, path: str) -> bool:
        """The folder of an environment's records."""
        return _FOLDER.fullmatch(path) is not None

    def records(self, path: str, content: bytes) -> Iterator[Record]:
        """One package."""
        told = read_json(content, _Package)
        yield Record(told.name, told.version)
