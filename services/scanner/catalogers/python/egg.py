"""Eggs that are archives (setuptools, "The Internal Structure of Python Eggs"): one package, described inside."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Final

from services.scanner.catalogers.interface import Cataloger, Evidence, Hints
from services.scanner.catalogers.python.metadata import package_of
from services.scanner.reading.complaints import Complaints

_METADATA: Final = "EGG-INFO/PKG-INFO"
_MAX_METADATA: Final = 1 << 20
_END = struct.Struct("<4s4H2LH")
"""End of the central directory (APPNOTE.TXT, 4.3.16)."""
_ZIP64: Final = b"PK\x06\x07"
"""Announces a larger directory than this end can tell of."""
_MAX_COMMENT: Final = 0xFFFF
_MAX_DIRECTORY: Final = 8 << 20


class EggCataloger(Cataloger):
    """Reads the description inside; an egg that is a folder is read by the file in it."""

    name = "egg"
    version = 1
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
    if not _is_small(content):
        complaints.broken("The archive", "has no directory, or one that is too large")
        return b""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(_METADATA) as member:
            return member.read(_MAX_METADATA)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError) as error:
        complaints.broken("The archive", f"has no description that can be read: {str(error)[:80]}")
    except (NotImplementedError, RuntimeError, ValueError, struct.error, OverflowError):
        complaints.broken("The archive", "has a description in a form that no egg has")
    return b""


def _is_small(content: bytes) -> bool:
    """The directory is taken into memory whole, in a form that is far larger than its bytes."""
    place = content.rfind(b"PK\x05\x06", max(0, len(content) - _END.size - _MAX_COMMENT))
    if place < 0 or place + _END.size > len(content) or _ZIP64 in content[max(0, place - 20) : place]:
        return False
    return bool(_END.unpack_from(content, place)[5] <= _MAX_DIRECTORY)
