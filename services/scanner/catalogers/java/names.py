"""What a Java archive is called: the coordinates in its Maven files, in its manifest, and in its file's name.

Sources: Maven, "Maven Archiver" (`pom.properties`); JAR File Specification, "JAR Manifest"; OSGi Core, "Bundle
Manifest Headers"; the order of preference is that of Syft and Trivy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from xml.parsers import expat

from services.scanner.catalogers.java.groups import group_of
from services.scanner.reading.complaints import is_word, to_text

_NAME = re.compile(
    r"(?P<artifact>[A-Za-z][\w.]*(?:-[A-Za-z][\w.]*)*?)(?:[-_.](?P<version>\d[\w.+-]*|r\d[\w.+-]*))?"
)
_PLAIN = re.compile(r"[\w.+-]+")
"""What a name has at all: of any other one `_NAME` would try every place to split it."""
_SECOND_VERSION = re.compile(r"(.+?)[._](\d+(?:\.\w+)+)")
_MAX_FILE: Final = 255
"""Characters of a file's name that Linux allows."""
"""As bundles have it."""
_PROPERTY = re.compile(rb"^[ \t]*(groupId|artifactId|version)[ \t]*[=:][ \t]*([^\r\n]*)", re.MULTILINE)
_DOMAIN = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_-]+)+")
_MAX_DEPTH: Final = 64
_TOLD: Final = {
    ("project", "groupId"): "groupId",
    ("project", "artifactId"): "artifactId",
    ("project", "version"): "version",
    ("project", "parent", "groupId"): "parent.groupId",
    ("project", "parent", "version"): "parent.version",
}
_JAVA: Final = "Java Platform API Specification"


class Coordinates(NamedTuple):
    """A package of Maven; what is not known is empty."""

    group: str
    artifact: str
    version: str
    sure: bool = True
    """Whether the group is written down somewhere, and not put together."""


def of_properties(content: bytes) -> Coordinates | None:
    """Reads a `pom.properties`; None if it has no group and artifact that could be such."""
    told = {key.decode(): to_text(value) for key, value in reversed(_PROPERTY.findall(content))}
    return _checked(told.get("groupId", ""), told.get("artifactId", ""), told.get("version", ""))


def of_pom(content: bytes) -> Coordinates | None:
    """Reads a `pom.xml`, which its parent may complete; None if it has no coordinates that could be such."""
    told = _elements(content)
    group = told.get("groupId") or told.get("parent.groupId", "")
    version = told.get("version") or told.get("parent.version", "")
    return _checked(group, told.get("artifactId", ""), version)


def manifest_of(content: bytes) -> Mapping[str, str]:
    """Reads a manifest's main section; of fields that the others have too, the first ones."""
    fields: dict[str, str] = {}
    # A line that begins with a space goes on where the one before it ended.
    for line in re.sub(rb"\r?\n ", b"", content).splitlines():
        key, colon, value = line.partition(b":")
        if colon and not value.strip().startswith(b"%"):
            fields.setdefault(to_text(key), to_text(value))
    return fields


def of_manifest(file: str, manifest: Mapping[str, str]) -> Coordinates | None:
    """Puts coordinates together from a manifest and the name of the archive's file; None without any name.

    The name of the file is what people give the artifact, where it is not a bundle that says so.
    """
    stem, _, end = file.rpartition(".")
    stem = stem[:_MAX_FILE]
    match = _NAME.fullmatch(stem) if _PLAIN.fullmatch(stem) else None
    artifact, version = (match["artifact"], match["version"] or "") if match else (stem, "")
    if not version and (second := _SECOND_VERSION.fullmatch(artifact)):
        artifact, version = second[1], second[2]
    if end.lower() in ("hpi", "jpi"):
        artifact = manifest.get("Short-Name") or manifest.get("Extension-Name") or artifact
        version = manifest.get("Plugin-Version", version).partition(" ")[0]
    for field in ("Implementation-Version", "Specification-Version", "Bundle-Version"):
        version = version or manifest.get(field, "")
    symbol = manifest.get("Bundle-SymbolicName", "").partition(";")[0].strip()
    group, known, sure = _group(artifact, version, symbol, manifest)
    artifact = known or artifact
    if not is_word(artifact):
        return None
    return Coordinates(group if is_word(group) else "", artifact, version if is_word(version) else "", sure)


def is_of_java(manifest: Mapping[str, str]) -> bool:
    """Tells whether an archive is a part of Java itself, which Maven does not have."""
    return manifest.get("Specification-Title") == _JAVA


def _group(artifact: str, version: str, symbol: str, manifest: Mapping[str, str]) -> tuple[str, str, bool]:
    """Returns a group, the artifact's name where it has another one there, and whether that is sure."""
    group, name = group_of(artifact, version)
    if group:
        return group, name, True
    if group := manifest.get("Group-Id", ""):
        return group, "", True
    # Bundles are named after group and artifact; who has no hyphen in the name may have it in the group already.
    if "-" in artifact and symbol.endswith(f".{artifact}"):
        return symbol.removesuffix(f".{artifact}"), "", True
    if _DOMAIN.fullmatch(vendor := manifest.get("Implementation-Vendor-Id", "")):
        return vendor, "", False
    for name in (symbol, manifest.get("Automatic-Module-Name", "")):
        parent, _, last = name.rpartition(".")
        if _DOMAIN.fullmatch(parent) and artifact.endswith(last):
            return parent, "", False
    return "", "", False


def _checked(group: str, artifact: str, version: str) -> Coordinates | None:
    if not _is_name(group) or not _is_name(artifact):
        return None
    return Coordinates(group, artifact, version if _is_name(version) else "")


def _is_name(text: str) -> bool:
    return is_word(text) and "$" not in text and ":" not in text


class _NotRead(Exception):
    pass


def _elements(content: bytes) -> dict[str, str]:
    """Reads what is told of a project by what stands before an error, if there is one; no entity is expanded."""
    told: dict[str, str] = {}
    way: list[str] = []
    text: list[str] = []

    def begin(name: str, _: object) -> None:
        way.append(name.rpartition(":")[2])
        text.clear()
        if len(way) > _MAX_DEPTH:
            raise _NotRead

    def end(_: str) -> None:
        if key := _TOLD.get(tuple(way)):
            told.setdefault(key, "".join(text).strip())
        way.pop()
        text.clear()

    def refuse(*_: object) -> None:
        raise _NotRead

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, _NotRead, ValueError, LookupError):
        return told
    return told
