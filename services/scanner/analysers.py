"""The name of all that makes an analysis of a layer what it is: those kept under another name are made anew."""

from __future__ import annotations

from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import versions_key
from services.scanner.inspectors.inspection import Inspection
from services.scanner.layers.analysis import WALKER_VERSION
from services.scanner.records import LACKS
from services.scanner.search import Search


def analysers_key(inspection: Inspection | None) -> str:
    """Returns it for the installed catalogers, this walker and what is looked for in files."""
    key = versions_key(CATALOGERS, WALKER_VERSION)
    return key if inspection is None else f"{key};{inspection.key}"


def search_key(search: Search) -> str:
    """Returns it with what the search does without: a report that lacks it is no answer once it is there."""
    key = analysers_key(search.inspection)
    return f"{key}{LACKS}{search.lacks}" if search.lacks else key
