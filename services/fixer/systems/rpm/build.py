"""Writes what an upgrade changes: files, what goes, and the database."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.node import Attributes, Layer, Tree
from services.fixer.plan.packages import SystemPlan, Upgrade
from services.fixer.systems.rpm import database, tags
from services.fixer.systems.rpm.changes import Change, Owned, write_changes
from services.fixer.systems.rpm.excluded import Excluded, excluded_by
from services.fixer.systems.rpm.fates import Disk
from services.fixer.systems.rpm.files import files_of
from services.fixer.systems.rpm.header import CHAR, Header
from services.fixer.systems.rpm.package import Package, invalid, numbers_entry, open_package
from services.fixer.systems.rpm.relations import version_of
from services.fixer.systems.rpm.survey import corrupt, database_path, read_file
from services.rpmdb.faults import Damaged

_INT32: Final = 0xFFFF_FFFF


def build(tree: Tree, plan: SystemPlan, files: Mapping[str, Path], layer: Layer) -> tuple[str, ...]:
    """Writes the layer and returns notes.

    Raises:
        FixFailure: PACKAGE_INVALID, DATABASE_CORRUPT, DISK_FULL.
    """
    path = database_path(tree)
    if path is None:
        raise corrupt(plan.upgrades[0].installed.path, "is not there any more")
    before = read_file(tree, path)
    try:
        headers = {number: Header(blob) for number, blob in before.headers.items()}
        going = {_number(headers, upgrade): upgrade for upgrade in plan.upgrades}
        excluded = excluded_by(tree, headers.values())
        staying = [Owned(headers[number]) for number in sorted(headers.keys() - going.keys())]
        changes = [
            Change(package=open_package(files[upgrade.candidate.url]), old=headers[number], states=())
            for number, upgrade in sorted(going.items(), key=lambda item: _order(item[1]))
        ]
        changes = [_with_states(change, excluded) for change in changes]
    except Damaged as damage:
        raise corrupt(path, str(damage)) from damage
    notes, changes = write_changes(Disk(tree), tree, changes, staying, layer)
    after = _replaced(before, headers, sorted(going.items(), key=lambda item: _order(item[1])), changes)
    _write_database(tree, path, after, layer, max(_time(headers.values(), changes), 0))
    return notes


def _order(upgrade: Upgrade) -> tuple[str, str]:
    return upgrade.candidate.name, upgrade.candidate.architecture


def _number(headers: Mapping[int, Header], upgrade: Upgrade) -> int:
    package = upgrade.installed
    for number, header in headers.items():
        if (header.text(tags.NAME), header.text(tags.ARCH)) == (package.name, package.architecture) and version_of(
            header
        ) == package.version:
            return number
    raise Damaged(f"does not know {package.name} {package.version} any more")


def _with_states(change: Change, excluded: Excluded) -> Change:
    try:
        old, new = files_of(change.old), files_of(change.package.header)
    except Damaged as damage:
        raise invalid(change.package.title, str(damage)) from damage
    color = change.old.number(tags.INSTALL_COLOR)
    return dataclasses.replace(change, states=excluded.states(old, new, color))


def _time(headers: Iterable[Header], changes: Sequence[Change]) -> int:
    """Returns when all this was: of what is known from the inputs, the latest moment. The clock is not asked."""
    installed = [header.number(tags.INSTALL_TIME) for header in headers]
    built = [change.package.header.number(tags.BUILD_TIME) for change in changes]
    return min(max((*installed, *built), default=0), _INT32)


def _replaced(
    before: database.Database,
    headers: Mapping[int, Header],
    going: Sequence[tuple[int, Upgrade]],
    changes: Sequence[Change],
) -> database.Database:
    time = _time(headers.values(), changes)
    gone = {number for number, _ in going}
    after = {number: blob for number, blob in before.headers.items() if number not in gone}
    last = before.last
    for change in changes:
        last += 1
        after[last] = _installed(change.package, change, time)
    return database.Database(after, last)


def _installed(package: Package, change: Change, time: int) -> bytes:
    """Returns a package's header as rpm has it after installing."""
    added = package.inherited()
    added += [
        numbers_entry(tags.INSTALL_TIME, time),
        numbers_entry(tags.INSTALL_COLOR, change.old.number(tags.INSTALL_COLOR)),
        numbers_entry(tags.INSTALL_TID, time),
    ]
    if change.states:
        added.append((tags.FILE_STATES, CHAR, len(change.states), bytes(change.states)))
    try:
        return package.header.with_more(added)
    except Damaged as damage:
        raise invalid(package.title, str(damage)) from damage


def _write_database(tree: Tree, path: str, after: database.Database, layer: Layer, time: int) -> None:
    try:
        content = database.write_database(after)
    except Damaged as damage:
        raise corrupt(path, str(damage)) from damage
    except MemoryError as error:
        raise FixFailure(FixReason.DATABASE_CORRUPT, "The package database is too large to be written.") from error
    node = tree.get(path)
    attributes = node.attributes if node is not None else Attributes(mode=0o644)
    layer.file(path, dataclasses.replace(attributes, mtime=time), io.BytesIO(content), len(content))
    for journal in database.JOURNALS:
        # Of the database that was; rpm makes new ones.
        if tree.get(path.removesuffix(database.FILE) + journal) is not None:
            layer.remove(path.removesuffix(database.FILE) + journal)
