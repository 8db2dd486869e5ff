"""Tree: files that are evidence and symbolic links, by real path, and the directories that these imply."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from services.scanner.catalogers.interface import Evidence


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileNode:
    """A file that was read, or that a cataloger would have wanted."""

    evidence: tuple[Evidence, ...]
    """Empty where the content is not known: a hard link to a file that nobody wanted."""
    layer: int
    """Place of the layer that laid it down."""


class Tree:
    """Paths are real, the root is empty."""

    def __init__(self) -> None:
        """Starts empty."""
        self.files: dict[str, FileNode] = {}
        self.links: dict[str, str] = {}
        """Targets as written."""
        self.link_layers: dict[str, int] = {}
        """Which layer laid a link down."""
        self._children: dict[str, set[str]] = {}

    def copy(self) -> Tree:
        """Returns one like it, to be changed on its own."""
        other = Tree()
        other.files.update(self.files)
        other.links.update(self.links)
        other.link_layers.update(self.link_layers)
        other._children.update((path, set(names)) for path, names in self._children.items())
        return other

    def children(self, path: str) -> Iterable[str]:
        """Returns the names of what is known right beneath the path."""
        return self._children.get(path, ())

    def put_file(self, path: str, node: FileNode) -> None:
        """Puts a file in place of what is known there."""
        self.remove(path)
        self._place(path)
        self.files[path] = node

    def put_link(self, path: str, target: str, layer: int) -> None:
        """Puts a symbolic link in place of what is known there."""
        self.remove(path)
        self._place(path)
        self.links[path] = target
        self.link_layers[path] = layer

    def remove(self, path: str) -> None:
        """Removes what is known at the path and beneath it."""
        parent, _, name = path.rpartition("/")
        siblings = self._children.get(parent)
        if siblings is None or name not in siblings:
            return
        siblings.discard(name)
        pending = [path]
        while pending:
            gone = pending.pop()
            self._forget(gone)
            pending.extend(f"{gone}/{child}" for child in self._children.pop(gone, ()))

    def clear_way(self, path: str) -> None:
        """Makes directories of what is known on the way to the path."""
        while path := path.rpartition("/")[0]:
            self._forget(path)

    def _place(self, path: str) -> None:
        while path:
            parent, _, name = path.rpartition("/")
            children = self._children.setdefault(parent, set())
            if name in children:
                return
            children.add(name)
            self._forget(parent)
            path = parent

    def _forget(self, path: str) -> None:
        self.files.pop(path, None)
        self.links.pop(path, None)
        self.link_layers.pop(path, None)
