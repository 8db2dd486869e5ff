"""The nodes of a tree, in columns: an image has a hundred thousand of them, an object each would be too many."""

from __future__ import annotations

from array import array
from typing import Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.bounds import TreeLimits
from services.fixer.image.node import Attributes, Node, NodeKind
from services.layers.owned import Owned

ROOT: Final = 0
_KINDS: Final = tuple(NodeKind)
_NUMBERS: Final = {kind: number for number, kind in enumerate(_KINDS)}
_DIRECTORY: Final = _NUMBERS[NodeKind.DIRECTORY]
_SYMBOLIC_LINK: Final = _NUMBERS[NodeKind.SYMBOLIC_LINK]
_ROOT_OWNED: Final = Owned(0o755, 0, 0, 0, (0, 0), ())


class Nodes:
    """Numbers stand for nodes, in the order in which they were made: the same layers give the same numbers."""

    def __init__(self, limits: TreeLimits) -> None:
        self._limits = limits
        self._names_bytes = 0
        self._kinds = bytearray()
        self._modes = array("H")
        self._uids = array("I")
        self._gids = array("I")
        self._mtimes = array("q")
        self._sizes = array("Q")
        self._inodes = array("I")
        self._layers = array("H")
        self._targets: dict[int, str] = {}
        self._devices: dict[int, tuple[int, int]] = {}
        self._xattrs: dict[int, dict[str, bytes]] = {}
        self._children: dict[int, dict[str, int]] = {}
        self.add(NodeKind.DIRECTORY, _ROOT_OWNED, layer=0)

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, kind: NodeKind, owned: Owned, *, layer: int, size: int = 0, target: str = "") -> int:
        """Makes a node, of no name yet, and returns its number."""
        number = len(self._kinds)
        if number >= self._limits.nodes:
            raise too_large(f"more than {self._limits.nodes:,} files and directories", self._limits.nodes)
        self._kinds.append(_NUMBERS[kind])
        self._modes.append(owned.mode)
        self._uids.append(owned.uid)
        self._gids.append(owned.gid)
        self._mtimes.append(owned.mtime)
        self._sizes.append(size)
        self._inodes.append(number)
        self._layers.append(layer)
        if owned.xattrs:
            self._set_xattrs(number, owned)
        if kind is NodeKind.SYMBOLIC_LINK:
            self.pay(target)
            self._targets[number] = target
        elif kind is NodeKind.DIRECTORY:
            self._children[number] = {}
        elif kind in (NodeKind.CHARACTER_DEVICE, NodeKind.BLOCK_DEVICE):
            self._devices[number] = owned.device
        return number

    def copy(self, number: int, layer: int) -> int:
        """Makes another node of the same file, for a link to what a lower layer has."""
        of = self.node(number)
        owned = Owned(
            self._modes[number], self._uids[number], self._gids[number], self._mtimes[number], of.device, ()
        )
        made = self.add(of.kind, owned, layer=layer, size=of.size, target=of.target)
        if number in self._xattrs:
            self._xattrs[made] = self._xattrs[number]
        self._inodes[made] = self._inodes[number]
        return made

    def own(self, number: int, owned: Owned, layer: int, *, linked: bool = False) -> None:
        """Gives a node other attributes: those that a layer has of it, or of one more name of it."""
        self._modes[number] = owned.mode
        self._uids[number] = owned.uid
        self._gids[number] = owned.gid
        self._mtimes[number] = owned.mtime
        self._layers[number] = layer
        if not linked:
            self._xattrs.pop(number, None)
        if owned.xattrs:
            self._set_xattrs(number, owned)

    def pay(self, text: str) -> None:
        """Counts text that is kept."""
        self._pay(len(text))

    def children(self, number: int) -> dict[str, int] | None:
        """Returns the names in a directory, to be read and changed; None of what is none."""
        return self._children.get(number)

    def is_directory(self, number: int) -> bool:
        """Tells whether it is one."""
        return self._kinds[number] == _DIRECTORY

    def link_target(self, number: int) -> str | None:
        """Returns where a symbolic link leads; None of what is none."""
        return self._targets[number] if self._kinds[number] == _SYMBOLIC_LINK else None

    def layer(self, number: int) -> int:
        """Returns the number of the layer that has the node, or had it last."""
        return self._layers[number]

    def inode(self, number: int) -> int:
        """Returns the number of the node that had the content first; itself of most."""
        return self._inodes[number]

    def node(self, number: int) -> Node:
        """Returns the node as the world sees it."""
        kind = _KINDS[self._kinds[number]]
        return Node(
            kind=kind,
            attributes=Attributes(
                mode=self._modes[number],
                uid=self._uids[number],
                gid=self._gids[number],
                mtime=self._mtimes[number],
                xattrs=dict(self._xattrs.get(number, ())),
            ),
            target=self._targets.get(number, ""),
            size=self._sizes[number],
            device=self._devices.get(number, (0, 0)),
            inode=self._inodes[number],
        )

    def _set_xattrs(self, number: int, owned: Owned) -> None:
        self._pay(sum(len(name) + len(value) for name, value in owned.xattrs))
        self._xattrs[number] = {name.decode("utf-8", "surrogateescape"): value for name, value in owned.xattrs}

    def _pay(self, size: int) -> None:
        self._names_bytes += size
        if self._names_bytes > self._limits.names_bytes:
            limit = self._limits.names_bytes
            raise too_large(f"names and extended attributes of more than {limit:,} bytes", limit)


def too_large(what: str, limit: int) -> FixFailure:
    """The failure of an image above a bound."""
    return FixFailure(
        FixReason.IMAGE_TOO_LARGE,
        f"The image has {what}.",
        hint="It is too large to be fixed here; build it anew from a fixed base.",
        metadata={"limit": str(limit)},
    )
