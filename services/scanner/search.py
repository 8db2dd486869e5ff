"""Search: which kinds of finding are looked for, with which rules, and who is asked besides."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Final

from services.kernel.model.finding import CONTENT_KINDS, VULNERABILITIES, FindingKind
from services.kernel.model.report import ReportWarning
from services.scanner.bounds import ScanBounds
from services.scanner.inspectors.clamd import CLAMD_UNAVAILABLE, Clamd, ClamdFailed, release_of
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.rulefiles import Broken, RuleFile, read_folder

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
    """Files of rules that are not used, and who cannot be asked."""

    @property
    def lacks(self) -> str:
        """Names what it does without; once that is there, everything is looked at anew. Empty for nothing."""
        # Why clamd is away changes from look to look, and what is done without does not.
        told = "\n".join(
            each.code if each.code == CLAMD_UNAVAILABLE else f"{each.code} {each.message}"
            for each in self.complaints
        )
        return hashlib.sha256(told.encode()).hexdigest()[:16] if told else ""


def open_search(bounds: ScanBounds, data: Path, kinds: Collection[FindingKind] = frozenset(FindingKind)) -> Search:
    """Reads and checks the operator's rules, where content is asked for. Reads files: not for the event loop.

    Compiled rules are kept in the data directory, if it is there.
    """
    if CONTENT_KINDS.isdisjoint(kinds):
        return Search(kinds=frozenset(kinds))
    files, broken = _checked(bounds.malware_rules) if bounds.malware_rules is not None else ((), ())
    hashes = tuple(file for file in files if file.lists_hashes)
    return Search(
        kinds=frozenset(kinds),
        inspection=Inspection(
            limits=bounds.inspection,
            files=tuple(file for file in files if not file.lists_hashes),
            hashes=hashes,
            folder=data / "rules",
        ),
        complaints=tuple(_complaint(each) for each in broken[:_MAX_TOLD]),
    )


def ask_clamd(search: Search, clamd: Clamd | None) -> Search:
    """Returns the search with clamd and the signatures that it has now, or with a complaint that it is away.

    Connects: not for the event loop.
    """
    if clamd is None or search.inspection is None:
        return search
    try:
        release = release_of(clamd)
    except ClamdFailed as failure:
        complaint = ReportWarning(code=CLAMD_UNAVAILABLE, message=f"clamd did not look at any file: {failure}.")
        return dataclasses.replace(search, complaints=(*search.complaints, complaint))
    asked = dataclasses.replace(clamd, release=release)
    return dataclasses.replace(search, inspection=dataclasses.replace(search.inspection, clamd=asked))


def _checked(folder: Path) -> tuple[tuple[RuleFile, ...], tuple[Broken, ...]]:
    """Returns the files that can be used, of lists of hashes their other lines, and what cannot be."""
    found = read_folder(folder)
    wrong = {file: wrong_with(file) for file in found.files}
    usable = tuple(file for file, why in wrong.items() if why is None or file.lists_hashes)
    return usable, (*found.broken, *(why for why in wrong.values() if why is not None))


def wrong_with(file: RuleFile) -> Broken | None:
    """Returns what is wrong with a file of rules, or with lines of a list of hashes; None for nothing."""
    from services.scanner.inspectors.hashes import broken_lines  # noqa: PLC0415 - most have no rules of their own
    from services.scanner.inspectors.malware import check  # noqa: PLC0415

    return broken_lines(file) if file.lists_hashes else check(file)


def _complaint(broken: Broken) -> ReportWarning:
    place = f"{broken.name}, line {broken.line}" if broken.line else broken.name
    return ReportWarning(
        code=RULE_FILE_BROKEN,
        message=f"Malware rules of the operator are not used: {place}: {broken.why}.",
    )
