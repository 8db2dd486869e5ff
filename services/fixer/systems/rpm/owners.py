"""Who owns a file: rpm has names, the file system numbers."""

from __future__ import annotations

import stat
from typing import Final

from services.fixer.image.node import Attributes, Tree
from services.fixer.systems.accounts import GROUPS, USERS, ids_of
from services.fixer.systems.rpm import capabilities
from services.fixer.systems.rpm.files import File
from services.fixer.systems.rpm.release import read_text

FILES: Final = (USERS, GROUPS)
_MAX_BYTES: Final = 4 << 20


class Owners:
    """The image's users and groups."""

    def __init__(self, tree: Tree) -> None:
        self._users, self._groups = (
            {**ids_of(read_text(tree, path, _MAX_BYTES) or ""), "root": 0} for path in FILES
        )

    def attributes(self, file: File) -> Attributes:
        """Returns what rpm gives a file; that of an unknown user or group is root's, and not setuid or setgid.

        Raises:
            Damaged: capabilities that nobody knows.
        """
        mode = stat.S_IMODE(file.mode)
        uid, gid = self._users.get(file.user), self._groups.get(file.group)
        if uid is None:
            mode &= ~stat.S_ISUID
        if gid is None:
            mode &= ~stat.S_ISGID
        if file.is_link:
            mode = 0o777
        xattr = capabilities.to_xattr(file.capabilities) if file.is_plain else b""
        return Attributes(
            mode=mode,
            uid=uid or 0,
            gid=gid or 0,
            mtime=file.mtime,
            xattrs={capabilities.XATTR: xattr} if xattr else {},
        )
