"""`primary.xml`: the packages of a repository, of which those are kept that have the name of one in the image."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final
from urllib.parse import urljoin

from services.fixer.plan.packages import Candidate, Survey
from services.fixer.systems.rpm.parts import expected, is_inside
from services.fixer.systems.rpm.relations import in_index, joined
from services.fixer.systems.rpm.survey import source_of

_MAX_PACKAGE: Final = 4 << 30
_MAX_RELATIONS: Final = 20_000
_MAX_CANDIDATES: Final = 100_000
_MAX_RECORD: Final = 16 << 20
_BEGIN = re.compile(rb"<package[ >]")
_NAME = re.compile(rb"<name>([^<]*)</name>")
_END: Final = b"</package>"
_MODULAR = re.compile(r"\.module[_+]")


def only(chunks: Iterator[bytes], names: Collection[bytes]) -> Iterator[bytes]:
    """Leaves out the packages that nobody asks for, which are nearly all, before their text is read."""
    rest = b""
    for chunk in chunks:
        *blocks, rest = (rest + chunk).split(_END)
        for block in blocks:
            start = _BEGIN.search(block)
            name = _NAME.search(block, start.end()) if start else None
            if start is not None and name is not None and name[1] not in names:
                yield block[: start.start()]
            else:
                yield block + _END
        if len(rest) > _MAX_RECORD:
            raise ValueError("a package with more text than any")
    yield rest


class Primary:
    """Gathers the packages that have the name of one in the image."""

    def __init__(self, base: str, survey: Survey, vouching: Mapping[str, str], modular: Collection[str]) -> None:
        self.found: list[Candidate] = []
        self._base = base
        self._vouching = vouching
        self._modular = modular
        self._wanted = {package.name for package in survey.packages}
        self.names = {name.encode() for name in self._wanted}
        self._architectures = {package.architecture for package in survey.packages} | {"noarch"}
        self._texts: dict[str, str] = {}
        self._version: Mapping[str, str] = {}
        self._sizes: Mapping[str, str] = {}
        self._hash = ""
        self._href = ""
        self._kind = ""
        self._relations: dict[str, list[str]] = {}
        self._files: list[str] = []

    def on_start(self, path: str, attributes: Mapping[str, str]) -> None:
        """Takes an element's attributes."""
        match path:
            case "metadata/package":
                self._texts, self._relations, self._files = {}, {}, []
                self._version, self._sizes = {}, {}
                self._hash = self._href = ""
            case "metadata/package/version":
                self._version = attributes
            case "metadata/package/size":
                self._sizes = attributes
            case "metadata/package/location":
                self._href = "" if "xml:base" in attributes else attributes.get("href", "")
            case _ if path.endswith("/rpm:entry") and self._is_wanted():
                self._entry(path.split("/")[-2].removeprefix("rpm:"), attributes)

    def _entry(self, kind: str, attributes: Mapping[str, str]) -> None:
        get = attributes.get
        relations = self._relations.setdefault(kind, [])
        if len(relations) >= _MAX_RELATIONS:
            raise ValueError("a package with too many dependencies")
        relations.append(
            in_index(get("name", ""), get("flags", ""), get("epoch", ""), get("ver", ""), get("rel", ""))
        )

    def on_text(self, path: str, text: str, attributes: Mapping[str, str]) -> None:
        """Takes an element's text."""
        match path.removeprefix("metadata/package/"):
            case "name" | "arch" | "format/rpm:sourcerpm" as key:
                self._texts[key] = text.strip()
            case "checksum":
                self._hash = f"{attributes.get('type', '')}:{text.strip().lower()}"
            case "format/file" if self._is_wanted() and len(self._files) < _MAX_RELATIONS:
                self._files.append(text.strip())

    def _is_wanted(self) -> bool:
        return self._texts.get("name") in self._wanted and self._texts.get("arch") in self._architectures

    def on_end(self, path: str) -> None:
        """Takes a package when it is told whole.

        Raises:
            ValueError: it has no hash or size that counts.
        """
        if path != "metadata/package" or not self._is_wanted():
            return
        name, architecture = self._texts["name"], self._texts["arch"]
        epoch = self._version.get("epoch", "0")
        plain = f"{self._version.get('ver', '')}-{self._version.get('rel', '')}"
        full = f"{name}-{epoch}:{plain}.{architecture}"
        if not is_inside(self._href) or full in self._modular or _MODULAR.search(plain) or "\n" in full:
            return
        said = expected(self._sizes.get("package", ""), self._hash, _MAX_PACKAGE)
        if len(self.found) >= _MAX_CANDIDATES:
            raise ValueError("more versions than can be")
        version = plain if epoch == "0" else f"{epoch}:{plain}"
        file = self._texts.get("format/rpm:sourcerpm", "")
        source, source_version = source_of(file, {file: int(epoch) if epoch.isdecimal() else 0}, name, version)
        algorithm, _, digest = said.checksum.partition(":")
        fields = {kind: joined(relations) for kind, relations in self._relations.items()}
        self.found.append(
            Candidate(
                name=name,
                version=version,
                architecture=architecture,
                source=source,
                source_version=source_version,
                url=urljoin(self._base, self._href),
                size=said.size,
                sha256=digest if algorithm == "sha256" else "",
                checksum="" if algorithm == "sha256" else said.checksum,
                fields={**fields, "files": joined(self._files), **self._vouching},
            )
        )
