"""Missing: records that the image has by name and of whose content nothing is known. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.layers.links import Names, real_path
from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import Cataloger, Reads
from services.scanner.catalogers.unread import ELSEWHERE, ecosystem_of
from services.scanner.layers.overlay import Overlay
from services.scanner.reading.complaints import shown

_SYSTEMS: Final = frozenset({"dpkg", "apk", "rpm"})
_BY_NAME: Final = tuple(cataloger for cataloger in CATALOGERS if cataloger.reads is not Reads.MARK)


def missing(overlay: Overlay) -> Iterator[tuple[str, Cataloger, str, int]]:
    """Yields what catalogers want and have not seen: the path, who wants it, what it is, and of which layer."""
    names = Names(overlay.links)
    used: set[tuple[str, str]] = set()
    for path, node in sorted(overlay.files.items()):
        seen = {evidence.cataloger for evidence in node.evidence}
        for name in names.of(path):
            for cataloger in _BY_NAME:
                if not cataloger.counts(name) or (seen & _SYSTEMS and ecosystem_of(name) == ELSEWHERE):
                    continue  # the second, where a link to the root gives another name to what was read
                used.update((cataloger.name, link) for link in _links_that_make(name, cataloger, overlay))
                if cataloger.name not in seen:
                    seen.add(cataloger.name)
                    yield name, cataloger, "another name of a file whose content was not kept", node.layer
    for path, target in sorted(overlay.links.items()):
        why = f"a symbolic link to {shown(target, 200)!r}, where no package record was read"
        for cataloger in _BY_NAME:
            if (cataloger.name, path) not in used and _leads_nowhere(path, cataloger, overlay):
                yield path, cataloger, why, overlay.link_layers[path]


def _links_that_make(name: str, cataloger: Cataloger, overlay: Overlay) -> Iterator[str]:
    """Yields the links on the way of a name without whose own names it would be none of a record."""
    link = name if overlay.links else ""
    while link := link.rpartition("/")[0]:
        if link in overlay.links and not cataloger.counts(name[len(link) + 1 :]):
            yield link


def _leads_nowhere(link: str, cataloger: Cataloger, overlay: Overlay) -> bool:
    """Tells whether a link has the name of a record or of a folder of records, and nothing known is there.

    Of a folder that is so too when records are in there which would be some under any folder.
    """
    holds = cataloger.holds(link)
    if not holds and not cataloger.counts(link):
        return False
    end = real_path(link, overlay.links, last=True)
    return end is None or (end not in overlay.files and (holds or not overlay.is_directory(end)))
