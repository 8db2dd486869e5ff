"""Alternatives that a package registers once more (update-alternatives(1); dpkg, utils/update-alternatives.c).

Registering what is registered makes the links of the chosen one anew: those to manual pages that an image has not
(slim images) go, and those that somebody took away come back. Where an alternative is not as its registration left
it, it would do more than that: choose another one, or take over what a person chose. Such packages are not fixed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from services.fixer.image.node import Node, NodeKind, Tree
from services.fixer.systems.dpkg.contents import text_of

ALTERNATIVES: Final = "var/lib/dpkg/alternatives"
_CHOSEN: Final = "etc/alternatives"
_MAX_LINKS: Final = 200
_NAME: Final = re.compile(r"[\w.+-]+", re.ASCII)
_PATH: Final = re.compile(r"/[!-~]+")
_PRIORITY: Final = re.compile(r"-?[0-9]{1,10}")
_INSTALL: Final = re.compile(r"--install\s+([\w./+-]+)\s+([\w.+-]+)\s+([\w./+-]+)\s+-?[0-9]+\b", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link of an alternative as it has to be."""

    path: str
    target: str | None
    """None where it has to go."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """One alternative with its further links."""

    automatic: bool
    links: Mapping[str, str]
    """Where its links are, by their names; the alternative itself first."""
    choices: Mapping[str, tuple[int, Sequence[str]]]
    """Priority, and what the further links of each choice lead to; never empty."""

    @property
    def name(self) -> str:
        return next(iter(self.links))

    @property
    def best(self) -> str:
        return max(self.choices, key=lambda each: self.choices[each][0])


def registers(postinst: bytes) -> bool:
    """Tells whether a script registers alternatives."""
    return b"update-alternatives" in postinst and b"--install" in postinst


def registrations(tree: Tree) -> Iterator[str]:
    """Yields how alternatives stand, as facts: `registered NAME CHOICE`, or else `unsettled CHOICE`.

    An alternative is as it was registered when every choice is there, and the chosen one is the best, or that of a
    person among them.
    """
    for group in _groups(tree):
        settled = _is_settled(group, tree)
        for choice in group.choices:
            yield f"registered {group.name} {choice}" if settled else f"unsettled {choice}"


def why_unsettled(postinst: bytes, paths: Collection[str], facts: Collection[str]) -> str | None:
    """Tells why registering once more would do more than to make links anew; None where it would not.

    Args:
        paths: the files of the new version, with a leading slash, under each name that they can have.
        facts: `registrations` of the image.
    """
    text = postinst.decode("utf-8", "surrogateescape").replace("\\\n", " ")
    for _, name, choice in _INSTALL.findall(text):
        if f"registered {name} {choice}" not in facts or choice not in paths:
            return f"it registers an alternative, and {name} is not as it was registered"
    if any(f"unsettled {path}" in facts for path in paths):
        return "it registers alternatives that are not as they were registered"
    return None


def renewed(tree: Tree, owned: Collection[str], is_there: Callable[[str], bool]) -> Iterator[Link]:
    """Yields the links that are not as registering the choices of some packages once more leaves them.

    Args:
        tree: the image as it was.
        owned: the files of the packages, with a leading slash, under each name that they can have.
        is_there: tells whether something lies at a real path of the fixed image.
    """
    for group in _groups(tree):
        if not any(choice in owned for choice in group.choices) or not _is_settled(group, tree):
            continue
        chosen = group.best if group.automatic else _target(_node(tree, f"{_CHOSEN}/{group.name}")) or group.best
        targets = (chosen, *group.choices[chosen][1])
        for (link, place), target in zip(group.links.items(), targets, strict=True):
            real = tree.real_path(target.lstrip("/")) if target else None
            there = real is not None and is_there(real)
            yield from _as_it_has_to_be(tree, f"{_CHOSEN}/{link}", target if there else None)
            yield from _as_it_has_to_be(tree, place.lstrip("/"), f"/{_CHOSEN}/{link}" if there else None)


def _is_settled(group: _Group, tree: Tree) -> bool:
    if not all(_leads_somewhere(tree, choice) for choice in group.choices):
        return False
    node = _node(tree, f"{_CHOSEN}/{group.name}")
    if group.automatic:
        return node is None or _target(node) == group.best
    return _target(node) in group.choices


def _leads_somewhere(tree: Tree, path: str) -> bool:
    real = tree.real_path(path.lstrip("/"), last=True)
    return real is not None and tree.get(real) is not None


def _node(tree: Tree, path: str) -> Node | None:
    real = tree.real_path(path)
    return tree.get(real) if real is not None else None


def _target(node: Node | None) -> str | None:
    return node.target if node is not None and node.kind is NodeKind.SYMBOLIC_LINK else None


def _as_it_has_to_be(tree: Tree, path: str, target: str | None) -> Iterator[Link]:
    """What is no link stays: somebody put a file there."""
    real = tree.real_path(path)
    node = tree.get(real) if real is not None else None
    if real is None or (node is not None and node.kind is not NodeKind.SYMBOLIC_LINK):
        return
    if _target(node) != target:
        yield Link(path=real, target=target)


def _groups(tree: Tree) -> Iterator[_Group]:
    for name in tree.names(ALTERNATIVES):
        if _NAME.fullmatch(name) and (group := _read(name, text_of(tree, f"{ALTERNATIVES}/{name}"))) is not None:
            yield group


def _read(name: str, text: str) -> _Group | None:
    """Reads an alternative's file: state, link, further names and links, a blank line, choices with the same."""
    head, _, rest = text.partition("\n\n")
    status, link, *further = head.split("\n") if "\n" in head else ("", "")
    names = [name, *further[::2]]
    is_odd = len(further) % 2 or len(further) > _MAX_LINKS or len(set(names)) < len(names)
    if status not in ("auto", "manual") or is_odd or not all(_NAME.fullmatch(each) for each in names):
        return None
    lines, size = rest.split("\n"), 2 + len(further) // 2
    choices: dict[str, tuple[int, Sequence[str]]] = {}
    for at in range(0, len(lines) - size + 1, size):
        path, priority, *targets = lines[at : at + size]
        if not _PATH.fullmatch(path) or not _PRIORITY.fullmatch(priority):
            break
        choices[path] = (int(priority), targets)
    links = dict(zip(names, (link, *further[1::2]), strict=True))
    return _Group(automatic=status == "auto", links=links, choices=choices) if choices else None
