"""Ways: which symbolic links of an image can matter to evidence at all; of thousands, a handful do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Final

from services.scanner.layers.analysis import LayerAnalysis, NodeKind

_MAX_WAYS: Final = 64
"""Real paths that one name may have, all states of all links considered."""
_MAX_STEPS: Final = 256

_Links = Mapping[str, Set[str]]
"""All targets that any layer gives a link, by path as written."""


def links_that_matter(layers: Iterable[LayerAnalysis]) -> Set[str]:
    """Returns, by path as written in the layers, the links on the way to evidence and those to its parents.

    It is enough to lay these: any other link is one more entry that may stand in the way of evidence.
    """
    links: dict[str, set[str]] = {}
    concerned: dict[str, None] = {}
    for layer in layers:
        for each in layer.remembered:
            if each.kind is NodeKind.SYMBOLIC_LINK:
                links.setdefault(each.path, set()).add(each.target)
            elif each.kind is NodeKind.HARD_LINK:
                concerned[each.target] = None
            if each.wanted or each.kind is not NodeKind.SYMBOLIC_LINK:
                concerned[each.path] = None
    return _matter(links, concerned) if links else frozenset()


def _matter(links: _Links, concerned: Iterable[str]) -> Set[str]:
    found: set[str] = set()
    at: dict[str, list[str]] = {}  # links by the places where they may be and those they may lead to
    for path in links:
        own, target = ways(path, links), ways(path, links, last=True)
        if own is None or target is None or "" in own or "" in target:  # the root is a parent of everything
            found.add(path)
        else:
            for place in own | target:
                at.setdefault(place, []).append(path)
    walked: set[str] = set()
    fresh = [*concerned, *found]
    while fresh:
        for place in places(fresh.pop(), links, walked):
            led = [path for path in at.pop(place, ()) if path not in found]
            found.update(led)
            fresh.extend(led)
    return found


def places(path: str, links: _Links, walked: set[str]) -> Iterator[str]:
    """Yields where the path, its parents and theirs may be, but for those that were walked before.

    From the root down, so that each part of a path is asked for its links once: where the way leads to a link, and
    only there, all that came before is walked again.
    """
    pending = [path]
    while pending:
        whole = pending.pop()
        if not whole or whole in walked:
            continue
        ends: Set[str] | None = {""}
        for so_far, name in _beginnings(whole):
            own = None if ends is None else {f"{end}/{name}" if end else name for end in ends}
            ends = own if own is None or links.keys().isdisjoint(own) else ways(so_far, links, last=True)
            if so_far not in walked:
                walked.add(so_far)
                yield so_far
                pending.extend(own or ())
                pending.extend(ends or ())


def _beginnings(path: str) -> Iterator[tuple[str, str]]:
    """Yields each beginning of a path by whole parts, from the first part on, with its last part."""
    start = 0
    while start <= len(path):
        end = path.find("/", start)
        end = len(path) if end < 0 else end
        yield path[:end], path[start:end]
        start = end + 1


def ways(path: str, links: _Links, *, last: bool = False) -> Set[str] | None:
    """Returns all real paths that a name may have, whichever of the links are there at the time.

    Args:
        path: relative to the root, which is empty.
        links: all targets by path.
        last: whether the last part is followed too.

    Returns:
        The real paths; None when there are too many to tell.
    """
    found: set[str] = set()
    seen: set[tuple[str, tuple[str, ...]]] = set()
    open_ends: list[tuple[str, tuple[str, ...]]] = [("", tuple(path.split("/")))]
    while open_ends:
        here, rest = open_ends.pop()
        while rest:
            part, rest = rest[0], rest[1:]
            if part in ("", "."):
                continue
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            there = f"{here}/{part}" if here else part
            for target in links.get(there, ()) if rest or last else ():
                end = ("" if target.startswith("/") else here, (*target.split("/"), *rest))
                if end not in seen:
                    seen.add(end)
                    open_ends.append(end)
            here = there
        found.add(here)
        if len(found) > _MAX_WAYS or len(seen) > _MAX_STEPS:
            return None
    return found
