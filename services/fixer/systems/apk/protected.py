"""Folders whose files are the administrator's: what apk does not overwrite (apk-protected_paths(5)).

`/etc` is protected unless the image says otherwise; which file of it was changed tells the hash in the database.
"""

from __future__ import annotations

import enum
import fnmatch
from collections.abc import Iterable
from typing import Final

FOLDER: Final = "etc/apk/protected_paths.d"
PROTECTED: Final = "protected"
"""Field of a plan's candidates: files of the package that may be the administrator's, a line each."""
_DEFAULT: Final = ("+etc", "@etc/init.d", "!etc/apk")


class _Mode(enum.Enum):
    NONE = ""
    IGNORE = "-"
    CHANGED = "+"
    SYMLINKS_ONLY = "@"
    ALL = "!"


_MODES: Final = {mode.value: mode for mode in _Mode if mode is not _Mode.NONE}
_FREE: Final = frozenset((_Mode.NONE, _Mode.IGNORE))


class ProtectedPaths:
    """Tells of folders whether they are protected; a later line wins, and folders inherit."""

    def __init__(self, lists: Iterable[str] = ()) -> None:
        """Takes the image's own lists, in the order of their names."""
        self._patterns: list[tuple[list[str], _Mode]] = []
        for line in (*_DEFAULT, *(line for each in lists for line in each.splitlines())):
            mode = _MODES.get(line[:1])
            pattern = (line[1:] if mode is not None else line).strip("/")
            if pattern and not line.startswith("#"):
                self._patterns.append((pattern.split("/"), mode or _Mode.CHANGED))

    def protects(self, folder: str) -> bool:
        """Tells whether the files right in a folder are protected."""
        mode = _Mode.NONE
        parts = folder.split("/") if folder else []
        for depth in range(1, len(parts) + 1):
            for pattern, said in self._patterns:
                if len(pattern) == depth and all(map(fnmatch.fnmatchcase, parts[:depth], pattern)):
                    mode = said
        return mode not in _FREE
