"""Which of the versions that are offered a package goes to: apt's choice (apt_preferences(5), the defaults)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from services.fixer.plan.packages import Candidate, InstalledPackage
from services.fixer.systems.dpkg.index import PRIORITY
from services.fixer.systems.dpkg.survey import Record
from services.kernel.versions.dpkg import sort_key

_AUTOMATIC: Final = 500


class Choice:
    """Knows what is offered, by package."""

    def __init__(self, records: Iterable[Record], candidates: Sequence[Candidate]) -> None:
        self._offered: dict[str, list[Candidate]] = {}
        for each in candidates:
            self._offered.setdefault(each.name, []).append(each)
        self._siblings: dict[str, list[InstalledPackage]] = {}
        for record in records:
            self._siblings.setdefault(record.package.source, []).append(record.package)

    def best(self, package: InstalledPackage) -> Candidate | None:
        """Returns the highest version above the installed one that apt would go to by itself; None without one.

        Suites that nothing is taken from by itself (backports) count only for a package that came from there.
        """
        offered = [
            each
            for each in self._offered.get(package.name, ())
            if each.architecture in (package.architecture, "all") or package.architecture == "all"
        ]
        installed = sort_key(package.version)
        automatic = [each for each in offered if int(each.fields.get(PRIORITY, _AUTOMATIC)) >= _AUTOMATIC]
        if not any(sort_key(each.version) >= installed for each in automatic):
            automatic = [each for each in offered if int(each.fields.get(PRIORITY, _AUTOMATIC)) > 1]
        newer = [each for each in automatic if sort_key(each.version) > installed]
        return max(newer, key=lambda each: (sort_key(each.version), each.url), default=None)

    def siblings(self, package: InstalledPackage) -> Sequence[InstalledPackage]:
        """Returns the installed packages that were built from the same source, the package itself among them."""
        return self._siblings.get(package.source, ())
