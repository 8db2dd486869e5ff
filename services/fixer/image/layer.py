"""Writes the layer that comes on top of an image: entries as they come, whiteouts at the end.

Format: OCI image-spec, layer.md, read 2026-11-26. Runs in a worker process.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image import archive
from services.fixer.image.compressed import CompressedFile
from services.fixer.image.node import Attributes, NodeKind, Tree
from services.kernel.model.digest import Digest

_CHUNK_BYTES: Final = 256 << 10
_WHITEOUT: Final = ".wh."
_WHITEOUT_ATTRIBUTES: Final = Attributes(mode=0o644)
_MADE: Final = Attributes(mode=0o755)
"""Of a parent that the image has not and that nobody wrote."""
_MAX_HOPS: Final = 255


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLayer:
    """A layer that is whole, on disk."""

    path: Path
    digest: Digest
    diff_id: Digest
    size: int
    """As stored."""
    entries: int


@contextlib.contextmanager
def write_layer(path: Path, tree: Tree) -> Iterator[LayerWriter]:
    """Opens a new file for a layer; unless `finish` was called in the block, the file is gone after it.

    Raises:
        FixFailure: DISK_FULL.
    """
    with CompressedFile(path) as file:
        yield LayerWriter(path, file, tree)


class LayerWriter:
    """Meets `image/node.py::Layer`.

    What is taken away comes last, because something may be written there still: what is written stays, whichever
    call came first. Beneath a directory that goes nothing goes on its own. The one thing that may come twice is a
    directory, with the attributes of a later call.
    """

    def __init__(self, path: Path, file: CompressedFile, tree: Tree) -> None:
        self._path = path
        self._file = file
        self._tree = tree
        self._entries = 0
        self._written: dict[str, NodeKind] = {}
        self._targets: dict[str, str] = {}
        self._attributes: dict[str, Attributes] = {}
        self._removed: set[str] = set()
        self._parents: dict[str, str] = {}

    def directory(self, path: str, attributes: Attributes) -> None:
        """Writes a directory; of one that the image has already, only the attributes change."""
        real = self._place(path)
        if self._written.get(real) is NodeKind.DIRECTORY:
            if self._attributes[real] != attributes:
                self._emit_directory(real, attributes)
            return
        self._claim(real, NodeKind.DIRECTORY)
        self._emit_directory(real, attributes)

    def file(self, path: str, attributes: Attributes, content: BinaryIO, size: int) -> None:
        """Writes a file of `size` bytes; replaces what the image has there."""
        real = self._place(path)
        self._claim(real, NodeKind.FILE)
        self._attributes[real] = attributes
        self._emit(archive.header(archive.FLAGS[NodeKind.FILE], real, attributes, size=size))
        left = size
        while left:
            piece = content.read(min(left, _CHUNK_BYTES))
            if not piece:
                raise _invalid(real, f"ends {left:,} bytes before its size of {size:,}")
            self._file.write(piece)
            left -= len(piece)
        self._file.write(bytes(-size % archive.BLOCK))

    def symbolic_link(self, path: str, target: str, attributes: Attributes) -> None:
        """Writes a symbolic link, target as given."""
        if not target or "\0" in target:
            raise _invalid(path, "is a symbolic link to nothing")
        real = self._place(path)
        self._claim(real, NodeKind.SYMBOLIC_LINK)
        self._targets[real] = target
        self._attributes[real] = attributes
        self._emit(archive.header(archive.FLAGS[NodeKind.SYMBOLIC_LINK], real, attributes, target=target))

    def hard_link(self, path: str, target: str) -> None:
        """Writes one more name of a file that this layer has."""
        first = self._place(target)
        kind = self._written.get(first)
        if kind is None or kind is NodeKind.DIRECTORY:
            raise _invalid(path, f"is a hard link to /{target[:200]}, which was not written before it")
        real = self._place(path)
        self._claim(real, kind)
        if kind is NodeKind.SYMBOLIC_LINK:
            self._targets[real] = self._targets[first]
        self._attributes[real] = attributes = self._attributes[first]
        self._emit(archive.header(archive.HARD_LINK, real, attributes, target=first))

    def device(self, path: str, kind: NodeKind, device: tuple[int, int], attributes: Attributes) -> None:
        """Writes a device or a FIFO."""
        real = self._place(path)
        self._claim(real, kind)
        self._attributes[real] = attributes
        self._emit(archive.header(archive.FLAGS[kind], real, attributes, device=device))

    def remove(self, path: str) -> None:
        """Takes away what the image has there; nothing is written where the image has nothing."""
        real = self._real(path)
        if real and self._tree.get(real) is not None:
            self._removed.add(real)

    def finish(self) -> WrittenLayer:
        """Writes the whiteouts and the archive's end; nothing may come after it.

        Raises:
            FixFailure: DISK_FULL.
        """
        for real in sorted(self._removed):
            if real not in self._written and not self._goes_with_a_parent(real):
                above, _, name = real.rpartition("/")
                self._emit_parents(above)
                whiteout = f"{above}/{_WHITEOUT}{name}" if above else f"{_WHITEOUT}{name}"
                self._emit(archive.header(archive.FLAGS[NodeKind.FILE], whiteout, _WHITEOUT_ATTRIBUTES))
        self._file.write(archive.END)
        self._file.finish()
        return WrittenLayer(
            path=self._path,
            digest=self._file.digest(),
            diff_id=self._file.diff_id(),
            size=self._file.size,
            entries=self._entries,
        )

    def _goes_with_a_parent(self, real: str) -> bool:
        while real:
            real = real.rpartition("/")[0]
            if real in self._removed and real not in self._written:
                return True
            if self._written.get(real, NodeKind.DIRECTORY) is not NodeKind.DIRECTORY:
                return True  # what lies over its directory now hides it
        return False

    def _place(self, path: str) -> str:
        """Returns the real path to write at, its parents written.

        Raises:
            FixFailure: PACKAGE_INVALID.
        """
        real = self._real(path)
        if not real or "\0" in real:
            raise _invalid(path, "has a name that no file can have")
        if any(part.startswith(_WHITEOUT) for part in real.split("/")):
            raise _invalid(path, "has a name that would delete another file")
        self._emit_parents(real.rpartition("/")[0])
        return real

    def _real(self, path: str) -> str | None:
        head, _, name = path.strip("/").rpartition("/")
        if name in ("", ".", ".."):
            return None
        above = self._parents.get(head)
        if above is None:
            found = self._follow(head)
            if found is None:
                return None
            above = self._parents[head] = found
        return f"{above}/{name}" if above else name

    def _follow(self, path: str) -> str | None:
        """Follows links on the way to a directory: the image's, where this layer has nothing in their place."""
        here = ""
        pending = path.split("/")[::-1]
        hops = 0
        while pending:
            part = pending.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            there = f"{here}/{part}" if here else part
            target = self._link_at(there)
            if target is None:
                here = there
                continue
            hops += 1
            if hops > _MAX_HOPS:
                return None
            if target.startswith("/"):
                here = ""
            pending.extend(target.split("/")[::-1])
        return here

    def _link_at(self, real: str) -> str | None:
        if real in self._written:
            return self._targets.get(real)
        node = self._tree.get(real)
        return node.target if node is not None and node.kind is NodeKind.SYMBOLIC_LINK else None

    def _emit_parents(self, directory: str) -> None:
        missing = []
        while directory and self._written.get(directory) is not NodeKind.DIRECTORY:
            missing.append(directory)
            directory = directory.rpartition("/")[0]
        for each in reversed(missing):
            node = self._tree.get(each)
            if each in self._written or (node is not None and node.kind is not NodeKind.DIRECTORY):
                raise _invalid(missing[0], f"lies in /{each[:200]}, which is no directory")
            self._claim(each, NodeKind.DIRECTORY)
            self._emit_directory(each, _MADE if node is None else node.attributes)

    def _claim(self, real: str, kind: NodeKind) -> None:
        if real in self._written:
            raise _invalid(real, "comes twice")
        node = self._tree.get(real)
        if kind is NodeKind.SYMBOLIC_LINK or (node is not None and node.kind is NodeKind.SYMBOLIC_LINK):
            self._parents.clear()  # paths lead elsewhere from now on
        self._written[real] = kind

    def _emit_directory(self, real: str, attributes: Attributes) -> None:
        self._attributes[real] = attributes
        self._emit(archive.header(archive.FLAGS[NodeKind.DIRECTORY], f"{real}/", attributes))

    def _emit(self, header: bytes) -> None:
        self._entries += 1
        self._file.write(header)


def _invalid(path: str, what: str) -> FixFailure:
    return FixFailure(
        FixReason.PACKAGE_INVALID, f"What is to be written at /{path[:200]} {what}; it cannot be put into a layer."
    )
