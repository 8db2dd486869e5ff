"""Layers laid upon each other, entry by entry (OCI image-spec, layer.md, "Applying Changesets").

As containerd unpacks them (`archive/tar.go`, `applyNaive`), but that whiteouts touch lower layers only, as the
specification says. What no runtime could unpack, or unpackers disagree about, ends in LAYER_CORRUPT.
"""

from __future__ import annotations

from typing import Final

from services.fixer.image.bounds import TreeLimits
from services.fixer.image.node import NodeKind
from services.fixer.image.nodes import ROOT, Nodes
from services.kernel.reasons import Reason, ScanFailure
from services.layers.corrupt import corrupt
from services.layers.owned import Owned
from services.layers.paths import Meaning, clean, meaning_of
from services.layers.tar import EntryKind, TarEntry

_MAX_HOPS: Final = 255
_REMEMBERED: Final = 1024
_MADE: Final = Owned(0o755, 0, 0, 0, (0, 0), ())
"""Of a parent that no layer has an entry for."""
_KINDS: Final = {
    EntryKind.FILE: NodeKind.FILE,
    EntryKind.SPARSE_FILE: NodeKind.FILE,
    EntryKind.DIRECTORY: NodeKind.DIRECTORY,
    EntryKind.SYMBOLIC_LINK: NodeKind.SYMBOLIC_LINK,
}
_DEVICES: Final = {
    ord("3"): NodeKind.CHARACTER_DEVICE,
    ord("4"): NodeKind.BLOCK_DEVICE,
    ord("6"): NodeKind.FIFO,
}


class Stack:
    """The tree as the layers so far leave it."""

    def __init__(self, limits: TreeLimits) -> None:
        self.nodes = Nodes(limits)
        self.layer = 0
        self.removed: list[int] = []
        """Nodes that lost a name since somebody emptied this."""
        self._limits = limits
        self._entries = 0
        self._parents: dict[bytes, tuple[str, int]] = {}
        """Directories by the names that entries have for them: their real paths, and the nodes."""

    def next_layer(self) -> None:
        """Begins the next layer: what there is so far is a lower one's."""
        self.layer += 1
        self._entries = 0

    def apply(self, entry: TarEntry, flag: int, owned: Owned) -> tuple[str, int] | None:
        """Applies one entry; `flag` is its type as written.

        Returns the real path and the node that came of it; None of what only takes away.

        Raises:
            ScanFailure: LAYER_CORRUPT, LAYER_PATH_TOO_DEEP, LAYER_TOO_MANY_ENTRIES; FixFailure: IMAGE_TOO_LARGE.
        """
        self._count()
        path = clean(entry.path)
        named = None if path is None else meaning_of(path)
        if path is None or named is None:
            raise corrupt(f"its entry {shown(entry.path)} leads out of the image")
        if not path:
            self.nodes.own(ROOT, owned, self.layer)
            return "", ROOT
        self._check_depth(path)
        match named.meaning:
            case Meaning.WHITEOUT:
                self._white_out(named.path)
            case Meaning.OPAQUE:
                self._hide_below(named.path)
            case Meaning.NONE:
                return self._add(entry, path, flag, owned)
        return None

    def _add(self, entry: TarEntry, path: bytes, flag: int, owned: Owned) -> tuple[str, int]:
        head, _, tail = path.rpartition(b"/")
        above, parent = self._parent(head, entry.path)
        name = tail.decode("utf-8", "surrogateescape")
        real = f"{above}/{name}" if above else name
        names = self._names(parent)
        present = names.get(name)
        if entry.kind is EntryKind.DIRECTORY and present is not None and self.nodes.is_directory(present):
            self.nodes.own(present, owned, self.layer)
            return real, present
        if present is not None:
            del names[name]
            self._drop(present)
        if entry.kind is EntryKind.HARD_LINK:
            made = self._linked(entry, owned)
        else:
            kind = _KINDS.get(entry.kind) or _DEVICES[flag]
            target = entry.target.decode("utf-8", "surrogateescape")
            size = entry.size if kind is NodeKind.FILE else 0
            made = self.nodes.add(kind, owned, layer=self.layer, size=size, target=target)
        self.nodes.pay(name)
        names[name] = made
        return real, made

    def _linked(self, entry: TarEntry, owned: Owned) -> int:
        target = clean(entry.target)
        number = None
        if target:
            self._check_depth(target)
            _, number = self.find(target.decode("utf-8", "surrogateescape"), last=False)
        if number is None or self.nodes.is_directory(number):
            raise corrupt(f"its hard link {shown(entry.path)} is to {shown(entry.target)}, which is no file of it")
        if self.nodes.layer(number) != self.layer:
            number = self.nodes.copy(number, self.layer)
        self.nodes.own(number, owned, self.layer, linked=True)
        return number

    def find(self, path: str, *, last: bool) -> tuple[str | None, int | None]:
        """Follows links on the way to a path; returns the real path, None in a circle, and what lies there."""
        nodes = self.nodes
        here: list[str] = []
        numbers: list[int | None] = [ROOT]
        pending = path.split("/")[::-1]
        hops = 0
        while pending:
            part = pending.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if here:
                    here.pop()
                    numbers.pop()
                continue
            above = numbers[-1]
            names = None if above is None else nodes.children(above)
            number = None if names is None else names.get(part)
            target = None if number is None or not (pending or last) else nodes.link_target(number)
            if target is None:
                here.append(part)
                numbers.append(number)
                continue
            hops += 1
            if hops > _MAX_HOPS:
                return None, None
            if target.startswith("/"):
                here.clear()
                del numbers[1:]
            pending.extend(target.split("/")[::-1])
        return "/".join(here), numbers[-1]

    def _parent(self, head: bytes, entry: bytes) -> tuple[str, int]:
        """Returns the directory in which an entry lies, made where there is none."""
        if known := self._parents.get(head):
            return known
        path, number = self.find(head.decode("utf-8", "surrogateescape"), last=True)
        if path is None:
            raise corrupt(f"the parents of its entry {shown(entry)} are links in a circle")
        if number is None:
            number = self._make(path, entry)
        if not self.nodes.is_directory(number):
            raise corrupt(f"its entry {shown(entry)} lies in what is no directory")
        if len(self._parents) >= _REMEMBERED:
            self._parents.clear()
        self._parents[head] = path, number
        return path, number

    def _names(self, directory: int) -> dict[str, int]:
        names = self.nodes.children(directory)
        if names is None:
            raise AssertionError("a parent is a directory")
        return names

    def _make(self, path: str, entry: bytes) -> int:
        number = ROOT
        for part in path.split("/"):
            names = self.nodes.children(number)
            if names is None:
                raise corrupt(f"its entry {shown(entry)} lies in what is no directory")
            below = names.get(part)
            if below is None:
                self._count()
                self.nodes.pay(part)
                below = names[part] = self.nodes.add(NodeKind.DIRECTORY, _MADE, layer=self.layer)
            number = below
        return number

    def _white_out(self, path: bytes) -> None:
        real, number = self.find(path.decode("utf-8", "surrogateescape"), last=False)
        if not real or number is None:
            return
        above, _, name = real.rpartition("/")
        _, parent = self.find(above, last=False)
        names = self.nodes.children(parent) if parent is not None else None
        if names is not None and self._remove_lower(number):
            del names[name]
            self._drop(number)

    def _hide_below(self, path: bytes) -> None:
        _, number = self.find(path.decode("utf-8", "surrogateescape"), last=True)
        if number is not None and self.nodes.is_directory(number):
            self._clear_lower(number)

    def _remove_lower(self, number: int) -> bool:
        """Takes away all that lower layers have in what lies there; tells whether all of it was theirs."""
        if self.nodes.is_directory(number):
            left = self._clear_lower(number)
            return not left and self.nodes.layer(number) != self.layer
        return self.nodes.layer(number) != self.layer

    def _clear_lower(self, top: int) -> bool:
        """Takes what lower layers have out of a directory and those below; tells whether anything is left."""
        order, pending = [], [top]
        while pending:
            number = pending.pop()
            order.append(number)
            names = self.nodes.children(number) or {}
            pending.extend(below for below in names.values() if self.nodes.is_directory(below))
        for number in reversed(order):  # what is below comes first
            names = self.nodes.children(number) or {}
            for name, below in list(names.items()):
                if self.nodes.layer(below) != self.layer and not self.nodes.children(below):
                    del names[name]
                    self.removed.append(below)
        self._parents.clear()
        return bool(self.nodes.children(top))

    def _drop(self, number: int) -> None:
        """Notes that a name of a node is gone, and what it had below."""
        self._parents.clear()
        pending = [number]
        while pending:
            gone = pending.pop()
            self.removed.append(gone)
            pending.extend((self.nodes.children(gone) or {}).values())

    def _count(self) -> None:
        self._entries += 1
        limit = self._limits.layer.entries
        if self._entries > limit:
            raise ScanFailure(
                Reason.LAYER_TOO_MANY_ENTRIES,
                f"The layer has more than {limit} entries.",
                metadata={"limit": str(limit)},
            )

    def _check_depth(self, path: bytes) -> None:
        limit = self._limits.layer.path_depth
        if path.count(b"/") >= limit:
            raise ScanFailure(
                Reason.LAYER_PATH_TOO_DEEP,
                f"The layer has a path of more than {limit} parts.",
                metadata={"limit": str(limit)},
            )


def shown(path: bytes) -> str:
    """Returns a path for a sentence."""
    return repr(path[:160].decode("utf-8", "backslashreplace"))
