"""Owners of a package's files: by name where the image has that user or group, as apk does, else by number."""

from __future__ import annotations

import tarfile
from typing import Final

from services.fixer.image.node import NodeKind, Tree
from services.fixer.systems.accounts import GROUPS, USERS, ids_of

_MAX_BYTES: Final = 4 << 20
_MAX_ID: Final = 1 << 32


class Ids:
    """The image's users and groups."""

    def __init__(self, tree: Tree) -> None:
        """Reads them; where there are none, numbers say it all."""
        self._users = _read(tree, USERS)
        self._groups = _read(tree, GROUPS)

    def uid(self, info: tarfile.TarInfo) -> int:
        """Returns the number of an entry's user in the image."""
        return self._users.get(info.uname, info.uid % _MAX_ID)

    def gid(self, info: tarfile.TarInfo) -> int:
        """Returns the number of an entry's group in the image."""
        return self._groups.get(info.gname, info.gid % _MAX_ID)


def _read(tree: Tree, path: str) -> dict[str, int]:
    real = tree.real_path(path, last=True)
    node = tree.get(real) if real is not None else None
    if real is None or node is None or node.kind is not NodeKind.FILE or node.size > _MAX_BYTES:
        return {}
    try:
        return ids_of(tree.read(real).decode("utf-8", "surrogateescape"))
    except KeyError:  # a link that leads to where nothing was to be read
        return {}
