"""Writes the files of packages into the layer, and takes away those that new versions have no more."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from services.fixer.image.node import Attributes, Layer, NodeKind
from services.fixer.systems.dpkg.conffiles import Becomes, decide
from services.fixer.systems.dpkg.deb import Deb, Entry
from services.fixer.systems.dpkg.image import ImageState, names_of

_MAX_CONFFILE: Final = 64 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One package that is unpacked."""

    name: str
    deb: Deb
    conffiles: Mapping[str, str]
    """Hashes of the configuration files of the installed version, by path without leading slash."""
    kept: frozenset[str] = frozenset()
    """Files that keep owner, mode and attributes."""
    wanted: Callable[[Entry], bool] = lambda _: True
    """What of it is unpacked at all."""
    may_take: Callable[[str], bool] = lambda _: False
    """Tells whether it may take over a file, by its path."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Unpacked:
    """What unpacking a package came to."""

    paths: list[str] = dataclasses.field(default_factory=list)
    """Of the archive, in its order, without leading slash; the root is empty."""
    real: set[str] = dataclasses.field(default_factory=set)
    """Where they went."""
    conffiles: dict[str, str] = dataclasses.field(default_factory=dict)
    """Hashes of the configuration files that it brings, by path without leading slash."""
    newest: int = 0


class Unpacker:
    """Knows what was written, so that nothing is written twice or taken away again."""

    def __init__(self, state: ImageState, layer: Layer) -> None:
        self._state = state
        self._layer = layer
        self._written: set[str] = set()
        self._above: set[str] = set()
        self._removed: set[str] = set()
        self.notes: list[str] = []
        """What a person should know of, such as configuration files that stayed as somebody made them."""

    def unpack(self, incoming: Incoming) -> Unpacked:
        """Writes one package's files.

        Raises:
            FixFailure: PACKAGE_INVALID.
        """
        done = Unpacked()
        conffiles = {path.lstrip("/") for path in incoming.deb.conffiles}
        for entry in incoming.deb.entries():
            done.paths.append(entry.path)
            done.newest = max(done.newest, entry.mtime)
            if not entry.path:
                continue
            real = self._state.real(self._state.divert(entry.path, incoming.name))
            done.real.add(real)
            if not incoming.wanted(entry) or self._state.excludes.leaves_out(entry.path, entry.kind):
                continue
            if entry.kind is not NodeKind.DIRECTORY and not incoming.may_take(entry.path):
                raise incoming.deb.invalid(f"{incoming.name} has /{entry.path}, which another package has")
            if entry.path in conffiles and entry.content is not None:
                done.conffiles[entry.path] = self._conffile(entry, real, incoming)
            else:
                self._write(entry, real, incoming)
        if missing := conffiles - set(done.conffiles):
            for path in missing & set(done.paths):
                done.conffiles[path] = incoming.conffiles.get(path, "newconffile")
        return done

    def put(self, path: str, content: bytes, attributes: Attributes) -> None:
        """Writes a file of the database."""
        self._note(path)
        self._layer.file(path, attributes, io.BytesIO(content), len(content))

    def link(self, path: str, target: str, mtime: int) -> None:
        """Writes a symbolic link of the system's own at a real path, where nothing was written."""
        if path not in self._written:
            self._note(path)
            self._layer.symbolic_link(path, target, Attributes(mode=0o777, mtime=mtime))

    def is_there(self, path: str) -> bool:
        """Tells whether something lies at a real path of the image as it is fixed so far."""
        return path in self._written or (path not in self._removed and self._state.tree.get(path) is not None)

    def remove(self, path: str) -> None:
        """Takes away a file at a real path, where one is that was not written."""
        if path not in self._written and self.is_there(path):
            self._removed.add(path)
            self._layer.remove(path)

    def drop(self, paths: Iterable[str], package: str, owned: Callable[[str], bool]) -> None:
        """Takes away files that a version has no more: what another package has stays, directories until empty.

        Args:
            paths: as the list of the installed version has them.
            package: whose they were.
            owned: tells whether any package of the fixed image has the path.
        """
        for path in sorted(paths, reverse=True):
            if any(owned(name) for name in names_of(path)):
                continue
            real = self._state.real(self._state.divert(path, package))
            node = self._state.tree.get(real)
            if node is None or real in self._written:
                continue
            if node.kind is not NodeKind.DIRECTORY or (
                real not in self._above
                and all(f"{real}/{name}" in self._removed for name in self._state.tree.names(real))
            ):
                self.remove(real)

    def _conffile(self, entry: Entry, real: str, incoming: Incoming) -> str:
        """Writes a configuration file, or does not; returns its hash as the package has it."""
        content = self._read(entry, incoming.deb)
        new = _hash(content)
        node = self._state.tree.get(real)
        present = None
        if node is not None:
            there = self._state.content(entry.path)
            present = _hash(there) if there is not None else "unknown"
        becomes = decide(known=incoming.conffiles.get(entry.path), present=present, new=new)
        attributes = self._state.attributes(entry, real, incoming.kept)
        if node is not None:
            attributes = dataclasses.replace(
                attributes, mode=node.attributes.mode, uid=node.attributes.uid, gid=node.attributes.gid
            )
        if becomes is Becomes.INSTALLED:
            self.put(real, content, attributes)
        elif becomes is Becomes.BESIDE:
            self.remove(f"{real}.dpkg-old")
            self.put(f"{real}.dpkg-dist", content, attributes)
            self.notes.append(
                f"/{entry.path} of {incoming.name} was changed or deleted in the image and stays so; "
                "its new version lies beside it as .dpkg-dist."
            )
        return new

    def _read(self, entry: Entry, deb: Deb) -> bytes:
        if entry.size > _MAX_CONFFILE or entry.content is None:
            raise deb.invalid(f"its configuration file /{entry.path} has {entry.size} bytes")
        return entry.content.read()

    def _write(self, entry: Entry, real: str, incoming: Incoming) -> None:
        node = self._state.tree.get(real)
        if real in self._written:
            return  # two architectures of one package bring the same file
        if entry.kind is NodeKind.DIRECTORY:
            if node is None or not self._is_directory(real):
                self._note(real)
                self._layer.directory(real, self._state.attributes(entry, real, incoming.kept))
            return
        if node is not None and node.kind is NodeKind.DIRECTORY:
            if entry.kind is NodeKind.SYMBOLIC_LINK:
                return  # as dpkg does: the directory stays
            raise incoming.deb.invalid(f"/{entry.path} would take the place of a directory")
        if entry.hard_link is not None:
            self._hard_link(entry, real, incoming)
            return
        attributes = self._state.attributes(entry, real, incoming.kept)
        self._note(real)
        if entry.kind is NodeKind.SYMBOLIC_LINK:
            self._layer.symbolic_link(real, entry.target, attributes)
        elif entry.content is not None:
            self._layer.file(real, attributes, entry.content, entry.size)
        else:
            self._layer.device(real, entry.kind, entry.device, attributes)

    def _hard_link(self, entry: Entry, real: str, incoming: Incoming) -> None:
        target = self._state.real(self._state.divert(entry.hard_link or "", incoming.name))
        if target not in self._written:
            raise incoming.deb.invalid(f"/{entry.path} is one more name of a file that is not there")
        self._note(real)
        self._layer.hard_link(real, target)

    def _is_directory(self, real: str) -> bool:
        followed = self._state.tree.real_path(real, last=True)
        node = self._state.tree.get(followed) if followed is not None else None
        return node is not None and node.kind is NodeKind.DIRECTORY

    def _note(self, real: str) -> None:
        self._written.add(real)
        above = real.rpartition("/")[0]
        while above and above not in self._above:
            self._above.add(above)
            above = above.rpartition("/")[0]


def _hash(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
