"""Installed Python distributions (packaging.python.org, "Core metadata specifications"; setuptools' egg-info)."""

from __future__ import annotations

import re
from typing import Final

from services.scanner.catalogers.interface import Cataloger, Evidence, FoundPackage, Hints, PackageFormat
from services.scanner.reading.complaints import Complaints, is_word, shown, to_text

_ENDS: Final = ("/METADATA", "/PKG-INFO", ".egg-info")
_DIRECTORIES: Final = {"METADATA": "dist-info", "PKG-INFO": "egg-info"}
_FOLDERS: Final = tuple(_DIRECTORIES.values())

_BLANK_LINE = re.compile(rb"\r?\n[ \t]*\r?\n")
_FIELD = re.compile(rb"^(Name|Version):[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)


class PythonCataloger(Cataloger):
    """Reads the metadata of one distribution, wherever it lies: vendored copies are code that runs too."""

    name = "python"
    version = 2
    hints = Hints(names=_DIRECTORIES, ends=("egg-info",))
    max_bytes = 16 << 20

    def wants(self, path: str) -> bool:
        """`*.dist-info/METADATA`, `*.egg-info/PKG-INFO`, `*/EGG-INFO/PKG-INFO`, and `*.egg-info` as a file."""
        if not path.endswith(_ENDS):
            return False
        directory, _, name = path.rpartition("/")
        end = _DIRECTORIES.get(name)
        return name.endswith(".egg-info") if end is None else directory.lower().endswith(end)

    def holds(self, path: str) -> bool:
        """`*.dist-info`, `*.egg-info` and `EGG-INFO`."""
        return path.lower().endswith(_FOLDERS)

    def read(self, path: str, content: bytes) -> Evidence:
        """One package; metadata without a name or a version gives a warning in its place."""
        complaints = Complaints(path)
        package = package_of(content, complaints)
        return Evidence(
            path=path,
            cataloger=self.name,
            packages=() if package is None else (package,),
            warnings=complaints.warnings(),
        )


def package_of(content: bytes, complaints: Complaints) -> FoundPackage | None:
    """Reads the headers of metadata; what has no name or no version is complained of."""
    # The headers end at the first empty line; what follows is the long description, which may say anything.
    headers = _BLANK_LINE.split(content.lstrip(b"\xef\xbb\xbf\r\n"), maxsplit=1)[0]
    fields: dict[bytes, str] = {}
    for key, value in _FIELD.findall(headers):
        fields.setdefault(key.lower(), to_text(value))
    name, version = fields.get(b"name", ""), fields.get(b"version", "")
    if not is_word(name):
        complaints.broken("The metadata", f"has no name that could be one: {shown(name)!r}")
        return None
    if not is_word(version):
        complaints.broken(f"The metadata of {name}", f"has no version that could be one: {shown(version)!r}")
        return None
    return FoundPackage(format=PackageFormat.PYPI, name=name, version=version)
