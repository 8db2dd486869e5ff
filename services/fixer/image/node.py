"""A file of an image's tree, and the interface of the tree and of the layer that comes on top.

Paths are relative to the root, without leading or trailing slash, and text by `os.fsdecode`: every name of bytes
has one, and gets its bytes back by `os.fsencode`. The root is the empty path.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from typing import BinaryIO, Protocol


class NodeKind(enum.Enum):
    """What lies at a path."""

    FILE = "FILE"
    DIRECTORY = "DIRECTORY"
    SYMBOLIC_LINK = "SYMBOLIC_LINK"
    CHARACTER_DEVICE = "CHARACTER_DEVICE"
    BLOCK_DEVICE = "BLOCK_DEVICE"
    FIFO = "FIFO"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Who owns a file, and who may do what with it."""

    mode: int
    """Permission bits with setuid, setgid and sticky."""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    """Seconds since 1970."""
    xattrs: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    """By name, as in `security.capability`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What all layers together leave at one path. A hard link is a file of its own with the same content."""

    kind: NodeKind
    attributes: Attributes
    target: str = ""
    """Of a symbolic link, as written."""
    size: int = 0
    device: tuple[int, int] = (0, 0)
    inode: int = 0
    """Equal for the names of one file, distinct otherwise; of no meaning outside its tree."""


class Tree(Protocol):
    """The files of an image, layers laid upon each other."""

    def get(self, path: str) -> Node | None:
        """Returns what lies at a real path: links on the way are not followed."""
        ...

    def real_path(self, path: str, *, last: bool = False) -> str | None:
        """Follows symbolic links on the way to a path, inside the root; with `last` those at its end too.

        Whether anything lies there does not matter. None where links go in a circle.
        """
        ...

    def names(self, path: str) -> Iterable[str]:
        """Returns the names right beneath a real path, sorted; none where no directory is."""
        ...

    def read(self, path: str) -> bytes:
        """Returns the content of the file at a real path.

        Raises:
            KeyError: its content was not asked for when the tree was read.
        """
        ...


class Layer(Protocol):
    """The new layer, written as its entries come. Order and bytes of entries are all that its digest depends on.

    Each path is first followed through the image's own symbolic links, the last part excepted; its parents are
    written before it with the attributes that the image has, or that `directory` gave them. No path comes twice.
    """

    def directory(self, path: str, attributes: Attributes) -> None:
        """Writes a directory; of one that the image has already, only the attributes change."""
        ...

    def file(self, path: str, attributes: Attributes, content: BinaryIO, size: int) -> None:
        """Writes a file of `size` bytes; replaces what the image has there."""
        ...

    def symbolic_link(self, path: str, target: str, attributes: Attributes) -> None:
        """Writes a symbolic link, target as given."""
        ...

    def hard_link(self, path: str, target: str) -> None:
        """Writes one more name of a file that this layer has."""
        ...

    def device(self, path: str, kind: NodeKind, device: tuple[int, int], attributes: Attributes) -> None:
        """Writes a device or a FIFO."""
        ...

    def remove(self, path: str) -> None:
        """Takes away what the image has there: a whiteout. Nothing is written where the image has nothing."""
        ...
