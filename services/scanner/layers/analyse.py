"""Analyse: reads a layer once, from first to last byte, and keeps what coalescing needs. Runs in a worker."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from services.kernel.model.report import ReportWarning
from services.kernel.reasons import Reason, ScanFailure
from services.layers.decompress import open_layer
from services.layers.limits import LayerLimits
from services.layers.paths import Meaning, clean, fingerprint, meaning_of, to_text
from services.layers.tar import EntryKind, TarEntry, TarWalker
from services.registry.interface import Descriptor
from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import Cataloger, Evidence, Reads
from services.scanner.inspectors.content import ContentInspector
from services.scanner.inspectors.inspection import CONTENT, Inspection
from services.scanner.inspectors.passing import Passing
from services.scanner.layers.analysis import LayerAnalysis, NodeKind, Remembered, encode_analysis
from services.scanner.layers.wanting import Wanting
from services.scanner.reading.complaints import shown
from services.scanner.reading.executables.marks import HEAD_BYTES, find_marks, is_executable

FILE_TOO_LARGE: Final = "FILE_TOO_LARGE"
FILE_NOT_READ: Final = "FILE_NOT_READ"
TAR_PATH_ESCAPES: Final = "TAR_PATH_ESCAPES"
_NAMES_IN_WARNING: Final = 5
_DIRECTORY_BIT: Final = 1
_NAME_OVERHEAD: Final = 128
"""Bytes that a kept name takes in memory besides its characters."""
_SHALLOW: Final = 32
"""Parts of a name that cost nothing more; hardly a path of an image that people build has as many."""
_PART_BYTES: Final = 16
"""What the square of the others costs: each folder on the way is kept by its whole name."""


def analyse_layer(
    path: str,
    *,
    media_type: str,
    limits: LayerLimits,
    catalogers: Sequence[Cataloger] = CATALOGERS,
    inspection: Inspection | None = None,
    expected: Descriptor | None = None,
) -> bytes:
    """Returns the encoded analysis of the layer file at `path`, stored as the registry had it.

    Without an `inspection` nobody looks into files that no cataloger wants.

    Its digest has been verified before, unless it is `expected` to be that of a descriptor: then what is
    read is held against it. The diffID that comes out is for the caller to compare.

    Raises:
        ScanFailure: DIGEST_MISMATCH before all else; LAYER_CORRUPT, LAYER_TOO_LARGE, LAYER_EXPANDS_TOO_FAR,
            LAYER_TOO_MANY_ENTRIES, LAYER_PATH_TOO_DEEP.
    """
    with open_layer(Path(path), media_type, limits, expected) as reader:
        walker = TarWalker(reader, limits)
        analyser = _Analyser(catalogers, limits, walker, inspection)
        for entry in walker:
            analyser.add(entry)
        return encode_analysis(analyser.finish(reader.diff_id(), reader.size))


class _Analyser:
    def __init__(
        self,
        catalogers: Sequence[Cataloger],
        limits: LayerLimits,
        walker: TarWalker,
        inspection: Inspection | None,
    ) -> None:
        wanting = Wanting(catalogers)
        self._wanting = wanting.of
        self._hides = wanting.hides
        self._by_mark = {cataloger.mark: cataloger for cataloger in catalogers if cataloger.mark is not None}
        self._inspector = ContentInspector(inspection) if inspection is not None else None
        self._limits = limits
        self._shallow = 2 * limits.path_depth
        self._walker = walker
        self._entries = 0
        self._paths = array("Q")
        self._evidence: list[Evidence] = []
        self._evidence_bytes = 0
        self._packages = 0
        self._remembered: list[Remembered] = []
        self._names_bytes = 0
        self._whiteouts: set[str] = set()
        self._opaque: set[str] = set()
        self._escapes: list[str] = []
        self._escaped = 0

    def add(self, entry: TarEntry) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise _too_many(f"more than {self._limits.entries} entries", self._limits.entries)
        path = clean(entry.path)
        if path is None:
            self._escape(entry.path)
            return
        if len(path) > self._shallow:
            self._check_depth(path)
        if path and not (b".wh." in path and self._took_whiteout(path, entry.path)):
            self._add_path(entry, path)

    def finish(self, diff_id: str, size: int) -> LayerAnalysis:
        return LayerAnalysis(
            diff_id=diff_id,
            uncompressed_size=size,
            entries=self._entries,
            evidence=tuple(self._evidence),
            remembered=tuple(self._remembered),
            whiteouts=tuple(sorted(self._whiteouts)),
            opaque=tuple(sorted(self._opaque)),
            paths=self._paths.tobytes(),
            warnings=self._warnings(),
            lacking=self._lacking(),
        )

    def _took_whiteout(self, path: bytes, raw: bytes) -> bool:
        """Tells whether the path was a whiteout or its like, and notes it."""
        named = meaning_of(path)
        if named is None:
            self._escape(raw)
            return True
        if named.meaning is Meaning.NONE:
            return False
        if named.meaning is not Meaning.RESERVED:
            self._pay_for_names(named.path)
            (self._opaque if named.meaning is Meaning.OPAQUE else self._whiteouts).add(to_text(named.path))
        return True

    def _add_path(self, entry: TarEntry, path: bytes) -> None:
        text = to_text(path)
        if not path.isascii():
            path = text.encode()
        kind, _, target, size = entry
        paths = self._paths
        position = len(paths)
        if kind is EntryKind.DIRECTORY:
            paths.append(fingerprint(path) | _DIRECTORY_BIT)
            return
        paths.append(fingerprint(path))
        if kind is EntryKind.FILE or kind is EntryKind.SPARSE_FILE:
            self._add_file(position, text, kind, size)
        elif kind is EntryKind.SYMBOLIC_LINK:
            self._check_depth(target)
            self._add_link(position, text, to_text(target))
        elif kind is EntryKind.HARD_LINK:
            self._add_hard_link(position, text, target)

    def _add_file(self, position: int, path: str, kind: EntryKind, size: int) -> None:
        wanting = self._wanting(path)
        content = self._content_for(wanting, kind, size) if wanting else b""
        passing = None
        if self._inspector is not None and not content and size:
            if kind is EntryKind.FILE and self._inspector.holds_whole(size, self._walker.peek(512)):
                content = self._walker.content()
            else:
                sparse = kind is EntryKind.SPARSE_FILE
                passing = self._inspector.passing(path, self._walker.pieces(), size, sparse=sparse)
        head = content[:HEAD_BYTES] or self._walker.peek(HEAD_BYTES)
        marking: dict[Cataloger, bytes] = {}
        if is_executable(head) or kind is EntryKind.SPARSE_FILE:
            pieces = passing or ((memoryview(content),) if content else self._walker.pieces())
            marking = self._marking(pieces, kind)
        told = self._told(path, content, passing)
        if not wanting and not marking and told is None:
            return
        self._pay_for_names(path)
        first = len(self._evidence)
        for cataloger in wanting:
            self._add_evidence(_evidence(path, kind, size, cataloger, content))
        for cataloger, found in marking.items():
            self._add_evidence(cataloger.read(path, found))
        if told is not None:
            self._add_evidence(told)
        self._remembered.append(
            Remembered(
                position=position,
                kind=NodeKind.FILE,
                path=path,
                wanted=bool(wanting),
                evidence=tuple(range(first, len(self._evidence))),
            )
        )

    def _content_for(self, wanting: Sequence[Cataloger], kind: EntryKind, size: int) -> bytes:
        most = max(cataloger.max_bytes for cataloger in wanting)
        if kind is not EntryKind.FILE or size > most:
            return b""
        self._evidence_bytes += size
        if self._evidence_bytes > self._limits.evidence_bytes:
            limit = self._limits.evidence_bytes
            raise _too_many(f"more than {limit} bytes of package records", limit)
        return self._walker.content()

    def _told(self, path: str, content: bytes, passing: Passing | None) -> Evidence | None:
        """Returns what rules saw in a file; None where they saw nothing, or nobody asked them."""
        if self._inspector is None:
            return None
        seen = self._inspector.file(path, content, self._walker.mode)
        sightings = (*seen, *(passing.finish() if passing is not None else ()))
        warnings = self._inspector.skipped()
        if not sightings and not warnings:
            return None
        return Evidence(path=path, cataloger=CONTENT, sightings=sightings, warnings=warnings)

    def _marking(self, pieces: Iterable[memoryview], kind: EntryKind) -> dict[Cataloger, bytes]:
        """Returns the catalogers whose mark is in an executable, and what it leads to."""
        if not self._by_mark:
            return {}
        follows = {mark: cataloger.follow for mark, cataloger in self._by_mark.items()}
        found = find_marks(pieces, follows, whole=kind is EntryKind.SPARSE_FILE)
        return {self._by_mark[mark]: each for mark, each in found.items()}

    def _add_evidence(self, evidence: Evidence) -> None:
        limits = self._limits
        if len(self._evidence) >= limits.evidence_files:
            raise _too_many(f"more than {limits.evidence_files} files with package records", limits.evidence_files)
        self._packages += len(evidence.packages) + len(evidence.warnings) + len(evidence.owned)
        if self._packages > limits.packages:
            raise _too_many(f"more than {limits.packages} packages", limits.packages)
        self._evidence.append(evidence)

    def _add_link(self, position: int, path: str, target: str) -> None:
        self._pay_for_names(path, target)
        wanted = bool(self._wanting(path)) or self._hides(path)
        self._remembered.append(
            Remembered(position=position, kind=NodeKind.SYMBOLIC_LINK, path=path, target=target, wanted=wanted)
        )

    def _add_hard_link(self, position: int, path: str, written: bytes) -> None:
        cleaned = clean(written)
        if cleaned is None:
            self._escape(written)
            return
        self._check_depth(cleaned)
        target = to_text(cleaned)
        self._pay_for_names(path, target)
        self._remembered.append(
            Remembered(
                position=position,
                kind=NodeKind.HARD_LINK,
                path=path,
                target=target,
                wanted=bool(self._wanting(path)),
            )
        )

    def _check_depth(self, path: bytes) -> None:
        if path.count(b"/") >= self._limits.path_depth:
            limit = self._limits.path_depth
            raise ScanFailure(
                Reason.LAYER_PATH_TOO_DEEP,
                f"The layer has a path of {path.count(b'/') + 1} parts, more than {limit}: "
                f"{shown(to_text(path[:80]))!r} and so on.",
                hint="Raise DRYDOCK_SCANNER_LAYER_PATH_DEPTH if an image needs such paths.",
                metadata={"limit": str(limit)},
            )

    def _pay_for_names(self, *names: str | bytes) -> None:
        self._names_bytes += sum(map(_cost, names))
        if self._names_bytes > self._limits.names_bytes:
            raise _too_many("more records, links and whiteouts than can be kept by name", self._limits.names_bytes)

    def _escape(self, raw: bytes) -> None:
        self._escaped += 1
        if len(self._escapes) < _NAMES_IN_WARNING:
            self._escapes.append(to_text(raw[:200]))

    def _lacking(self) -> bool:
        opinion = self._inspector.opinion if self._inspector is not None else None
        return opinion is not None and opinion.failed

    def _warnings(self) -> tuple[ReportWarning, ...]:
        of_content = tuple(self._inspector.warnings()) if self._inspector is not None else ()
        if not self._escaped:
            return of_content
        names = ", ".join(repr(name) for name in self._escapes)
        more = " and others" if self._escaped > len(self._escapes) else ""
        return (
            ReportWarning(
                code=TAR_PATH_ESCAPES,
                message=f"Left out because they lead out of the image: {self._escaped} names, {names}{more}.",
            ),
            *of_content,
        )


def _cost(name: str | bytes) -> int:
    slashes = name.count("/") if isinstance(name, str) else name.count(b"/")
    return len(name) + _NAME_OVERHEAD + _PART_BYTES * max(0, slashes - _SHALLOW) ** 2


def _evidence(path: str, kind: EntryKind, size: int, cataloger: Cataloger, content: bytes) -> Evidence:
    if cataloger.reads is not Reads.CONTENT:
        return cataloger.read(path, b"")
    if kind is EntryKind.SPARSE_FILE:
        return _unread(path, cataloger, FILE_NOT_READ, "it is stored as a sparse file")
    if size > cataloger.max_bytes:
        why = f"its {size} bytes are more than {cataloger.max_bytes}"
        return _unread(path, cataloger, FILE_TOO_LARGE, why)
    return cataloger.read(path, content)


def _unread(path: str, cataloger: Cataloger, code: str, why: str) -> Evidence:
    warning = ReportWarning(
        code=code, message=f"The {cataloger.name} file {path!r} was not read: {why}.", path=path
    )
    return Evidence(path=path, cataloger=cataloger.name, warnings=(warning,))


def _too_many(what: str, limit: int) -> ScanFailure:
    return ScanFailure(
        Reason.LAYER_TOO_MANY_ENTRIES,
        f"The layer has {what}.",
        hint="Images that people build have far fewer.",
        metadata={"limit": str(limit)},
    )
