"""Coverage: how much of an image could be judged. Pure; decided once, over every warning that the scan gave.

Every warning lowers it, because each tells of something that findings may be missing from:

- ECOSYSTEM_NOT_READ: packages of a kind that no cataloger reads; one warning for each ecosystem.
- NO_PACKAGES, NO_ADVISORIES: packages that were not read, or that no advisory speaks of.
- SAMPLE_ADVISORIES, STALE_ADVISORIES: advisories that do not know what is known today.
- VERSION_NOT_COMPARABLE, PACKAGE_RECORD_BROKEN: a package that is left out, or judged by a guess.
- VERSION_UNKNOWN, PACKAGE_NOT_IDENTIFIED: a package that advisories may speak of, of which nothing tells the
  version or the whole name.
- FILE_TOO_LARGE, FILE_NOT_READ: a package record that was seen and not read.
- END_OF_LIFE: a release for which advisories stop, so that their silence means nothing.
- BORROWED_ADVISORIES: packages judged by those of another distribution, which they were rebuilt from.
- FOREIGN_PACKAGES: packages of the system that others built, of whom its advisories do not speak.
- CONTENT_NOT_READ, TOO_MANY_FINDINGS: files that rules did not look into, or findings that were left out.
- RULE_FILE_BROKEN: rules of the operator that are not used.
- CLAMD_UNAVAILABLE, CLAMD_FAILED, CLAMD_LIMIT: files that clamd was to look at and did not: it was away, it failed
  to answer, they were beyond its bounds or ours.
- NOT_REEVALUATED: younger advisories that the image could not be matched with; reports come to say it later.
- TAR_PATH_ESCAPES: what unpacks the image may put the entry inside it, as a package record too.

A code that comes to be later lowers it as well, unless somebody decides otherwise here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.kernel.model.report import Coverage, ReportWarning
from services.scanner.inspectors.clamd import CLAMD_FAILED, CLAMD_UNAVAILABLE

_MAY_PASS: Final = (CLAMD_FAILED, CLAMD_UNAVAILABLE)
ECOSYSTEM_NOT_READ: Final = "ECOSYSTEM_NOT_READ"


def coverage_of(warnings: Sequence[ReportWarning], *, judged: bool) -> tuple[Coverage, str]:
    """Returns the coverage, and the code of the first warning that lowers it: empty when it is FULL.

    One that another scan may not have goes before all others: it tells that such a scan is worth the while.
    `judged` tells whether there was any package that advisories speak of. Where there was none, some warning must
    say why.
    """
    codes = [warning.code for warning in warnings]
    first = next((code for code in _MAY_PASS if code in codes), next(iter(codes), ""))
    if not judged:
        return Coverage.NONE, first
    return (Coverage.PARTIAL if codes else Coverage.FULL), first
