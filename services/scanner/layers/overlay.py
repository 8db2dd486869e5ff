"""Overlay: what is left of the layers' evidence when each layer is laid upon those beneath it.

Rules: OCI image-spec, layer.md, "Applying Changesets"; where it is silent, what containerd does when it unpacks:
links on the way to an entry are followed, the entry itself replaces what is there, unless both are directories.
Whiteouts concern lower layers only and are done first, but a hard link may be to what its own layer deletes: who
unpacks a layer in its order finds it, where the whiteout comes later.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Final

from services.layers.links import Names, real_path
from services.layers.paths import fingerprint
from services.scanner.catalogers.interface import Evidence
from services.scanner.layers.analysis import LayerAnalysis, NodeKind, Remembered
from services.scanner.layers.tree import FileNode, Tree

_DIRECTORY_BIT: Final = 1


class Overlay:
    """A file tree of which only evidence and symbolic links are known; paths are real, the root is empty."""

    def __init__(self, links: Set[str]) -> None:
        """Starts empty; of the links, only those given by path are laid, see `layers.ways`."""
        self._links_to_lay = links
        self._tree = Tree()
        self.files = self._tree.files
        self.links = self._tree.links
        self.link_layers = self._tree.link_layers
        self._known: dict[int, str] = {}
        """Names, by fingerprint, of all that is or was known."""
        self._learned: set[str] = set()
        """Paths whose names are known."""
        self._names = Names()
        self._layers = 0

    def lay(self, layer: LayerAnalysis) -> Iterator[str]:
        """Lays the next layer on top and returns the paths of the files that came with it."""
        remembered = [each for each in layer.remembered if self._matters(each)]
        marks = self._marks(remembered, array("Q", layer.paths))
        # As if the layer deleted nothing: what its hard links may be to.
        kept = self._tree.copy() if _may_link_to_the_deleted(layer, remembered) else None
        self._white_out(layer, [*marks, *remembered])
        laid: dict[str, None] = {}
        steps: list[_Mark | Remembered] = [*marks, *remembered]
        for step in sorted(steps, key=lambda each: each.position):
            path = real_path(step.path, self.links)
            if path is None:
                continue
            found = self._found(step, layer, kept)
            self._lay(step, path, found, self._tree)
            if kept is not None:
                kept.clear_way(path)
                self._lay(step, path, found, kept)
            if isinstance(found, FileNode):
                laid[path] = None
        self._layers += 1
        return (path for path in laid if path in self.files)

    def is_directory(self, path: str) -> bool:
        """Tells whether anything known lies beneath the path."""
        return bool(self._tree.children(path))

    def _matters(self, entry: Remembered) -> bool:
        return entry.kind is not NodeKind.SYMBOLIC_LINK or entry.path in self._links_to_lay

    def _marks(self, remembered: Sequence[Remembered], paths: array[int]) -> list[_Mark]:
        """Finds the entries that are not remembered by name but may replace something that is known."""
        self._learn(remembered)
        names = self._known
        if names.keys().isdisjoint(paths) and names.keys().isdisjoint(value ^ _DIRECTORY_BIT for value in paths):
            return []
        positions = {each.position for each in remembered}
        return [
            _Mark(position=position, path=names[value & ~_DIRECTORY_BIT], directory=bool(value & _DIRECTORY_BIT))
            for position, value in enumerate(paths)
            if value & ~_DIRECTORY_BIT in names and position not in positions
        ]

    def _learn(self, remembered: Sequence[Remembered]) -> None:
        """Adds every name by which an entry could reach what is known, now or once all links are laid.

        Names are never unlearned: one that leads to nothing replaces nothing.
        """
        links = dict(self.links)
        for each in remembered:
            if each.kind is NodeKind.SYMBOLIC_LINK and (path := real_path(each.path, links)):
                links[path] = each.target
        written = [each.path for each in remembered]
        new = [*written, *filter(None, (real_path(path, links) for path in written))]
        if links != self.links:
            self._names = Names(self.links, links)
            self._learned = set()
            new.extend((*self.files, *links))
        for path in new:
            whole = path
            while whole and whole not in self._learned:
                self._learned.add(whole)
                self._known.update((fingerprint(name.encode()), name) for name in self._names.of(whole))
                whole = whole.rpartition("/")[0]

    def _white_out(self, layer: LayerAnalysis, entries: Sequence[_Mark | Remembered]) -> None:
        """Deletes from the lower layers; links of theirs that the layer replaces lead nowhere."""
        if not layer.whiteouts and not layer.opaque:
            return
        links = dict(self.links)
        for entry in entries:
            path = real_path(entry.path, self.links)
            same = isinstance(entry, Remembered) and entry.target == links.get(path or "")
            if path and not same:
                links.pop(path, None)
        doomed = [real_path(path, links) for path in layer.whiteouts]
        emptied = [real_path(path, links, last=True) for path in layer.opaque]
        for path in doomed:
            if path:
                self._tree.remove(path)
        for path in emptied:
            for name in tuple(self._tree.children(path)) if path is not None else ():
                self._tree.remove(f"{path}/{name}" if path else name)

    def _found(self, step: _Mark | Remembered, layer: LayerAnalysis, kept: Tree | None) -> FileNode | str | None:
        """Returns the file that an entry brings, or the target of its link; None where neither is known."""
        if isinstance(step, _Mark):
            return None
        if step.kind is NodeKind.SYMBOLIC_LINK:
            return step.target
        evidence: tuple[Evidence, ...] = ()
        if step.kind is NodeKind.FILE:
            evidence = tuple(layer.evidence[place] for place in step.evidence)
            return FileNode(evidence=evidence, layer=self._layers)
        for tree in (self._tree,) if kept is None else (self._tree, kept):
            target = real_path(step.target, tree.links)
            if target in tree.links:
                return tree.links[target]
            if target in tree.files:
                return FileNode(evidence=tree.files[target].evidence, layer=self._layers)
        return FileNode(evidence=(), layer=self._layers) if step.wanted else None

    def _lay(self, step: _Mark | Remembered, path: str, found: FileNode | str | None, tree: Tree) -> None:
        """Lays down one entry at its real path."""
        if isinstance(found, FileNode):
            tree.put_file(path, found)
        elif found is not None:
            tree.put_link(path, found, self._layers)
        elif isinstance(step, Remembered) or not step.directory or path in tree.files or path in tree.links:
            tree.remove(path)


def _may_link_to_the_deleted(layer: LayerAnalysis, remembered: Iterable[Remembered]) -> bool:
    deletes = bool(layer.whiteouts or layer.opaque)
    return deletes and any(each.kind is NodeKind.HARD_LINK for each in remembered)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    position: int
    path: str
    directory: bool
