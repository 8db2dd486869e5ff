"""One package in the place of its older version (`apk_db_install_file`, `apk_db_migrate_files` of apk-tools)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import BinaryIO, Final

from services.fixer.failure import FixFailure
from services.fixer.image.node import Attributes, NodeKind
from services.fixer.plan.packages import Candidate, Upgrade
from services.fixer.systems.apk.database import OwnedFile, OwnedFolder, Record
from services.fixer.systems.apk.package import Control, Entry, invalid, open_data
from services.fixer.systems.apk.purge import APK_NEW
from services.fixer.systems.apk.replaces import Replaces, takes
from services.fixer.systems.apk.work import Work, has

_HEADER: Final = "CPVASITULomtckDpi"
"""Lines of a record in apk's order; some are written though they say nothing."""
_ALWAYS: Final = frozenset("CPVASITUL")
_UNLESS_NONE: Final = frozenset("tk")
_DEVICES: Final = {b"3": NodeKind.CHARACTER_DEVICE, b"4": NodeKind.BLOCK_DEVICE, b"6": NodeKind.FIFO}


def install(work: Work, upgrade: Upgrade, control: Control, path: Path) -> None:
    """Writes the files of a new package, and puts its record in the place of the old one.

    Raises:
        FixFailure: PACKAGE_INVALID.
    """
    _Coming(work, upgrade, control).install(path)


class _Coming:
    def __init__(self, work: Work, upgrade: Upgrade, control: Control) -> None:
        candidate = upgrade.candidate
        self._work = work
        self._name = candidate.name
        self._label = f"{candidate.name} {candidate.version}"
        self._control = control
        self._old = work.records[candidate.name]
        self._record = Record(_fields(candidate, control, self._old))
        self._says = Replaces.of_candidate(candidate, control)
        self._written: dict[str, str] = {}
        """Where the layer has its files, by their paths."""

    def install(self, path: Path) -> None:
        work = self._work
        with open_data(path, self._control, self._label) as entries:
            for entry, content in entries:
                if work.node(entry.path)[0].startswith(work.database):
                    raise self._invalid(f"has a file of apk's own database: /{entry.path}")
                if entry.info.isdir():
                    self._folder(entry)
                elif has(self._old, entry.path) or self._may_have(entry.path):
                    self._file(entry, content)
        for gone, _ in self._old.paths():
            if work.owners.get(gone) == self._name and not has(self._record, gone):
                del work.owners[gone]
        work.records[self._name] = self._record

    def _folder(self, entry: Entry) -> None:
        """Writes a folder that the image has not; another gets new attributes only where it had the old ones."""
        attributes = self._attributes(entry)
        owned = self._record.folders.setdefault(entry.path, OwnedFolder())
        owned.acl = entry.acl(attributes.uid, attributes.gid)
        real, node = self._work.node(entry.path)
        if node is None:
            if real not in self._work.written:
                self._work.layer.directory(entry.path, attributes)
                self._work.written.add(real)
            return
        if node.kind is not NodeKind.DIRECTORY and has(self._old, entry.path):
            raise self._invalid(f"makes a folder of what was none: /{entry.path}")
        before = self._old.folders.get(entry.path)
        if node.kind is not NodeKind.DIRECTORY or before is None or self._shared(entry.path):
            return
        had = (node.attributes.mode, node.attributes.uid, node.attributes.gid)
        wants = (attributes.mode, attributes.uid, attributes.gid)
        if had == (before.acl.mode, before.acl.uid, before.acl.gid) and had != wants:
            changed = dataclasses.replace(node.attributes, mode=wants[0], uid=wants[1], gid=wants[2])
            self._work.layer.directory(entry.path, changed)
            self._work.written.add(real)

    def _shared(self, folder: str) -> bool:
        """Whether another package has the folder too: then it stays as it is."""
        return any(folder in record.folders for name, record in self._work.records.items() if name != self._name)

    def _may_have(self, path: str) -> bool:
        """Tells whether it may have a file, as far as another package has it."""
        owner = self._work.owners.get(path)
        if owner is None or owner == self._name:
            return True
        may = takes(self._says, Replaces.of_record(self._work.records[owner]))
        if may is None and owner not in self._work.still_to_come:
            raise self._invalid(f"has /{path}, which is {owner}'s")
        return may is not False

    def _file(self, entry: Entry, content: BinaryIO | None) -> None:
        folder, _, name = entry.path.rpartition("/")
        if folder and folder not in self._record.folders:
            raise self._invalid(f"has no folder for its file /{entry.path}")
        owned = self._record.folders.setdefault(folder, OwnedFolder())
        attributes = self._attributes(entry)
        digest = entry.digest
        if entry.info.islnk():
            digest = self._digest_of(entry.info.linkname) or digest
        place = self._place(entry.path, folder, name, digest)
        if place:
            self._write(place, entry, attributes, content)
            self._written[entry.path] = place
        owned.files[name] = OwnedFile(entry.acl(attributes.uid, attributes.gid), digest)
        self._claim(entry.path, folder, name)

    def _place(self, path: str, folder: str, name: str, digest: str) -> str:
        """Returns where a file is written: at its path, beside it as `.apk-new`; empty for nowhere."""
        work = self._work
        real, node = work.node(path)
        if node is not None and node.kind is NodeKind.DIRECTORY:
            raise self._invalid(f"has a file where the image has a folder: /{path}")
        if real in work.written:
            raise self._invalid(f"has /{path}, which is written already")
        if not work.protected.protects(folder):
            return path
        owner = work.records.get(work.owners.get(path, ""), self._old)
        before = owner.folders.get(folder, OwnedFolder()).files.get(name, OwnedFile())
        if work.unchanged(path, before.digest):
            return path
        if work.unchanged(path, digest):
            return ""
        work.notes.append(
            f"/{path} was changed in the image and stays; the new one of {self._label} is beside it: {APK_NEW}."
        )
        return path + APK_NEW

    def _write(self, path: str, entry: Entry, attributes: Attributes, content: BinaryIO | None) -> None:
        info, layer = entry.info, self._work.layer
        if info.isreg() and content is not None:
            layer.file(path, attributes, content, info.size)
        elif info.issym():
            layer.symbolic_link(path, info.linkname, attributes)
        elif info.islnk():
            target = self._written.get(info.linkname.strip("/"))
            if target is None:
                raise self._invalid(f"has a hard link to what is not written: /{entry.path}")
            layer.hard_link(path, target)
        elif info.type in _DEVICES:
            layer.device(path, _DEVICES[info.type], (info.devmajor, info.devminor), attributes)
        else:
            raise self._invalid(f"has something that is no file: /{entry.path}")
        self._work.written.add(self._work.node(path)[0])

    def _claim(self, path: str, folder: str, name: str) -> None:
        """Takes a file over from the package that had it."""
        owner = self._work.owners.get(path)
        if owner is not None and owner != self._name:
            owned = self._work.records[owner].folders.get(folder)
            if owned is not None:
                owned.files.pop(name, None)
        self._work.owners[path] = self._name

    def _digest_of(self, path: str) -> str:
        folder, _, name = path.strip("/").rpartition("/")
        return self._record.folders.get(folder, OwnedFolder()).files.get(name, OwnedFile()).digest

    def _attributes(self, entry: Entry) -> Attributes:
        return Attributes(
            mode=entry.info.mode & 0o7777,
            uid=self._work.ids.uid(entry.info),
            gid=self._work.ids.gid(entry.info),
            mtime=max(0, int(entry.info.mtime)),
            xattrs=entry.xattrs,
        )

    def _invalid(self, what: str) -> FixFailure:
        return invalid(self._label, what)


def _fields(candidate: Candidate, control: Control, old: Record) -> dict[str, str]:
    """Returns the lines about the package, in the order in which apk writes them."""
    fields = {}
    for letter in _HEADER:
        value = candidate.fields.get(letter, "")
        if (value or letter in _ALWAYS) and not (letter in _UNLESS_NONE and value == "0"):
            fields[letter] = value
    if control.replaces:
        fields["r"] = control.replaces
    if control.replaces_priority:
        fields["q"] = str(control.replaces_priority)
    if "s" in old.fields:
        fields["s"] = old.fields["s"]
    return fields
