"""Writes what an upgrade changes: files, what goes, and the database."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path

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
        going = sorted(
            ((_number(headers, each), each) for each in plan.upgrades), key=lambda item: _order(item[1])
        )
        gone = {number for number, _ in going}
        excluded = excluded_by(tree, headers.values())
        staying = [Owned(headers[number]) for number in sorted(headers.keys() - gone)]
        time = max((header.number(tags.INSTALL_TIME) for header in headers.values()), default=0)
    except Damaged as damage:
        raise corrupt(path, str(damage)) from damage
    changes = [_change(headers[number], files[each.candidate.url], excluded) for number, each in going]
    # When all this was: of what is known from the inputs, the latest moment. The clock is not asked.
    time = max(time, *(_built(change.package) for change in changes))
    notes, changes = write_changes(Disk(tree), tree, changes, staying, layer)
    after = {number: blob for number, blob in before.headers.items() if number not in gone}
    after |= {before.last + at: _installed(change, time) for at, change in enumerate(changes, start=1)}
    _write_database(tree, path, database.Database(after, before.last + len(changes)), layer, time)
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


def _change(old: Header, path: Path, excluded: Excluded) -> Change:
    package = open_package(path)
    try:
        states = excluded.states(files_of(old), files_of(package.header), old.number(tags.INSTALL_COLOR))
    except Damaged as damage:
        raise invalid(package.title, str(damage)) from damage
    return Change(package=package, old=old, states=states)


def _built(package: Package) -> int:
    try:
        return package.header.number(tags.BUILD_TIME)
    except Damaged as damage:
        raise invalid(package.title, str(damage)) from damage


def _installed(change: Change, time: int) -> bytes:
    """Returns a package's header as rpm has it after installing."""
    package = change.package
    try:
        added = [
            *package.inherited(),
            numbers_entry(tags.INSTALL_TIME, time),
            numbers_entry(tags.INSTALL_COLOR, change.old.number(tags.INSTALL_COLOR)),
            numbers_entry(tags.INSTALL_TID, time),
        ]
        if change.states:
            added.append((tags.FILE_STATES, CHAR, len(change.states), bytes(change.states)))
        blob = package.header.with_more(added)
        database.check_header(blob)
    except Damaged as damage:
        raise invalid(package.title, str(damage)) from damage
    return blob


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
