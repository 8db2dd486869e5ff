"""Search: which kinds of finding are looked for, and with which rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Final

from services.kernel.model.finding import CONTENT_KINDS, VULNERABILITIES, FindingKind
from services.kernel.model.report import ReportWarning
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.rulefiles import Broken, RuleFile, read_folder
from services.scanner.settings import ScannerSettings

RULE_FILE_BROKEN: Final = "RULE_FILE_BROKEN"
_MAX_TOLD: Final = 20
"""Broken files of rules that a report names."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a scan looks for."""

    kinds: frozenset[FindingKind] = VULNERABILITIES
    inspection: Inspection | None = None
    """None where nobody asks for what files hold: then nobody looks into them."""
    complaints: tuple[ReportWarning, ...] = ()
    """Files of rules that are not used."""


def open_search(
    settings: ScannerSettings, data: Path, kinds: Collection[FindingKind] = frozenset(FindingKind)
) -> Search:
    """Reads and checks the operator's rules, where content is asked for. Reads files: not for the event loop.

    Compiled rules are kept in the data directory, if it is there.
    """
    if CONTENT_KINDS.isdisjoint(kinds):
        return Search(kinds=frozenset(kinds))
    files, broken = _checked(settings.malware_rules) if settings.malware_rules is not None else ((), ())
    return Search(
        kinds=frozenset(kinds),
        inspection=Inspection(
            limits=settings.inspection_limits,
            files=files,
            folder=data / "rules",
        ),
        complaints=tuple(_complaint(each) for each in broken[:_MAX_TOLD]),
    )


def _checked(folder: Path) -> tuple[tuple[RuleFile, ...], tuple[Broken, ...]]:
    """Returns the files of rules that can be used, and those that cannot."""
    from services.scanner.inspectors.malware import check  # noqa: PLC0415 - most have no rules of their own

    found = read_folder(folder)
    wrong = {file: check(file) for file in found.files}
    usable = tuple(file for file, why in wrong.items() if why is None)
    return usable, (*found.broken, *(why for why in wrong.values() if why is not None))


def _complaint(broken: Broken) -> ReportWarning:
    place = f"{broken.name}, line {broken.line}" if broken.line else broken.name
    return ReportWarning(
        code=RULE_FILE_BROKEN,
        message=f"Malware rules of the operator are not used: {place}: {broken.why}.",
    )
