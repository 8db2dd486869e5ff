"""Globs: which rules are about a path, told fast enough to be asked for every file of every layer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
_WILD = re.compile(r"[*?\[]")


class Globs(Generic[T]):
    """Values by globs: `*` stays within a name, `**/` stands for any folders, none included.

    A glob ends with a whole name or begins with a whole folder, by which most paths are turned away at once.
    """

    def __init__(self, items: Iterable[tuple[str, T]]) -> None:
        """Raises ValueError for a glob with neither."""
        self._named: dict[str, list[tuple[re.Pattern[str], T]]] = {}
        self._below: dict[str, list[tuple[re.Pattern[str], T]]] = {}
        for glob, value in items:
            name = glob.rpartition("/")[2]
            if not _WILD.search(name):
                self._named.setdefault(name, []).append((_compiled(glob), value))
                continue
            wild = _WILD.search(glob)
            folder = glob[: wild.start() if wild else None].rpartition("/")[0]
            if not folder:
                raise ValueError(f"{glob!r} has neither a whole name nor a whole folder")
            self._below.setdefault(f"{folder}/", []).append((_compiled(glob), value))
        self._folders = tuple(self._below)

    def of(self, path: str) -> list[T]:
        """Returns the values of all globs that the path meets, in the order of their names and folders."""
        found = self._named.get(path[path.rfind("/") + 1 :], ())
        values = [value for pattern, value in found if pattern.fullmatch(path)]
        if path.startswith(self._folders):
            values += [
                value
                for folder, several in self._below.items()
                if path.startswith(folder)
                for pattern, value in several
                if pattern.fullmatch(path)
            ]
        return list(dict.fromkeys(values))


def _compiled(glob: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*|\?)", glob)
    wild = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts), re.DOTALL)
