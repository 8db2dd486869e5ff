"""Building: what apk would have changed, written as one layer, and the database as apk leaves it.

Follows `apk_db_install_file`, `apk_db_migrate_files` and `apk_db_purge_pkg` of apk-tools: the files of all new
packages first, then what only the old ones had goes, then the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from services.fixer.image.node import Layer, Tree
from services.fixer.plan.packages import SystemPlan
from services.fixer.systems.accounts import GROUPS, USERS
from services.fixer.systems.apk.database import Record, corrupt, read_database
from services.fixer.systems.apk.ids import Ids
from services.fixer.systems.apk.install import install
from services.fixer.systems.apk.package import Control, open_control
from services.fixer.systems.apk.protected import FOLDER, PROTECTED, ProtectedPaths
from services.fixer.systems.apk.purge import purge
from services.fixer.systems.apk.rewrite import write_back
from services.fixer.systems.apk.survey import database_folder
from services.fixer.systems.apk.work import Work, is_file


def reads(path: str, plan: SystemPlan) -> bool:
    """Tells whether building reads the image's file at a real path: lists, owners, and what is protected."""
    if path in (USERS, GROUPS) or (path.startswith(f"{FOLDER}/") and path.endswith(".list")):
        return bool(plan.upgrades)
    return any(path in upgrade.candidate.fields.get(PROTECTED, "").split("\n") for upgrade in plan.upgrades)


def build_layer(tree: Tree, plan: SystemPlan, files: Mapping[str, Path], layer: Layer) -> tuple[str, ...]:
    """Writes the layer; returns what there is to be told.

    Raises:
        FixFailure: PACKAGE_TAMPERED, PACKAGE_INVALID, DATABASE_CORRUPT.
    """
    folder = database_folder(tree)
    if folder is None:
        raise corrupt("is not there any more")
    records = {record.name: record for record in read_database(tree.read(f"{folder}/installed"))}
    work = Work(
        tree=tree,
        layer=layer,
        records=records,
        owners={path: record.name for record in records.values() for path, _ in record.paths()},
        protected=ProtectedPaths(_lists(tree)),
        ids=Ids(tree),
        database=f"{folder}/",
        still_to_come={upgrade.installed.name for upgrade in plan.upgrades},
    )
    olds: list[Record] = []
    controls: list[Control] = []
    for upgrade in plan.upgrades:
        old = records.get(upgrade.installed.name)
        if old is None or old.version != upgrade.installed.version:
            raise corrupt(f"has no {upgrade.installed.name} {upgrade.installed.version} any more")
        path = files[upgrade.candidate.url]
        controls.append(open_control(path, upgrade.candidate))
        olds.append(old)
        work.still_to_come.discard(old.name)
        install(work, upgrade, controls[-1], path)
    purge(work, olds)
    write_back(work, folder, plan.upgrades, olds, controls)
    return tuple(work.notes)


def _lists(tree: Tree) -> list[str]:
    folder = tree.real_path(FOLDER, last=True)
    if folder is None:
        return []
    paths = [f"{folder}/{name}" for name in tree.names(folder) if name.endswith(".list")]
    return [tree.read(path).decode("utf-8", "replace") for path in paths if is_file(tree, path)]
