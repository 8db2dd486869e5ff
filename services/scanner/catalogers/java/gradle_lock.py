"""Gradle's `gradle.lockfile` (Gradle User Manual, "Locking Versions", since Gradle 6.8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.scanner.catalogers.interface import PackageFormat
from services.scanner.catalogers.records import LockCataloger, Record
from services.scanner.reading.complaints import is_word, to_text
from services.scanner.reading.documents import Unreadable

_EMPTY: Final = "empty"
"""In place of coordinates: the configurations that lock nothing follow."""


class GradleLockCataloger(LockCataloger):
    """Reads what is locked, whatever the configuration: that of the build itself too."""

    name = "gradle-lock"
    version = 3
    names = frozenset({"gradle.lockfile", "buildscript-gradle.lockfile"})
    kind = PackageFormat.MAVEN

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """Lines are `group:artifact:version=configurations`."""
        for number, raw in enumerate(content.splitlines(), start=1):
            line = to_text(raw)
            told = line.partition("=")[0]
            if not line or line.startswith("#") or told == _EMPTY:
                continue
            parts = told.split(":")
            if len(parts) == 3 and all(map(is_word, parts)):
                group, artifact, version = parts
                yield Record(f"{group}:{artifact}", version)
            else:
                yield Unreadable(f"in line {number} has no coordinates that could be such: {told!r}")
