"""What reviews of scripts ask of an image: files, links, owners, users, groups and diversions that are there.

Many scripts do something only where it was not done before. A review says what has to hold for a script to have
nothing to do, in words of one of these forms:

    file /PATH                         something lies there, also at the end of a link
    name /PATH                         something has the name, be it a link to nowhere
    link /PATH TARGET                  a symbolic link with this target
    owned USER:GROUP MODE /PATH        by whom, and the mode in octal digits
    user NAME, group NAME              in /etc/passwd, /etc/group
    diverted /PATH [BY]                by that package, `LOCAL`, or whomever
    zone agreed                        /etc/localtime names a time zone, and /etc/timezone, where it is, the same
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from services.fixer.image.node import Node, NodeKind, Tree
from services.fixer.systems.accounts import GROUPS, USERS, ids_of
from services.fixer.systems.dpkg.contents import text_of
from services.fixer.systems.dpkg.zones import LINK, NAMED, ZONES, zone_of

DIVERSIONS: Final = "var/lib/dpkg/diversions"
READ: Final = (USERS, GROUPS, DIVERSIONS, NAMED)
"""The files whose content is needed."""


def facts_of(tree: Tree, asked: Iterable[str]) -> frozenset[str]:
    """Returns those of the facts that hold in an image."""
    facts = _Facts(tree)
    return frozenset(each for each in asked if facts.holds(each))


def is_fact(words: str) -> bool:
    """Tells whether it is of a form that is known."""
    kind, *rest = words.split(" ")
    return len(rest) in _LENGTHS.get(kind, ()) and all(rest)


_LENGTHS: Final[Mapping[str, tuple[int, ...]]] = {
    "file": (1,),
    "name": (1,),
    "link": (2,),
    "owned": (3,),
    "user": (1,),
    "group": (1,),
    "diverted": (1, 2),
    "zone": (1,),
}


class _Facts:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._users, self._groups = (ids_of(text_of(tree, each)) for each in (USERS, GROUPS))
        lines = text_of(tree, DIVERSIONS).splitlines()
        self._diverted = dict(zip(lines[::3], lines[2::3], strict=False))
        self._kinds: Mapping[str, Callable[..., bool]] = {
            "file": lambda path: self._node(path, last=True) is not None,
            "name": lambda path: self._node(path) is not None,
            "link": self._is_link,
            "owned": self._is_owned,
            "user": lambda name: name in self._users,
            "group": lambda name: name in self._groups,
            "diverted": self._is_diverted,
            "zone": lambda _: self._is_zone_agreed(),
        }

    def holds(self, words: str) -> bool:
        kind, *rest = words.split(" ")
        return self._kinds[kind](*rest)

    def _is_link(self, path: str, target: str) -> bool:
        node = self._node(path)
        return node is not None and node.kind is NodeKind.SYMBOLIC_LINK and node.target == target

    def _is_owned(self, owner: str, mode: str, path: str) -> bool:
        user, _, group = owner.partition(":")
        node = self._node(path)
        if node is None:
            return False
        found = node.attributes
        return (found.uid, found.gid, found.mode) == (self._users.get(user), self._groups.get(group), int(mode, 8))

    def _is_diverted(self, path: str, by: str = "") -> bool:
        found = self._diverted.get(path)
        return found is not None and by in ("", found.replace(":", "LOCAL"))

    def _is_zone_agreed(self) -> bool:
        link = self._node(LINK)
        zone = zone_of(link.target) if link is not None and link.kind is NodeKind.SYMBOLIC_LINK else None
        if zone is None or self._node(f"{ZONES}{zone}", last=True) is None:
            return False
        return self._node(NAMED, last=True) is None or text_of(self._tree, NAMED) == f"{zone}\n"

    def _node(self, path: str, *, last: bool = False) -> Node | None:
        real = self._tree.real_path(path.lstrip("/"), last=last)
        return self._tree.get(real) if real is not None else None
