"""An image's file tree, unpacked the plain way: the oracle that coalescing is held against.

It applies layers as containerd does (`archive/tar.go`, `applyNaive`), but for two liberties: whiteouts touch lower
layers only, as the image specification says, and a hard link may be to what its own layer deletes, as it is where
the whiteout comes later in the archive.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
from collections.abc import Iterator, Sequence

_MAX_LINKS = 255


class Kind(enum.Enum):
    FILE = enum.auto()
    DIRECTORY = enum.auto()
    SYMBOLIC_LINK = enum.auto()
    HARD_LINK = enum.auto()
    WHITEOUT = enum.auto()
    OPAQUE = enum.auto()


@dataclasses.dataclass(frozen=True)
class Entry:
    kind: Kind
    path: str
    """Of a whiteout what it deletes, of an opaque mark the directory."""
    text: str = ""
    """Content of a file, target of a link."""


@dataclasses.dataclass(frozen=True)
class File:
    text: str
    layer: int


@dataclasses.dataclass(frozen=True)
class Link:
    target: str


Directory = dict[str, "Node"]
Node = File | Link | Directory


class FileTree:
    def __init__(self, max_links: int = _MAX_LINKS) -> None:
        """Accepts entries whose path leads through so many different links, and through none of them twice."""
        self._max_links = max_links
        self.root: Directory = {}
        self.kept: Directory = {}
        """The same as if the layer that is being applied deleted nothing."""
        self.layers = 0

    def apply(self, entries: Sequence[Entry]) -> list[Entry]:
        """Applies one layer: what it deletes, then what it adds, in its order.

        Returns the entries without those that containerd refuses to unpack; they change nothing.
        """
        self.kept = copy.deepcopy(self.root)
        removals = [self.resolve(e.path, last=False) for e in entries if e.kind is Kind.WHITEOUT]
        opaque = [self.resolve(e.path) for e in entries if e.kind is Kind.OPAQUE]
        for parts in filter(None, removals):
            self._remove(parts)
        for opened in opaque:
            directory = None if opened is None else self.get(opened)
            if isinstance(directory, dict):
                directory.clear()
        accepted = [e for e in entries if e.kind in (Kind.WHITEOUT, Kind.OPAQUE) or self._add(e)]
        self.layers += 1
        return accepted

    def walk(self) -> Iterator[tuple[str, File | Link]]:
        """Gives every file and link."""
        pending = [("", self.root)]
        while pending:
            prefix, directory = pending.pop()
            for name, node in directory.items():
                if isinstance(node, dict):
                    pending.append((f"{prefix}{name}/", node))
                else:
                    yield prefix + name, node

    def get(self, parts: Sequence[str], root: Directory | None = None) -> Node | None:
        node: Node | None = self.root if root is None else root
        for part in parts:
            node = node.get(part) if isinstance(node, dict) else None
        return node

    def resolve(self, path: str, *, last: bool = True) -> list[str] | None:
        """Follows links inside the root; None when they run in circles."""
        return self.way(path, last=last)[0]

    def way(
        self, path: str, *, last: bool, root: Directory | None = None
    ) -> tuple[list[str] | None, list[tuple[str, str]]]:
        """Returns where the path leads, and the links on the way: where they lie and what they say."""
        pending, parts, followed = path.split("/"), list[str](), list[tuple[str, str]]()
        while pending:
            part = pending.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                del parts[-1:]
                continue
            node = self.get([*parts, part], root)
            if isinstance(node, Link) and (pending or last):
                followed.append(("/".join([*parts, part]), node.target))
                if len(followed) > _MAX_LINKS:
                    return None, followed
                if node.target.startswith("/"):
                    parts.clear()
                pending = node.target.split("/") + pending
            else:
                parts.append(part)
        return parts, followed

    def _add(self, entry: Entry) -> bool:
        parts, links = self.way(entry.path, last=False)
        if not parts or len(links) > self._max_links or len(set(links)) < len(links):
            return False
        if any(isinstance(self.get(parts[:end]), File) for end in range(1, len(parts))):
            return False
        present = self.get(parts)
        match entry.kind:
            case Kind.DIRECTORY:
                self._put(parts, {})
            case Kind.FILE:
                self._put(parts, File(entry.text, self.layers))
            case Kind.SYMBOLIC_LINK:
                self._put(parts, Link(entry.text))
            case _:
                linked = self._linked(entry.text)
                if linked is None or linked is present:
                    return False
                self._put(parts, linked)
        return True

    def _linked(self, target: str) -> File | Link | None:
        for root in (self.root, self.kept):
            parts, _ = self.way(target, last=False, root=root)
            node = None if parts is None else self.get(parts, root)
            if isinstance(node, File):
                return File(node.text, self.layers)
            if isinstance(node, Link):
                return node
        return None

    def _put(self, parts: list[str], node: Node) -> None:
        """Puts it in place of what is there, unless both are directories."""
        for root in (self.root, self.kept):
            directory = root
            for part in parts[:-1]:
                below = directory.get(part)
                if not isinstance(below, dict):
                    below = directory[part] = {}
                directory = below
            if not (isinstance(node, dict) and isinstance(directory.get(parts[-1]), dict)):
                directory[parts[-1]] = {} if isinstance(node, dict) else node

    def _remove(self, parts: list[str]) -> None:
        parent = self.get(parts[:-1])
        if isinstance(parent, dict):
            parent.pop(parts[-1], None)
