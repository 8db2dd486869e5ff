"""Overlay: what is left of the layers' evidence when each layer is laid upon those beneath it.

Rules: OCI image-spec, layer.md, "Applying Changesets"; where it is silent, what containerd does when it unpacks:
links on the way to an entry are followed, the entry itself replaces what is there, unless both are directories.
Whiteouts concern lower layers only and are done first.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Iterator, Sequence, Set
from typing import Final

from services.scanner.catalogers.interface import Evidence
from services.scanner.layers.analysis import LayerAnalysis, NodeKind, Remembered
from services.scanner.layers.links import Names, real_path
from services.scanner.layers.paths import fingerprint

_DIRECTORY_BIT: Final = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileNode:
    """A file that was read, or that a cataloger would have wanted."""

    evidence: tuple[Evidence, ...]
    """Empty where the content is not known: a hard link to a file that nobody wanted."""
    layer: int
    """Place of the layer that laid it down."""


class Overlay:
    """A file tree of which only evidence and symbolic links are known; paths are real, the root is empty."""

    def __init__(self, links: Set[str]) -> None:
        """Starts empty; of the links, only those given by path are laid, see `layers.ways`."""
        self._links_to_lay = links
        self.files: dict[str, FileNode] = {}
        self.links: dict[str, str] = {}
        """Targets as written."""
        self.link_layers: dict[str, int] = {}
        """Which layer laid a link down."""
        self._children: dict[str, set[str]] = {}
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
        self._white_out(layer, [*marks, *remembered])
        laid: dict[str, None] = {}
        steps: list[_Mark | Remembered] = [*marks, *remembered]
        for step in sorted(steps, key=lambda each: each.position):
            path = real_path(step.path, self.links)
            if path is None:
                continue
            if isinstance(step, _Mark):
                self._mark(step, path)
            elif self._remember(step, path, layer):
                laid[path] = None
        self._layers += 1
        return (path for path in laid if path in self.files)

    def is_directory(self, path: str) -> bool:
        """Tells whether anything known lies beneath the path."""
        return bool(self._children.get(path))

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
                self._remove(path)
        for path in emptied:
            for name in tuple(self._children.get(path, ())) if path is not None else ():
                self._remove(f"{path}/{name}" if path else name)

    def _mark(self, mark: _Mark, path: str) -> None:
        if not mark.directory or path in self.files or path in self.links:
            self._remove(path)

    def _remember(self, entry: Remembered, path: str, layer: LayerAnalysis) -> bool:
        """Lays down one entry and tells whether it is a file."""
        target = real_path(entry.target, self.links) if entry.kind is NodeKind.HARD_LINK else None
        other = self.files.get(target) if target is not None else None
        linked = self.links.get(target) if target is not None else None
        self._remove(path)
        if entry.kind is NodeKind.SYMBOLIC_LINK or linked is not None:
            self._place(path)
            self.links[path] = entry.target if linked is None else linked
            self.link_layers[path] = self._layers
            return False
        if entry.kind is NodeKind.FILE:
            evidence = tuple(layer.evidence[place] for place in entry.evidence)
        elif other is not None:
            evidence = other.evidence
        elif entry.wanted:
            evidence = ()
        else:
            return False
        self._place(path)
        self.files[path] = FileNode(evidence=evidence, layer=self._layers)
        return True

    def _place(self, path: str) -> None:
        while path:
            parent, _, name = path.rpartition("/")
            children = self._children.setdefault(parent, set())
            if name in children:
                return
            children.add(name)
            self.files.pop(parent, None)
            path = parent

    def _remove(self, path: str) -> None:
        """Removes what is known at the path and beneath it."""
        parent, _, name = path.rpartition("/")
        siblings = self._children.get(parent)
        if siblings is None or name not in siblings:
            return
        siblings.discard(name)
        pending = [path]
        while pending:
            gone = pending.pop()
            self.files.pop(gone, None)
            self.links.pop(gone, None)
            self.link_layers.pop(gone, None)
            pending.extend(f"{gone}/{child}" for child in self._children.pop(gone, ()))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    position: int
    path: str
    directory: bool
