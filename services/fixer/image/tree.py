"""Reads the layers of an image into a tree of files. Runs in a worker process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.bounds import TreeLimits
from services.fixer.image.node import Node
from services.fixer.image.nodes import too_large
from services.fixer.image.stack import Stack
from services.layers.decompress import open_layer
from services.layers.file import LayerFile
from services.layers.tar import EntryKind, TarEntry, TarWalker

_FILES: Final = (EntryKind.FILE, EntryKind.SPARSE_FILE)
Wants = Callable[[str], bool]
"""Tells whether the content of the file at a real path is wanted."""


class ImageTree:
    """The files of an image; meets `image/node.py::Tree`."""

    def __init__(self, stack: Stack, contents: dict[int, bytes]) -> None:
        self._stack = stack
        self._contents = contents

    def get(self, path: str) -> Node | None:
        """Returns what lies at a real path."""
        number = self._number(path)
        return None if number is None else self._stack.nodes.node(number)

    def real_path(self, path: str, *, last: bool = False) -> str | None:
        """Follows symbolic links on the way to a path; None where they go in a circle."""
        return self._stack.find(path, last=last)[0]

    def names(self, path: str) -> Iterable[str]:
        """Returns the names right beneath a real path, sorted by their bytes' text."""
        number = self._number(path)
        return sorted((self._stack.nodes.children(number) or {}) if number is not None else {})

    def read(self, path: str) -> bytes:
        """Returns the content of the file at a real path.

        Raises:
            KeyError: there is no such file, or its content was not asked for.
        """
        number = self._number(path)
        if number is None:
            raise KeyError(path)
        return self._contents[self._stack.nodes.inode(number)]

    def _number(self, path: str) -> int | None:
        nodes = self._stack.nodes
        number: int | None = 0
        for part in path.split("/") if path else ():
            names = None if number is None else nodes.children(number)
            number = None if names is None else names.get(part)
        return number


def read_tree(layers: Sequence[LayerFile], wants: Wants, limits: TreeLimits | None = None) -> ImageTree:
    """Reads an image's layers, the base first, and the contents of those files that are wanted.

    Raises:
        ScanFailure: DIGEST_MISMATCH of a file that is not ours; one of LAYER_…
        FixFailure: IMAGE_TOO_LARGE; DATABASE_CORRUPT of wanted content that is stored with its holes left out.
    """
    limits = limits or TreeLimits()
    reading = _Reading(wants, limits, frozenset())
    reading.run(layers)
    if lacking := reading.lacking():
        # Wanted under a name that is a link to a file of another one, which was not: now the file is known.
        reading = _Reading(wants, limits, lacking)
        reading.run(layers)
    return ImageTree(reading.stack, reading.contents)


class _Reading:
    """One pass over all layers."""

    def __init__(self, wants: Wants, limits: TreeLimits, sources: frozenset[int]) -> None:
        self.stack = Stack(limits)
        self.contents: dict[int, bytes] = {}
        """By inode."""
        self._wants = wants
        self._limits = limits
        self._sources = sources
        self._held = 0
        self._linked: set[int] = set()
        self._wanted_links: dict[str, int] = {}

    def run(self, layers: Sequence[LayerFile]) -> None:
        for layer in layers:
            expected = None if layer.verified else layer.descriptor
            with open_layer(layer.path, layer.descriptor.media_type, self._limits.layer, expected) as reader:
                self.stack.next_layer()
                walker = TarWalker(reader, self._limits.layer)
                for entry in walker:
                    applied = self.stack.apply(entry, walker.flag, walker.owned)
                    if self.stack.removed:
                        self._forget()
                    if applied is not None:
                        self._keep(walker, entry, *applied)

    def lacking(self) -> frozenset[int]:
        """Returns the files, by inode, that are wanted by the name of a link and were not read by their own."""
        nodes, found = self.stack.nodes, set()
        for path, number in self._wanted_links.items():
            inode = nodes.inode(number)
            if inode not in self.contents and self.stack.find(path, last=False)[1] == number:
                found.add(inode)
        return frozenset(found)

    def _keep(self, walker: TarWalker, entry: TarEntry, path: str, number: int) -> None:
        if entry.kind is EntryKind.HARD_LINK:
            self._linked.add(self.stack.nodes.inode(number))
            if self.stack.nodes.link_target(number) is None and self._wants(path):
                self._wanted_links[path] = number
        elif entry.kind in _FILES and (number in self._sources or self._wants(path)):
            self._take(walker, entry, path, number)

    def _take(self, walker: TarWalker, entry: TarEntry, path: str, number: int) -> None:
        if entry.kind is EntryKind.SPARSE_FILE:
            raise FixFailure(
                FixReason.DATABASE_CORRUPT,
                f"The file /{path[:200]} is stored with its holes left out, which is not read.",
                hint="Build the image with a tool that stores whole files.",
            )
        self._held += entry.size
        if self._held > self._limits.content_bytes:
            limit = self._limits.content_bytes
            raise too_large(f"a package database, and what belongs to it, of more than {limit:,} bytes", limit)
        self.contents[number] = walker.content()

    def _forget(self) -> None:
        """Lets go of what no name leads to any more; what had several names is kept, lest one be left."""
        for number in self.stack.removed:
            inode = self.stack.nodes.inode(number)
            if inode in self.contents and inode not in self._linked:
                self._held -= len(self.contents.pop(inode))
        self.stack.removed.clear()
