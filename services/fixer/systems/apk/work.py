"""What is there while packages are exchanged: the image, its database as it changes, the layer as it grows."""

from __future__ import annotations

import base64
import dataclasses
import hashlib

from services.fixer.image.node import Layer, Node, NodeKind, Tree
from services.fixer.systems.apk.database import OwnedFolder, Record, corrupt
from services.fixer.systems.apk.ids import Ids
from services.fixer.systems.apk.protected import ProtectedPaths


@dataclasses.dataclass(slots=True)
class Work:
    """Of one platform."""

    tree: Tree
    layer: Layer
    records: dict[str, Record]
    """By name, in the order of the database."""
    owners: dict[str, str]
    """Names of packages by path of their file."""
    protected: ProtectedPaths
    ids: Ids
    database: str
    """Its folder, with a slash behind."""
    still_to_come: set[str]
    """Packages that will be exchanged, and are not yet."""
    notes: list[str] = dataclasses.field(default_factory=list)
    written: set[str] = dataclasses.field(default_factory=set)
    """Real paths that the layer has."""

    def node(self, path: str) -> tuple[str, Node | None]:
        """Returns where a path really is in the image, and what lies there."""
        real = self.tree.real_path(path)
        if real is None:
            raise corrupt(f"has a file behind links that go in a circle: /{path[:200]}")
        return real, self.tree.get(real)

    def unchanged(self, path: str, digest: str) -> bool:
        """Tells whether nothing, or what has this hash, lies at a path (`apk_db_audit_file`)."""
        real, node = self.node(path)
        if node is None:
            return True
        if not digest.startswith("Q1"):
            return False
        if node.kind is NodeKind.SYMBOLIC_LINK:
            return digest == q1(node.target.encode("utf-8", "surrogateescape"))
        if node.kind is not NodeKind.FILE:
            return False
        try:
            return digest == q1(self.tree.read(real))
        except KeyError:  # nobody knew before that it would be compared: then it counts as changed, and stays
            return False


def q1(content: bytes) -> str:
    """Returns the hash of a content as the database has it."""
    return f"Q1{base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode('ascii')}"


def has(record: Record, path: str) -> bool:
    """Tells whether a package has a file."""
    folder, _, name = path.rpartition("/")
    return name in record.folders.get(folder, OwnedFolder()).files


def is_file(tree: Tree, path: str) -> bool:
    """Tells whether a file lies at a real path."""
    node = tree.get(path)
    return node is not None and node.kind is NodeKind.FILE
