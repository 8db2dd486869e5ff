"""Taking away what only the old packages had (`apk_db_purge_pkg` of apk-tools)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.fixer.image.node import NodeKind
from services.fixer.systems.apk.database import Record
from services.fixer.systems.apk.work import Work

APK_NEW: Final = ".apk-new"
"""What a new file is called beside one of the administrator's."""


def purge(work: Work, olds: Iterable[Record]) -> None:
    """Takes away files and folders that no package has any more."""
    gone: set[str] = set()
    folders: set[str] = set()
    still = {path for record in work.records.values() for path, _ in record.paths()}
    for old in olds:
        for folder, owned in old.folders.items():
            protected = work.protected.protects(folder)
            folders.add(folder)
            for name, file in owned.files.items():
                path = f"{folder}/{name}" if folder else name
                if path in still:
                    continue
                if not protected or work.unchanged(path, file.digest):
                    gone.add(path)
                if protected:
                    gone.add(path + APK_NEW)
    kept = {folder for record in work.records.values() for folder in _with_parents(record.folders)}
    _remove(work, gone, folders - kept)


def _with_parents(folders: Iterable[str]) -> set[str]:
    found = set()
    for folder in folders:
        above = folder
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


def _remove(work: Work, gone: set[str], folders: set[str]) -> None:
    """Writes removals: of a folder that is left empty, its own alone."""
    reals = {}
    for path in gone:
        real, node = work.node(path)
        if node is not None and node.kind is not NodeKind.DIRECTORY and real not in work.written:
            reals[real] = path
    empty: set[str] = set()
    for folder in sorted(folders, key=lambda each: -each.count("/")):
        real, node = work.node(folder)
        if not folder or node is None or node.kind is not NodeKind.DIRECTORY:
            continue
        inside = [f"{real}/{name}" for name in work.tree.names(real)]
        fresh = any(path.startswith(f"{real}/") for path in work.written)
        if not fresh and all(each in reals or each in empty for each in inside):
            empty.add(real)
            reals[real] = folder
    for real in sorted(reals):
        if real.rpartition("/")[0] not in empty:
            work.layer.remove(reals[real])
