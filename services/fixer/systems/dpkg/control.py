"""Stanzas of Debian's control files: fields with their names, in the order in which they stand (deb822(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from services.fixer.failure import FixFailure, FixReason

MAX_STANZAS: Final = 20_000
_BLANK: Final = re.compile(r"\n(?:[ \t\r]*\n)+")
_NAME: Final = re.compile(r"[!-9;-~]+")
_PACKAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_WORD: Final = re.compile(r"[!-~]+")
_ARCHITECTURE: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_SOURCE: Final = re.compile(r"(\S+)(?:\s+\((\S+)\))?")


class Stanza:
    """One record: names are found whatever their case, values are without the line break that ends them."""

    __slots__ = ("_names", "fields")

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        """By name as written; a value of several lines has the others with the blank they begin with."""
        self._names = {name.lower(): name for name in fields}

    def get(self, name: str) -> str:
        """Returns the value of a field, empty where there is none."""
        return self.fields.get(self._names.get(name.lower(), ""), "")

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names


def split_stanzas(text: str) -> Iterator[str]:
    """Yields each record's text, without the blank lines around it.

    Raises:
        ValueError: there are more than MAX_STANZAS.
    """
    number = 0
    for part in _BLANK.split(text):
        if record := part.strip("\n"):
            if not record.strip():
                continue
            number += 1
            if number > MAX_STANZAS:
                raise ValueError(f"there are more than {MAX_STANZAS} records")
            yield record


def parse_stanza(text: str) -> Stanza:
    """Reads one record.

    Raises:
        ValueError: a line belongs to no field, or a field comes twice; says which.
    """
    fields: dict[str, str] = {}
    seen: set[str] = set()
    name = ""
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            if not name:
                raise ValueError("it begins with the middle of a field")
            fields[name] += "\n" + line.rstrip("\r")
            continue
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise ValueError(f"a line is no field: {line[:80]!r}")
        if name.lower() in seen:
            raise ValueError(f"its field {name[:80]!r} comes twice")
        seen.add(name.lower())
        fields[name] = value.strip(" \t\r")
    return Stanza(fields)


def decode(content: bytes) -> str:
    """Returns a control file's text so that its bytes can be had back."""
    return content.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Returns the bytes of what `decode` gave."""
    return text.encode("utf-8", "surrogateescape")


def is_package_name(text: str) -> bool:
    """Tells whether it can be a package's name: then it is a file's name, too, and no more than one."""
    return _PACKAGE.fullmatch(text) is not None and len(text) < 200


def is_architecture(text: str) -> bool:
    """Tells whether it can be an architecture's name."""
    return _ARCHITECTURE.fullmatch(text) is not None and len(text) < 64


def is_version(text: str) -> bool:
    """Tells whether it is one word that can be a version."""
    return _WORD.fullmatch(text) is not None and len(text) < 256


def source_of(stanza: Stanza) -> tuple[str, str]:
    """Returns name and version of the source package that a binary package was built from."""
    match = _SOURCE.fullmatch(stanza.get("Source"))
    if match is None:
        return stanza.get("Package"), stanza.get("Version")
    return match[1], match[2] or stanza.get("Version")


def corrupt(what: str) -> FixFailure:
    """Returns DATABASE_CORRUPT; `what` says what is wrong, beginning with the file."""
    return FixFailure(
        FixReason.DATABASE_CORRUPT,
        f"The image's package database cannot be read: {what}.",
        hint="Build the image anew: what dpkg itself could not go on with is not repaired here.",
    )
