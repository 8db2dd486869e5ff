"""Packages of PHP (getcomposer.org/doc: `composer.lock`; `vendor/composer/installed.json` of Composer 1 and 2)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from services.scanner.catalogers.interface import Hints, PackageFormat
from services.scanner.catalogers.records import MAX_LOCK_BYTES, LockCataloger, Record, RecordCataloger
from services.scanner.reading.documents import Unreadable, read_each, read_json

_PLACE = re.compile(r"(?:.*/)?composer/installed\.json", re.DOTALL)
_FOLDER = re.compile(r"(?:.*/)?vendor/composer", re.DOTALL)


class _Listed(msgspec.Struct):
    packages: list[msgspec.Raw] = []


class _Package(msgspec.Struct):
    name: str
    version: str


class ComposerCataloger(RecordCataloger):
    """Reads what is installed, for development too: it is there."""

    name = "composer"
    version = 1
    kind = PackageFormat.COMPOSER
    hints = Hints(names=("installed.json",))
    max_bytes = MAX_LOCK_BYTES

    def wants(self, path: str) -> bool:
        """In the folder `composer`, whatever the folder above it is called."""
        return _PLACE.fullmatch(path) is not None

    def holds(self, path: str) -> bool:
        """`vendor/composer`."""
        return _FOLDER.fullmatch(path) is not None

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """A list, or since Composer 2 an object with one."""
        if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            return _records(read_json(content, list[msgspec.Raw]))
        return _records(read_json(content, _Listed).packages)


class ComposerLockCataloger(LockCataloger):
    """Reads what is locked for production."""

    name = "composer-lock"
    version = 2
    names = frozenset({"composer.lock"})
    kind = PackageFormat.COMPOSER

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """`packages`; those for development are in a list of their own."""
        return _records(read_json(content, _Listed).packages)


def _records(packages: list[msgspec.Raw]) -> Iterator[Record | Unreadable]:
    for _, entry in read_each({str(place): raw for place, raw in enumerate(packages)}, _Package):
        yield entry if isinstance(entry, Unreadable) else Record(entry.name, entry.version)
