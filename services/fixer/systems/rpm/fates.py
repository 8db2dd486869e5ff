"""What becomes of each file that an upgrade brings or takes away, as rpm decides it.

Source: rpm 4.18, `lib/rpmfi.c` (`rpmfilesDecideFate`, `rpmfilesConfigConflict`) and `lib/transaction.c`
(`handleInstInstalledFile`, `handleOverlappedFiles`).
"""

from __future__ import annotations

import enum
import hashlib

from services.fixer.image.node import Node, NodeKind, Tree
from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.files import File


class Fate(enum.Enum):
    """Of a file that is to be written."""

    SKIP = ""
    """What is there stays."""
    CREATE = "."
    """It is written in the place of what is there."""
    BESIDE = ".rpmnew"
    """It is written beside what is there."""
    SAVE = ".rpmsave"
    """What is there goes beside it: the package had it."""
    BACKUP = ".rpmorig"
    """The same, of what no package had."""


class Disk:
    """The image's files, by the paths that packages have."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def real(self, path: str) -> str:
        """Returns the real path of a file: links on the way are followed. Where they circle, the path itself."""
        found = self._tree.real_path(path)
        return path if found is None else found

    def node(self, path: str) -> Node | None:
        """Returns what lies at a package's path."""
        return self._tree.get(self.real(path))

    def content(self, path: str) -> bytes:
        """Returns the content of the file at a package's path; its name was one that `reads` wanted."""
        return self._tree.read(self.real(path))

    def is_as(self, node: Node, path: str, file: File) -> bool:
        """Tells whether what lies there is what a header tells of a plain file or a link."""
        if file.is_link:
            return node.kind is NodeKind.SYMBOLIC_LINK and node.target == file.target
        if not file.is_plain or node.kind is not NodeKind.FILE or not file.digest or not file.algorithm:
            return False
        return (
            node.size == file.size
            and hashlib.new(file.algorithm, self.content(path), usedforsecurity=False).hexdigest() == file.digest
        )


def fate_of(disk: Disk, new: File, old: File | None) -> Fate:
    """Returns what becomes of a new file where the replaced package has `old` at the same path, or nothing."""
    if new.is_ghost:
        return Fate.SKIP
    if old is not None and old.state == tags.NOT_INSTALLED:
        old = None
    if old is not None:
        return _against_old(disk, new, old) if new.is_config or old.is_config else Fate.CREATE
    if not _conflicts(disk, new):
        return Fate.CREATE
    return Fate.BESIDE if new.flags & tags.NO_REPLACE else Fate.BACKUP


def _against_old(disk: Disk, new: File, old: File) -> Fate:
    node = disk.node(new.path)
    if node is None:
        return Fate.SKIP if new.flags & tags.MISSING_OK else Fate.CREATE
    if not old.is_plain and not old.is_link:
        return Fate.CREATE
    alike = old.is_plain == new.is_plain and old.is_link == new.is_link
    if (alike and disk.is_as(node, new.path, new)) or disk.is_as(node, old.path, old):
        return Fate.CREATE
    if not new.is_config:
        return Fate.SAVE
    if alike and _same(old, new):
        return Fate.SKIP
    return Fate.BESIDE if new.flags & tags.NO_REPLACE else Fate.SAVE


def _same(old: File, new: File) -> bool:
    if old.is_link:
        return old.target == new.target
    return bool(old.digest) and (old.algorithm, old.digest) == (new.algorithm, new.digest)


def _conflicts(disk: Disk, file: File) -> bool:
    """Tells whether a configuration file is there already, and not as the package has it."""
    if not file.is_config:
        return False
    if not file.is_plain and not file.is_link:
        return True
    node = disk.node(file.path)
    return node is not None and (file.is_ghost or not disk.is_as(node, file.path, file))


def is_kept(disk: Disk, old: File) -> bool:
    """Tells whether a file that goes is one that somebody changed, and so is kept."""
    return _conflicts(disk, old)


def differ(one: File, other: File) -> bool:
    """Tells whether two packages cannot both have their file at one path (`rpmfilesCompare`)."""
    if one.is_ghost or other.is_ghost:
        return False
    if one.is_link and other.is_link:
        return one.target != other.target
    if (one.mode, one.user, one.group) != (other.mode, other.user, other.group):
        return True
    return one.is_plain and (one.size, one.algorithm, one.digest) != (other.size, other.algorithm, other.digest)
