"""Rust's `Cargo.lock`, in all of its versions (The Cargo Book, "Cargo.toml vs Cargo.lock")."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from services.scanner.catalogers.interface import PackageFormat
from services.scanner.catalogers.records import LockCataloger, Record
from services.scanner.reading.documents import Unreadable, read_toml


class _Crate(msgspec.Struct):
    name: str
    version: str


class CargoLockCataloger(LockCataloger):
    """Reads every crate, whatever its source: those of a workspace are listed as it lists them."""

    name = "cargo-lock"
    version = 3
    names = frozenset({"Cargo.lock"})
    kind = PackageFormat.CARGO

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """One package for each table with a name and a version."""
        listed = read_toml(content).get("package", [])
        if not isinstance(listed, list):
            raise Unreadable("has no list of packages")
        for table in listed:
            try:
                crate = msgspec.convert(table, _Crate)
            except msgspec.ValidationError as error:
                yield Unreadable(f"could not be read: {error}")
            else:
                yield Record(crate.name, crate.version)
