"""Rust programs that were built with cargo-auditable, which writes down in them what it built them of.

Source: cargo-auditable, PARSING.md, and its JSON schema: the section `.dep-v0`, JSON compressed with zlib.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from services.scanner.catalogers.interface import (
    Cataloger,
    Evidence,
    FoundPackage,
    PackageFormat,
    Reads,
)
from services.scanner.reading.complaints import Complaints, is_word, shown
from services.scanner.reading.executables.interface import Mark, Program

_SECTION: Final = b".dep-v0"
_MAX_SECTION: Final = 8 << 20
_MAX_JSON: Final = 16 << 20


class _Crate(msgspec.Struct):
    name: str
    version: str
    kind: str = "runtime"
    """Or `build`: of what only ran while the program was built nothing is in it."""


class _Audit(msgspec.Struct):
    packages: list[_Crate]


_DECODER = msgspec.json.Decoder(_Audit)


class RustExecutableCataloger(Cataloger):
    """Reads cargo-auditable's list; other Rust programs do not tell what is in them.

    The section's name is looked for: names of sections are not loaded.
    """

    name = "rust-executable"
    version = 2
    reads = Reads.MARK
    mark = Mark(_SECTION + b"\0", loaded=False)

    def wants(self, path: str) -> bool:
        """Any: a program is what it is under every name."""
        return True

    def follow(self, program: Program, at: int) -> bytes | None:
        """Returns the section, compressed as it is, as soon as its place is known."""
        section = program.section(_SECTION)
        if section is None or not 0 < section.size <= _MAX_SECTION:
            return None
        content = program.read(section.start, section.size)
        return content if len(content) == section.size else None

    def read(self, path: str, content: bytes) -> Evidence:
        """The crates that are in the program, its own among them."""
        complaints = Complaints(path)
        audit = _audit(content)
        if audit is None:
            return Evidence(path=path, cataloger=self.name, unread="crates.io")
        found: dict[FoundPackage, None] = {}
        for crate in audit.packages:
            if not is_word(crate.name) or not is_word(crate.version):
                complaints.broken(f"The crate {shown(crate.name)!r}", "has no name and version that could be such")
            elif crate.kind == "runtime":
                found[FoundPackage(format=PackageFormat.CARGO, name=crate.name, version=crate.version)] = None
        return Evidence(path=path, cataloger=self.name, packages=tuple(found), warnings=complaints.warnings())


def _audit(content: bytes) -> _Audit | None:
    """Unpacks and reads a section; None where it is none."""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(content, _MAX_JSON)
        return _DECODER.decode(text) if unpacking.eof else None
    except (zlib.error, msgspec.DecodeError, ValueError):
        return None
