"""Symbolic links: where a path really leads, and by which names a directory can be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

_MAX_HOPS: Final = 255
_MAX_NAMES: Final = 64
_MAX_LINKS_IN_A_NAME: Final = 2


def real_path(path: str, links: Mapping[str, str], *, last: bool = False) -> str | None:
    """Follows the links on the way to a path, inside the root, whether or not anything is there.

    Args:
        path: relative to the root, which is empty.
        links: targets as written, by the real path of the link.
        last: whether the last part is followed too.

    Returns:
        The real path, empty for the root; None where the links go in a circle.
    """
    if not links:
        return path
    here = ""
    pending = path.split("/")[::-1]
    hops = 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            here = here.rpartition("/")[0]
            continue
        there = f"{here}/{part}" if here else part
        target = links.get(there) if pending or last else None
        if target is None:
            here = there
            continue
        hops += 1
        if hops > _MAX_HOPS:
            return None
        if target.startswith("/"):
            here = ""
        pending.extend(target.split("/")[::-1])
    return here


class Names:
    """Tells the names of paths: their own, and those that lead there through links.

    No name goes through more than two links and no path has more than 64 names, the ones by short links first:
    links in circles would give names without end.
    """

    def __init__(self, *views: Mapping[str, str]) -> None:
        """Looks at links, by real path, in one or several states of the tree."""
        by_target: dict[str, dict[str, None]] = {}
        for links in views:
            for link in sorted(links, key=lambda each: (len(each), each)):
                target = real_path(link, links, last=True)
                if target is not None:
                    by_target.setdefault(target, {})[link] = None
        self._by_target = {target: tuple(islice(links, _MAX_NAMES)) for target, links in by_target.items()}
        self._known: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def of(self, path: str, used: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Returns the names of a path, its own first."""
        unknown: list[str] = []
        above = path
        while (above, used) not in self._known:
            unknown.append(above)
            if not above:
                break
            above = above.rpartition("/")[0]
        for each in reversed(unknown):  # from the root down: paths have more parts than there is room for calls
            self._known[each, used] = tuple(islice(dict.fromkeys(self._find(each, used)), _MAX_NAMES))
        return self._known[path, used]

    def _find(self, path: str, used: tuple[str, ...]) -> Iterator[str]:
        yield from self._in_parents(path, used)
        if len(used) < _MAX_LINKS_IN_A_NAME:
            for link in self._by_target.get(path, ()):
                if link not in used:
                    yield from self._in_parents(link, (*used, link))

    def _in_parents(self, path: str, used: tuple[str, ...]) -> Iterator[str]:
        if not path:
            yield ""
            return
        parent, _, name = path.rpartition("/")
        for above in self.of(parent, used):
            yield f"{above}/{name}" if above else name
