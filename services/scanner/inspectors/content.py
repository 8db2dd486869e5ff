"""Content: looks into the files of a layer as they pass, once for secrets, settings and malware together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import yara_x

from services.kernel.model.report import ReportWarning
from services.scanner.inspectors.engine import engine_of
from services.scanner.inspectors.hashes import KnownHashes
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.interface import Cut, RuleFacts, Seen, Sighting
from services.scanner.inspectors.malware import facts_of
from services.scanner.inspectors.modes import UNUSUAL_BITS, inspect_mode
from services.scanner.inspectors.opinion import SecondOpinion
from services.scanner.inspectors.passing import Passing
from services.scanner.inspectors.text import NAMESPACE
from services.scanner.reading.archives import HEAD_BYTES, Bounds, Member, Opened, is_archive
from services.scanner.reading.complaints import shown

CONTENT_NOT_READ: Final = "CONTENT_NOT_READ"
TOO_MANY_FINDINGS: Final = "TOO_MANY_FINDINGS"
_MANUALS: Final = ("usr/share/doc/", "usr/share/info/", "usr/share/man/")
"""Where packages keep what people read: compressed, it is half of the text of an image, and nothing runs it."""
_MAX_SKIPPED: Final = 3
"""Parts of one archive that were not looked at and are named."""


class ContentInspector:
    """Looks into the files of one layer."""

    def __init__(self, inspection: Inspection) -> None:
        self.limits = inspection.limits
        self._engine = engine_of(inspection)
        self._unpacked = inspection.limits.layer_unpacked_bytes
        self.opinion = SecondOpinion(inspection.clamd) if inspection.clamd is not None else None
        self._counts: Counter[str] = Counter()
        self._skipped: list[ReportWarning] = []

    def holds_whole(self, size: int, head: bytes) -> bool:
        """Tells whether a file is to be given to `file` as one; else it goes through `passing`."""
        return size <= self.limits.window_bytes or (size <= self.limits.archive_bytes and is_archive(head))

    def file(self, path: str, content: bytes, mode: int) -> list[Sighting]:
        """Returns what a file tells, with what it tells as an archive. Never raises on any bytes."""
        found: list[Sighting] = []
        if mode & UNUSUAL_BITS:
            found += self._told(path, inspect_mode(path, mode))
        if not content:
            return found
        found += self._by_name(path, path, content)
        found += self._scan(path, content)
        if self.opinion is not None and (known := self.opinion.of(path, content)):
            found += self._malicious(path, known, content)
        if is_archive(content[:HEAD_BYTES]) and not path.startswith(_MANUALS):
            found += self._archive(path, content)
        return found

    def passing(self, path: str, pieces: Iterator[memoryview], size: int, *, sparse: bool = False) -> Passing:
        """Returns the pieces of a file that is not held whole; whoever takes them has them looked at.

        A sparse one passes as it is stored: with a map in front, and without its holes.
        """
        return Passing(self, path, pieces, size, sparse=sparse)

    def look(self, path: str, window: bytes) -> Sequence[Sighting]:
        """Returns what a part of a large file tells; who asks knows the hash of the whole."""
        return self._scan(path, window, whole=False)

    def known(self, path: str, facts: RuleFacts) -> Iterator[Sighting]:
        """Returns what a large file is known as; who asks knows the hash of it."""
        return self._malicious(path, facts, b"")

    @property
    def hashes(self) -> KnownHashes:
        """The lists of known bad files."""
        return self._engine.hashes

    def skip_whole(self, path: str, *, archive: bool, sparse: bool) -> None:
        """Notes what asks for a whole file and is not done with one that only passes."""
        limits = self.limits
        for what, most, asks in (
            ("what it holds was not looked at", limits.archive_bytes, archive),
            ("rules about its name did not look at it", limits.window_bytes, bool(self._engine.by_name.of(path))),
            ("no list of known files looked at it", 0, sparse and self.hashes.wants_all),
        ):
            if asks:
                why = "it is stored as a sparse file" if sparse else f"it has more than {most} bytes"
                self._skip(path, f"{what}: {why}")

    def skipped(self) -> tuple[ReportWarning, ...]:
        """Returns, once, what was not looked at since the last call."""
        told, self._skipped = tuple(self._skipped), []
        return told

    def warnings(self) -> Iterator[ReportWarning]:
        """Yields what is to be said of the layer as a whole."""
        if self.opinion is not None:
            yield from self.opinion.warnings()
        for rule, count in sorted(self._counts.items()):
            more = count - self.limits.sightings
            if more > 0:
                message = f"{more} more findings of the rule {rule} are left out: the layer has {count} of them."
                yield ReportWarning(code=TOO_MANY_FINDINGS, message=message)

    def _by_name(self, name: str, path: str, content: bytes) -> list[Sighting]:
        """Returns what rules about files of this name see in the file at this path."""
        checks = self._engine.by_name.of(name)
        return [each for check in checks for each in self._told(path, check(content))] if checks else []

    def _scan(self, path: str, content: bytes, *, whole: bool = True) -> Sequence[Sighting]:
        """Returns what rules about any file see, and of a whole one what it is known as."""
        known = self._engine.hashes.of(content) if whole and self._engine.hashes.wants(len(content)) else None
        seen = self._match(path, content, whole=whole)
        if known is None or any(each.rule.id == known.id for each in seen):
            return seen
        return [*seen, *self._malicious(path, known, content)]

    def _match(self, path: str, content: bytes, *, whole: bool) -> Sequence[Sighting]:
        try:
            matching = self._engine.scan(content)
        except (yara_x.TimeoutError, yara_x.ScanError):
            self._skip(path, f"the rules took longer than {self.limits.scan_seconds} seconds")
            return ()
        if not matching or content in self._engine.own:
            return ()
        return list(self._read(path, content, matching, whole=whole))

    def _read(
        self, path: str, content: bytes, matching: Iterable[yara_x.Rule], *, whole: bool
    ) -> Iterator[Sighting]:
        spared: bool | None = None
        for rule in matching:
            if rule.namespace != NAMESPACE:
                yield from self._malicious(path, facts_of(rule), content if whole else b"")
                continue
            spared = self._engine.text.spares(path) if spared is None else spared
            if not spared:
                places = [(each.offset, each.length) for pattern in rule.patterns for each in pattern.matches]
                yield from self._told(path, self._engine.text.confirm(rule.identifier, path, content, places))

    def _malicious(self, path: str, rule: RuleFacts, content: bytes) -> Iterator[Sighting]:
        if self._counts_in(rule.id):
            hashes = (hashlib.sha256(content), hashlib.md5(content, usedforsecurity=False)) if content else ()
            sha256, md5 = (each.hexdigest() for each in hashes) if hashes else ("", "")
            yield Sighting(rule=rule, path=path, sha256=sha256, md5=md5)

    def _told(self, path: str, several: Iterable[Seen | Cut]) -> Iterator[Sighting]:
        known: set[tuple[str, str]] = set()
        for seen in several:
            if isinstance(seen, Cut):
                self._skip(path, seen.why)
                continue
            if (seen.rule, seen.match) in known:
                continue
            known.add((seen.rule, seen.match))
            if self._counts_in(seen.rule):
                yield Sighting(rule=self._engine.facts[seen.rule], path=path, match=seen.match, line=seen.line)

    def _counts_in(self, rule: str) -> bool:
        self._counts[rule] += 1
        return self._counts[rule] <= self.limits.sightings

    def _archive(self, path: str, content: bytes) -> Iterator[Sighting]:
        limits = self.limits
        bounds = Bounds(
            depth=limits.archive_depth,
            members=limits.archive_members,
            member_bytes=limits.window_bytes,
            total_bytes=min(limits.unpacked_bytes, self._unpacked),
        )
        skipped = 0
        opened = Opened(bounds)
        for item in opened.members(content):
            name = item.name.lstrip("/")
            place = f"{path}!/{name}" if name else f"{path}!"
            if isinstance(item, Member):
                yield from self._by_name(name, place, item.content)
                yield from self._scan(place, item.content)
            elif (skipped := skipped + 1) <= _MAX_SKIPPED:
                self._skip(place, f"it was not looked at: {item.why}")
        self._unpacked -= opened.unpacked
        if skipped > _MAX_SKIPPED:
            self._skip(path, f"{skipped - _MAX_SKIPPED} more of its files were not looked at")

    def _skip(self, path: str, why: str) -> None:
        message = f"Of the content of /{shown(path, 200)}, {why}."
        self._skipped.append(
            ReportWarning(code=CONTENT_NOT_READ, message=message, path=f"/{path.partition('!')[0]}")
        )
