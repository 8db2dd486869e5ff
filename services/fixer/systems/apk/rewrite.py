"""The database as apk leaves it: `installed`, scripts and triggers (apk-tools, `apk_db_write_layers`)."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Mapping

from services.fixer.image.node import Attributes, NodeKind
from services.fixer.plan.packages import Upgrade
from services.fixer.systems.apk.database import Record, write_database
from services.fixer.systems.apk.dependencies import parse
from services.fixer.systems.apk.package import Control
from services.fixer.systems.apk.scripts import write_triggers
from services.fixer.systems.apk.survey import WORLD, hex_checksum, is_lock, read_scripts, scripts_path
from services.fixer.systems.apk.work import Work, is_file


def write_back(
    work: Work, folder: str, upgrades: Iterable[Upgrade], olds: Iterable[Record], controls: Iterable[Control]
) -> None:
    """Writes the three files of the database that upgrades change; what says nothing new is left."""
    archive = read_scripts(work.tree, folder)
    hexadecimal = archive.hexadecimal()
    if hexadecimal is None:
        hexadecimal = work.records["apk-tools"].version.startswith("3") if "apk-tools" in work.records else False
    scripts: dict[str, tuple[str, Mapping[str, bytes], int]] = {}
    triggers: dict[str, tuple[str, tuple[str, ...]]] = {}
    for upgrade, old, control in zip(upgrades, olds, controls, strict=True):
        before, after = old.fields.get("C", ""), upgrade.candidate.fields["C"]
        triggers[before] = (after, control.triggers)
        if hexadecimal:
            before, after = hex_checksum(before), hex_checksum(after)
        built = upgrade.candidate.fields.get("t", "0")
        stem = f"{upgrade.candidate.name}-{upgrade.candidate.version}.{after}"
        scripts[before] = (stem, control.scripts, int(built) if built.isdecimal() and len(built) < 12 else 0)
    _rewrite(work, f"{folder}/installed", write_database(work.records.values()))
    _rewrite(work, scripts_path(work.tree, folder), archive.replaced(scripts))
    before_triggers = f"{folder}/triggers"
    said = work.tree.read(before_triggers) if is_file(work.tree, before_triggers) else b""
    _rewrite(work, before_triggers, write_triggers(said, triggers))
    _write_world(work, {old.name: (old.version, work.records[old.name].version) for old in olds})


def _write_world(work: Work, versions: Mapping[str, tuple[str, str]]) -> None:
    """Lets the lock of apko's build say what is installed now; else apk would want the old versions back."""
    if not is_file(work.tree, WORLD):
        return
    olds = {name: old for name, (old, _) in versions.items()}
    lines = work.tree.read(WORLD).decode("utf-8", "surrogateescape").split("\n")
    for number, line in enumerate(lines):
        pins = parse(line)
        if len(pins) == 1 and is_lock(pins[0], olds):
            lines[number] = str(dataclasses.replace(pins[0], version=versions[pins[0].name][1]))
    _rewrite(work, WORLD, "\n".join(lines).encode("utf-8", "surrogateescape"))


def _rewrite(work: Work, path: str, content: bytes) -> None:
    """Writes a file of the database as it was before, with another content; what stays the same is not written."""
    node = work.tree.get(path)
    if node is None and not content.strip(b"\0"):
        return
    if node is not None and node.kind is NodeKind.FILE and work.tree.read(path) == content:
        return
    attributes = node.attributes if node is not None else Attributes(mode=0o644)
    work.layer.file(path, attributes, io.BytesIO(content), len(content))
