"""Rust's `Cargo.lock`, in all of its versions (The Cargo Book, "Cargo.toml vs Cargo.lock")."""

from __future__ import annotations

import tomllib
from typing import Final

import msgspec

from services.scanner.catalogers.interface import Cataloger, Evidence, FoundPackage, Hints, PackageFormat
from services.scanner.catalogers.records import is_published
from services.scanner.reading.complaints import Complaints, is_word, shown

_MAX_CRATES: Final = 100_000


class _Crate(msgspec.Struct):
    name: str = ""
    version: str = ""


class CargoLockCataloger(Cataloger):
    """Reads every crate, whatever its source: those of a workspace are listed as it lists them."""

    name = "cargo-lock"
    version = 2
    hints = Hints(names=("Cargo.lock",))
    max_bytes = 16 << 20

    def wants(self, path: str) -> bool:
        """`Cargo.lock` of a project's own."""
        return path[path.rfind("/") + 1 :] == "Cargo.lock" and not is_published(path)

    def read(self, path: str, content: bytes) -> Evidence:
        """One package for each record with a name and a version."""
        complaints = Complaints(path)
        found: dict[FoundPackage, None] = {}
        for number, record in enumerate(_records(content, complaints), start=1):
            if number > _MAX_CRATES:
                complaints.broken(f"Record {number}", "and what follows is more than is read")
                break
            try:
                crate = msgspec.convert(record, _Crate)
            except msgspec.ValidationError:
                crate = _Crate()
            if is_word(crate.name) and is_word(crate.version):
                package = FoundPackage(format=PackageFormat.CARGO, name=crate.name, version=crate.version)
                found[package] = None
            else:
                label = f"The record of {crate.name}" if crate.name else f"Record {number}"
                complaints.broken(label, f"has no name and version that could be such: {shown(crate.version)!r}")
        return Evidence(
            path=path,
            cataloger=self.name,
            packages=tuple(found),
            warnings=complaints.warnings(),
            pinned=True,
        )


def _records(content: bytes, complaints: Complaints) -> list[object]:
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        complaints.broken("The text", f"is no TOML ({shown(str(error))})")
        return []
    records = document.get("package", [])
    if isinstance(records, list):
        return records
    complaints.broken("The text", "has no list of packages")
    return []
