"""Eggs that are archives (setuptools, "The Internal Structure of Python Eggs"): one package, described inside."""

from __future__ import annotations

from typing import Final

from services.scanner.catalogers.interface import Cataloger, Evidence, Hints
from services.scanner.catalogers.python.metadata import package_of
from services.scanner.reading.complaints import Complaints
from services.scanner.reading.zips import Budget, Zip, ZipBroken

_METADATA: Final = b"EGG-INFO/PKG-INFO"
_MAX_METADATA: Final = 16 << 20
_MAX_ENTRIES: Final = 200_000


class EggCataloger(Cataloger):
    """Reads the description inside; an egg that is a folder is read by the file in it."""

    name = "egg"
    version = 2
    hints = Hints(ends=("egg",))
    max_bytes = 128 << 20

    def wants(self, path: str) -> bool:
        """`*.egg`."""
        return path.endswith(".egg")

    def read(self, path: str, content: bytes) -> Evidence:
        """One package."""
        complaints = Complaints(path)
        metadata = _metadata(content, complaints)
        package = package_of(metadata, complaints) if metadata else None
        return Evidence(
            path=path,
            cataloger=self.name,
            packages=() if package is None else (package,),
            warnings=complaints.warnings(),
        )


def _metadata(content: bytes, complaints: Complaints) -> bytes:
    budget = Budget(entries=_MAX_ENTRIES, bytes_=_MAX_METADATA)
    try:
        archive = Zip(memoryview(content))
        for entry in archive.entries(budget):
            if entry.name == _METADATA:
                return bytes(archive.read(entry, _MAX_METADATA, budget))
    except ZipBroken as error:
        complaints.broken("The archive", str(error))
    else:
        complaints.broken("The archive", "has no description")
    return b""
