"""Images without dpkg: one file for each package, and one of the hashes of its files beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.fixer.image.node import Attributes, Layer, Tree
from services.fixer.plan.packages import SystemPlan
from services.fixer.systems.dpkg.build import open_deb
from services.fixer.systems.dpkg.control import decode
from services.fixer.systems.dpkg.deb import Entry
from services.fixer.systems.dpkg.image import ImageState, names_of
from services.fixer.systems.dpkg.unpack import Incoming, Unpacker

_FOR_PEOPLE: Final = tuple(f"usr/share/{each}/" for each in ("doc", "info", "lintian", "locale", "man"))
"""Such images leave these out, more or less: what the image has of them is renewed, nothing is added."""


class PartsBuild:
    """Builds for images that have a `status.d`: control file and hashes are the package's own, as they stand."""

    def __init__(self, tree: Tree, plan: SystemPlan, files: Mapping[str, Path], layer: Layer) -> None:
        self._state = ImageState(tree)
        self._unpacker = Unpacker(self._state, layer)
        self._packages = [(each, open_deb(each, files)) for each in plan.upgrades]

    def run(self) -> tuple[str, ...]:
        """Writes everything; returns what is to be told."""
        kept: set[str] = set()
        dropped: list[tuple[str, list[str]]] = []
        for upgrade, deb in self._packages:
            name = upgrade.installed.name
            done = self._unpacker.unpack(
                # Nothing in the image says whether a configuration file was changed: what is there stays.
                Incoming(name=name, deb=deb, conffiles={}, wanted=self._wanted, may_take=lambda _: True)
            )
            kept.update(each for path in done.paths for each in names_of(path))
            record = upgrade.installed.path
            dropped.append((name, self._listed(f"{record}.md5sums")))
            for path, kind in ((record, "control"), (f"{record}.md5sums", "md5sums")):
                file = deb.files.get(kind)
                if file is not None and (kind == "control" or self._state.node(path) is not None):
                    attributes = Attributes(mode=0o644, mtime=done.newest)
                    self._unpacker.put(self._state.real(path), file.content, attributes)
        for name, paths in dropped:
            self._unpacker.drop(paths, name, kept.__contains__)
        return tuple(self._unpacker.notes)

    def _wanted(self, entry: Entry) -> bool:
        return not f"{entry.path}/".startswith(_FOR_PEOPLE) or self._state.node(entry.path) is not None

    def _listed(self, path: str) -> list[str]:
        lines = decode(self._state.content(path) or b"").splitlines()
        return [name for line in lines if (name := line.partition("  ")[2].strip().lstrip("./"))]
