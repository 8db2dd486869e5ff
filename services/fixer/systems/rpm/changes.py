"""The files of an upgrade, written in order: what comes, what is kept beside it, what goes."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Final, cast

from services.fixer.image.node import Attributes, Layer, Node, NodeKind, Tree
from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.fates import Disk, Fate, differ, fate_of, is_kept
from services.fixer.systems.rpm.files import File, files_of, names_of_files
from services.fixer.systems.rpm.header import Header
from services.fixer.systems.rpm.owners import Owners
from services.fixer.systems.rpm.package import Package, invalid
from services.fixer.systems.rpm.payload import Entry, entries
from services.rpmdb.faults import Damaged

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAX_NOTES: Final = 200
_DEVICES: Final = {
    stat.S_IFCHR: NodeKind.CHARACTER_DEVICE,
    stat.S_IFBLK: NodeKind.BLOCK_DEVICE,
    stat.S_IFIFO: NodeKind.FIFO,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One package that replaces another."""

    package: Package
    old: Header
    states: tuple[int, ...]
    """Of each of its files."""


class Owned:
    """A package that stays, and the files that it owns."""

    def __init__(self, header: Header) -> None:
        self.name = header.text(tags.NAME)
        self.files = files_of(header)


def write_changes(
    disk: Disk, tree: Tree, changes: Sequence[Change], staying: Iterable[Owned], layer: Layer
) -> tuple[tuple[str, ...], list[Change]]:
    """Writes all files; returns notes, and the changes with the states that their files have now.

    Raises:
        FixFailure: PACKAGE_INVALID.
    """
    owned = {
        disk.real(file.path): (package.name, file)
        for package in staying
        for file in package.files
        if file.state == tags.NORMAL
    }
    writer = _Writer(disk, tree, owned, layer)
    planned = [writer.plan(change) for change in changes]
    for each in planned:
        writer.write(each)
    for each in planned:
        writer.take_away(each)
    writer.take_away_directories()
    after = [dataclasses.replace(each.change, states=tuple(each.states)) for each in planned]
    return tuple(writer.notes[:_MAX_NOTES]), after


@dataclasses.dataclass(slots=True)
class _Planned:
    change: Change
    old: tuple[File, ...]
    new: tuple[File, ...]
    states: list[int]
    fates: list[Fate]


class _Writer:
    def __init__(self, disk: Disk, tree: Tree, owned: Mapping[str, tuple[str, File]], layer: Layer) -> None:
        self._disk = disk
        self._tree = tree
        self._owned = owned
        self._layer = layer
        self._owners = Owners(tree)
        self._coming: dict[str, tuple[_Planned, int]] = {}
        """By real path, the first package that brings a file, and which of its files it is."""
        self._written: set[str] = set()
        self._gone: set[str] = set()
        self._directories: set[str] = set()
        self.notes: list[str] = []

    def plan(self, change: Change) -> _Planned:
        """Decides what becomes of each of a package's files."""
        try:
            old, new = files_of(change.old), files_of(change.package.header)
        except Damaged as damage:
            raise invalid(change.package.title, str(damage)) from damage
        planned = _Planned(change, old, new, list(change.states), [Fate.SKIP] * len(new))
        before = {self._disk.real(file.path): file for file in old}
        for number, file in enumerate(new):
            real = self._disk.real(file.path)
            if real in self._coming:
                self._share(planned, number, real)
                continue
            self._coming[real] = planned, number
            if planned.states[number] == tags.NORMAL and not self._yields(planned, number, real):
                planned.fates[number] = fate_of(self._disk, file, before.get(real))
        return planned

    def _share(self, planned: _Planned, number: int, real: str) -> None:
        """Two packages bring one file: one of them writes it, of two machines' programs the wider one's."""
        other, place = self._coming[real]
        one, two = planned.new[number], other.new[place]
        if tags.NORMAL not in (planned.states[number], other.states[place]) or not differ(one, two):
            if other.fates[place] is Fate.SKIP and not two.is_ghost and planned.states[number] == tags.NORMAL:
                self._coming[real] = planned, number
                planned.fates[number] = Fate.SKIP if one.is_ghost else Fate.CREATE
            return
        if not one.color or not two.color or one.color == two.color:
            raise invalid(
                planned.change.package.title, f"has another /{real[:200]} than {other.change.package.title}"
            )
        if one.color > two.color:
            other.states[place], other.fates[place] = tags.WRONG_COLOR, Fate.SKIP
            planned.fates[number] = Fate.CREATE
            self._coming[real] = planned, number
        else:
            planned.states[number] = tags.WRONG_COLOR

    def _yields(self, planned: _Planned, number: int, real: str) -> bool:
        """Tells whether a package that stays keeps its own file there."""
        if real not in self._owned:
            return False
        name, other = self._owned[real]
        file = planned.new[number]
        if not differ(file, other) or (file.is_config and other.is_config):
            return False
        if file.color and other.color and file.color != other.color:
            if file.color < other.color:
                planned.states[number] = tags.WRONG_COLOR
                return True
            return False
        if file.is_directory and other.is_directory:
            return False
        raise invalid(planned.change.package.title, f"has another /{real[:200]} than {name}, which stays")

    def write(self, planned: _Planned) -> None:
        """Unpacks a package's payload."""
        package = planned.change.package
        by_path = {file.path: number for number, file in enumerate(planned.new)}
        together = names_of_files(planned.new)
        sizes = [
            file.size if file.is_link or (file.is_plain and together.get(file.inode, [-1])[-1] == number) else 0
            for number, file in enumerate(planned.new)
        ]
        lacking = {number for number, file in enumerate(planned.new) if planned.fates[number] is not Fate.SKIP}
        try:
            with entries(package, sizes) as found:
                for entry in found:
                    number = entry.number if entry.number >= 0 else by_path.get(entry.path, -1)
                    if number < 0:
                        raise Damaged("has a file in its payload that its header does not tell of")
                    lacking.difference_update(self._write_entry(planned, number, entry, together))
        except Damaged as damage:
            raise invalid(package.title, str(damage)) from damage
        if lacking:
            path = planned.new[min(lacking)].path
            raise invalid(package.title, f"lacks /{path[:200]}, which its header tells of")

    def _write_entry(
        self, planned: _Planned, number: int, entry: Entry, together: Mapping[tuple[int, int], Sequence[int]]
    ) -> Iterator[int]:
        """Writes a file, and yields the numbers of all names that it was written under."""
        file = planned.new[number]
        if file.is_plain:
            if together.get(file.inode, [-1])[-1] != number:
                if entry.size:
                    raise Damaged("has content at a name that is not the last of its file's")
                return
            names = [each for each in together[file.inode] if planned.fates[each] is not Fate.SKIP]
            self._write_file(planned, names, entry.content, entry.size)
            yield from names
        elif planned.fates[number] is not Fate.SKIP:
            self._write_special(file, planned.fates[number])
            yield number

    def _write_file(self, planned: _Planned, names: Sequence[int], content: IO[bytes], size: int) -> None:
        first = ""
        for number in names:
            file, fate = planned.new[number], planned.fates[number]
            path = self._place(file, fate)
            if first:
                self._layer.hard_link(path, first)
                continue
            if size != file.size:
                raise Damaged(f"has /{file.path[:200]} in another size than its header tells")
            checked = _Checked(content, file)
            reader = cast("io.BufferedReader", io.BufferedReader(checked, 1 << 17))
            self._layer.file(path, self._owners.attributes(file), reader, size)
            checked.finish()
            first = path

    def _write_special(self, file: File, fate: Fate) -> None:
        attributes = self._owners.attributes(file)
        if file.is_directory:
            self._write_directory(file, attributes)
            return
        path = self._place(file, fate)
        if file.is_link:
            self._layer.symbolic_link(path, file.target, attributes)
            return
        kind = _DEVICES.get(stat.S_IFMT(file.mode))
        if kind is None:
            raise Damaged(f"has /{file.path[:200]}, which is nothing that an image can hold")
        self._layer.device(path, kind, (0, 0) if kind is NodeKind.FIFO else file.device, attributes)

    def _write_directory(self, file: File, attributes: Attributes) -> None:
        """Leaves one that is there as it is, but for who owns it; a link to one counts as it."""
        real = self._disk.real(file.path)
        node = self._tree.get(real)
        if node is not None and node.kind is NodeKind.SYMBOLIC_LINK:
            behind = self._tree.real_path(file.path, last=True)
            there = self._tree.get(behind) if behind is not None else None
            if behind is not None and there is not None and there.kind is NodeKind.DIRECTORY:
                real, node = behind, there
        self._written.add(real)
        if node is not None and node.kind is NodeKind.DIRECTORY:
            is_so = (node.attributes.mode, node.attributes.uid, node.attributes.gid)
            if is_so == (attributes.mode, attributes.uid, attributes.gid) or not real:
                return
            attributes = dataclasses.replace(attributes, xattrs=node.attributes.xattrs)
        self._layer.directory(real, attributes)

    def _place(self, file: File, fate: Fate) -> str:
        """Returns where a file is written, with what was there put aside."""
        real = self._disk.real(file.path)
        node = self._tree.get(real)
        if node is not None and node.kind is NodeKind.DIRECTORY:
            raise Damaged(f"has a file where the image has the directory /{real[:200]}")
        if fate is Fate.BESIDE:
            self.notes.append(f"/{real} was kept; the new one lies beside it as /{real}{fate.value}.")
            real += fate.value
        elif fate in (Fate.SAVE, Fate.BACKUP) and node is not None:
            self._save(real, node, fate)
        self._written.add(real)
        return real

    def _save(self, real: str, node: Node, fate: Fate) -> None:
        beside = real + fate.value
        if node.kind is NodeKind.SYMBOLIC_LINK:
            self._layer.symbolic_link(beside, node.target, node.attributes)
        elif node.kind is NodeKind.FILE:
            content = self._tree.read(real)
            self._layer.file(beside, node.attributes, io.BytesIO(content), len(content))
        else:
            return
        self._written.add(beside)
        self.notes.append(f"/{real} was changed in the image; it is kept as /{beside}.")

    def take_away(self, planned: _Planned) -> None:
        """Takes away what the old version had, and nobody has now."""
        for file in reversed(planned.old):
            real = self._disk.real(file.path)
            if not real or file.state != tags.NORMAL or real in self._coming or real in self._owned:
                continue
            node = self._tree.get(real)
            if node is None or real in self._gone:
                continue
            if node.kind is NodeKind.DIRECTORY:
                if file.is_directory:
                    self._directories.add(real)
            elif is_kept(self._disk, file):
                if not file.is_ghost:
                    self._save(real, node, Fate.SAVE)
                    self._remove(real)
            else:
                self._remove(real)

    def _remove(self, real: str) -> None:
        if real not in self._written:
            self._gone.add(real)
            self._layer.remove(real)

    def take_away_directories(self) -> None:
        """Takes away the directories that the old versions had and that are empty now."""
        above = {real[:at] for real in self._written for at, letter in enumerate(real) if letter == "/"}
        for real in sorted(self._directories, reverse=True):
            if real in above or real in self._written:
                continue
            if all(f"{real}/{name}" in self._gone for name in self._tree.names(real)):
                self._remove(real)


class _Checked(io.RawIOBase):
    """A file's content, held against the hash that the header has of it."""

    def __init__(self, content: IO[bytes], file: File) -> None:
        self._content = content
        self._file = file
        self._hasher = hashlib.new(file.algorithm or "sha256", usedforsecurity=False)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        chunk = self._content.read(len(view))
        view[: len(chunk)] = chunk
        self._hasher.update(chunk)
        return len(chunk)

    def finish(self) -> None:
        """Raises Damaged where it was another file."""
        if self._file.digest and self._hasher.hexdigest() != self._file.digest:
            raise Damaged(f"has /{self._file.path[:200]} with another content than its header tells")
