"""A tree of files in memory, and a layer that tells what it was given."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import BinaryIO

from services.fixer.image.node import Attributes, Node, NodeKind
from services.layers.links import real_path


class FakeTree:
    """The files of an image; everything can be read."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.contents: dict[str, bytes] = {}
        self._links: dict[str, str] = {}

    def add_folder(self, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        """A folder, with those above it."""
        path = self._real(path)
        parent = path.rpartition("/")[0]
        if parent and parent not in self.nodes:
            self.add_folder(parent)
        self.nodes[path] = Node(kind=NodeKind.DIRECTORY, attributes=Attributes(mode=mode, uid=uid, gid=gid))

    def add_file(self, path: str, content: bytes, *, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """A file, with the folders above it."""
        self.put(path, Node(kind=NodeKind.FILE, attributes=Attributes(mode=mode, uid=uid, gid=gid)), content)

    def add_link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self.put(path, Node(kind=NodeKind.SYMBOLIC_LINK, attributes=Attributes(mode=0o777), target=target))

    def put(self, path: str, node: Node, content: bytes = b"") -> None:
        """Anything."""
        path = self._real(path)
        parent = path.rpartition("/")[0]
        if parent and parent not in self.nodes:
            self.add_folder(parent)
        self.take(path)
        if node.kind is NodeKind.FILE:
            node = dataclasses.replace(node, size=len(content))
            self.contents[path] = content
        if node.kind is NodeKind.SYMBOLIC_LINK:
            self._links[path] = node.target
        self.nodes[path] = node

    def take(self, path: str) -> None:
        """Takes away what is there, with all beneath it."""
        for each in [each for each in self.nodes if each == path or each.startswith(f"{path}/")]:
            del self.nodes[each]
            self.contents.pop(each, None)
            self._links.pop(each, None)

    def get(self, path: str) -> Node | None:
        return self.nodes.get(path)

    def real_path(self, path: str, *, last: bool = False) -> str | None:
        return real_path(path, self._links, last=last)

    def names(self, path: str) -> Iterable[str]:
        start = f"{path}/" if path else ""
        return sorted(
            each[len(start) :] for each in self.nodes if each.startswith(start) and "/" not in each[len(start) :]
        )

    def read(self, path: str) -> bytes:
        return self.contents[path]

    def _real(self, path: str) -> str:
        real = self.real_path(path)
        assert real is not None
        return real


class FakeLayer:
    """What was written, in its order; refuses what a real one refuses."""

    def __init__(self, tree: FakeTree) -> None:
        self.tree = tree
        self.entries: dict[str, Node] = {}
        self.contents: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self.removed: list[str] = []

    def directory(self, path: str, attributes: Attributes) -> None:
        self._enter(path, Node(kind=NodeKind.DIRECTORY, attributes=attributes))

    def file(self, path: str, attributes: Attributes, content: BinaryIO, size: int) -> None:
        real = self._enter(path, Node(kind=NodeKind.FILE, attributes=attributes, size=size))
        self.contents[real] = content.read()
        assert len(self.contents[real]) == size

    def symbolic_link(self, path: str, target: str, attributes: Attributes) -> None:
        self._enter(path, Node(kind=NodeKind.SYMBOLIC_LINK, attributes=attributes, target=target))

    def hard_link(self, path: str, target: str) -> None:
        source = self._real(target)
        real = self._enter(path, self.entries[source])
        self.contents[real] = self.contents[source]
        self.links[real] = source

    def device(self, path: str, kind: NodeKind, device: tuple[int, int], attributes: Attributes) -> None:
        self._enter(path, Node(kind=kind, attributes=attributes, device=device))

    def remove(self, path: str) -> None:
        real = self._real(path)
        assert real not in self.entries and not any(each.startswith(f"{real}/") for each in self.entries), path
        if self.tree.get(real) is not None:
            assert real not in self.removed, path
            self.removed.append(real)

    def applied(self) -> FakeTree:
        """The image with the layer on top."""
        result = FakeTree()
        result.nodes, result.contents = dict(self.tree.nodes), dict(self.tree.contents)
        for path in self.removed:
            result.take(path)
        for path, node in self.entries.items():
            if node.kind is NodeKind.DIRECTORY:
                result.nodes[path] = node
            else:
                result.put(path, node, self.contents.get(path, b""))
        return result

    def _enter(self, path: str, node: Node) -> str:
        real = self._real(path)
        assert real not in self.entries, f"{path} twice"
        self.entries[real] = node
        return real

    def _real(self, path: str) -> str:
        real = self.tree.real_path(path)
        assert real is not None
        return real
