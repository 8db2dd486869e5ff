"""Maven's `pom.properties` outside of an archive: what was unpacked runs as well (Maven, "Maven Archiver")."""

from __future__ import annotations

import re

from services.scanner.catalogers.interface import Cataloger, Evidence, FoundPackage, Hints, PackageFormat
from services.scanner.catalogers.java.names import of_properties
from services.scanner.reading.complaints import Complaints

_PLACE = re.compile(r"(?:.*/)?META-INF/maven/[^/]+/[^/]+/pom\.properties", re.DOTALL)
_FOLDER = re.compile(r"(?:.*/)?META-INF/maven", re.DOTALL)


class PomPropertiesCataloger(Cataloger):
    """Reads the record of one package."""

    name = "pom-properties"
    version = 1
    hints = Hints(names=("pom.properties",))
    max_bytes = 1 << 20

    def wants(self, path: str) -> bool:
        """`META-INF/maven/GROUP/ARTIFACT/pom.properties`."""
        return path.endswith("pom.properties") and _PLACE.fullmatch(path) is not None

    def holds(self, path: str) -> bool:
        """`META-INF/maven`."""
        return _FOLDER.fullmatch(path) is not None

    def read(self, path: str, content: bytes) -> Evidence:
        """One package; a record without group and artifact gives a warning in its place."""
        complaints = Complaints(path)
        told = of_properties(content)
        if told is None:
            complaints.broken("The record", "has no group and artifact that could be such")
            return Evidence(path=path, cataloger=self.name, warnings=complaints.warnings())
        name = f"{told.group}:{told.artifact}"
        package = FoundPackage(format=PackageFormat.MAVEN, name=name, version=told.version)
        return Evidence(path=path, cataloger=self.name, packages=(package,))
