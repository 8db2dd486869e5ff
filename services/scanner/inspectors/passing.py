"""Passing: a file that is too large to be held is looked at in windows on its way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from services.kernel.model.finding import FindingKind
from services.scanner.inspectors.interface import Sighting
from services.scanner.reading.archives import HEAD_BYTES, is_archive

if TYPE_CHECKING:  # it makes us
    from services.scanner.inspectors.content import ContentInspector


class Passing:
    """A large file on its way: gives on its pieces, and looks at them in windows that overlap."""

    def __init__(
        self, inspector: ContentInspector, path: str, pieces: Iterator[memoryview], size: int, *, sparse: bool
    ) -> None:
        """Has nothing taken yet."""
        self._inspector = inspector
        self._path = path
        self._pieces = pieces
        self._window = bytearray()
        self._line = 0
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if inspector.hashes.wants_md5(size) else None
        self._archive: bool | None = None
        self._found: list[Sighting] = []
        self._sparse = sparse
        self._asking = inspector.opinion.ask(path, size, sparse=sparse) if inspector.opinion is not None else None

    def __iter__(self) -> Iterator[memoryview]:
        """Yields the pieces that nobody took so far."""
        limits = self._inspector.limits
        for piece in self._pieces:
            if self._archive is None:
                self._archive = is_archive(bytes(piece[:HEAD_BYTES]))
            self._size += len(piece)
            self._sha256.update(piece)
            if self._md5 is not None:
                self._md5.update(piece)
            if self._asking is not None:
                self._asking.take(piece)
            self._window += piece
            if len(self._window) >= limits.window_bytes:
                self._look()
                gone = len(self._window) - limits.overlap_bytes
                self._line += self._window.count(b"\n", 0, gone)
                del self._window[:gone]
            yield piece

    def finish(self) -> Iterator[Sighting]:
        """Takes what is left, and yields what the file as a whole tells."""
        for _ in self:
            pass
        self._look()
        self._inspector.skip_whole(self._path, archive=bool(self._archive), sparse=self._sparse)
        if self._asking is not None and (known_as := self._asking.finish()):
            self._found += self._inspector.known(self._path, known_as)
        digest, md5 = self._hashes()
        if digest and (known_as := self._inspector.hashes.known(self._size, digest, md5)):
            self._found += self._inspector.known(self._path, known_as)
        known: set[tuple[str, str]] = set()
        for each in self._found:
            if (each.rule.id, each.match) not in known:
                known.add((each.rule.id, each.match))
                malicious = each.rule.kind is FindingKind.MALICIOUS_SAMPLE
                yield msgspec.structs.replace(each, sha256=digest, md5=md5) if malicious else each

    def _hashes(self) -> tuple[str, str]:
        """Returns SHA-256 and MD5, if that is wanted; neither of a sparse file, whose content is another."""
        if self._sparse:
            return "", ""
        return self._sha256.hexdigest(), self._md5.hexdigest() if self._md5 is not None else ""

    def _look(self) -> None:
        for each in self._inspector.look(self._path, bytes(self._window)):
            line = each.line + self._line if each.line else 0
            self._found.append(msgspec.structs.replace(each, line=line))
