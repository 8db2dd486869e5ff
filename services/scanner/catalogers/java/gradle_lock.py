"""Gradle's `gradle.lockfile` (Gradle User Manual, "Locking Versions", since Gradle 6.8)."""

from __future__ import annotations

from typing import Final

from services.scanner.catalogers.interface import Cataloger, Evidence, FoundPackage, Hints, PackageFormat
from services.scanner.reading.complaints import Complaints, is_word, shown, to_text

_NAMES: Final = ("gradle.lockfile", "buildscript-gradle.lockfile")
_EMPTY: Final = "empty"
"""In place of coordinates: the configurations that lock nothing follow."""


class GradleLockCataloger(Cataloger):
    """Reads what is locked, whatever the configuration: that of the build itself too."""

    name = "gradle-lock"
    version = 2
    hints = Hints(names=_NAMES)
    max_bytes = 16 << 20

    def wants(self, path: str) -> bool:
        """`gradle.lockfile`, and that of the build itself."""
        return path.rpartition("/")[2] in _NAMES

    def read(self, path: str, content: bytes) -> Evidence:
        """Lines are `group:artifact:version=configurations`."""
        complaints = Complaints(path)
        found: dict[FoundPackage, None] = {}
        for number, raw in enumerate(content.splitlines(), start=1):
            line = to_text(raw)
            told = line.partition("=")[0]
            if not line or line.startswith("#") or told == _EMPTY:
                continue
            parts = told.split(":")
            if len(parts) == 3 and all(map(is_word, parts)):
                group, artifact, version = parts
                name = f"{group}:{artifact}"
                found[FoundPackage(format=PackageFormat.MAVEN, name=name, version=version)] = None
            else:
                complaints.broken(f"Line {number}", f"has no coordinates that could be such: {shown(told)!r}")
        return Evidence(
            path=path,
            cataloger=self.name,
            packages=tuple(found),
            warnings=complaints.warnings(),
            pinned=True,
        )
