"""Alternatives that a package registers once more (update-alternatives(1); dpkg, utils/update-alternatives.c).

Registering what is registered makes the links of the chosen one anew: those to manual pages that an image has not
(slim images) go, and those that somebody took away come back.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from services.fixer.image.node import NodeKind
from services.fixer.systems.dpkg.image import ALTERNATIVES, ImageState, names_of

_CHOSEN: Final = "etc/alternatives"
_MAX_LINKS: Final = 200
_PRIORITY: Final = re.compile(r"-?[0-9]{1,10}")


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
    """Priority, and what the further links of each choice lead to; empty where it has none."""


def registers(postinst: bytes) -> bool:
    """Tells whether a script registers alternatives."""
    return b"update-alternatives" in postinst and b"--install" in postinst


def renewed(state: ImageState, owned: frozenset[str], is_there: Callable[[str], bool]) -> Iterator[Link]:
    """Yields the links that are not as registering the choices of a package once more leaves them.

    Args:
        state: the image.
        owned: the files of the package, as paths without leading slash.
        is_there: tells whether something lies at a real path of the fixed image.
    """
    for name in state.tree.names(ALTERNATIVES):
        group = _read(name, state.text(f"{ALTERNATIVES}/{name}"))
        if group is None or not _is_of(group, owned) or (chosen := _chosen(group, state, name)) is None:
            continue
        targets = (chosen, *group.choices[chosen][1])
        for (link, place), target in zip(group.links.items(), targets, strict=True):
            real = state.tree.real_path(target.lstrip("/"), last=True) if target else None
            there = real is not None and is_there(real)
            yield from _as_it_has_to_be(state, f"{_CHOSEN}/{link}", target if there else None)
            yield from _as_it_has_to_be(state, place.lstrip("/"), f"/{_CHOSEN}/{link}" if there else None)


def _is_of(group: _Group, owned: frozenset[str]) -> bool:
    return any(name in owned for choice in group.choices for name in names_of(choice.lstrip("/")))


def _chosen(group: _Group, state: ImageState, name: str) -> str | None:
    if group.automatic:
        return max(group.choices, key=lambda each: group.choices[each][0])
    node = state.node(f"{_CHOSEN}/{name}")
    return node.target if node is not None and node.target in group.choices else None


def _as_it_has_to_be(state: ImageState, path: str, target: str | None) -> Iterator[Link]:
    """What is no link stays: somebody put a file there."""
    real = state.real(path)
    node = state.tree.get(real)
    if node is not None and node.kind is not NodeKind.SYMBOLIC_LINK:
        return
    if (node.target if node is not None else None) != target:
        yield Link(path=real, target=target)


def _read(name: str, text: str) -> _Group | None:
    """Reads an alternative's file: state, link, further names and links, a blank line, choices with the same."""
    head, _, rest = text.partition("\n\n")
    status, link, *further = head.split("\n") if "\n" in head else ("", "")
    names = [name, *further[::2]]
    is_odd = len(further) % 2 or len(further) > _MAX_LINKS or len(set(names)) < len(names)
    if status not in ("auto", "manual") or is_odd or any("/" in each for each in names):
        return None
    lines, size = rest.split("\n"), 2 + len(further) // 2
    choices: dict[str, tuple[int, Sequence[str]]] = {}
    for at in range(0, len(lines) - size + 1, size):
        path, priority, *targets = lines[at : at + size]
        if not path or not _PRIORITY.fullmatch(priority):
            break
        choices[path] = (int(priority), targets)
    links = dict(zip(names, (link, *further[1::2]), strict=True))
    return _Group(automatic=status == "auto", links=links, choices=choices) if choices else None
