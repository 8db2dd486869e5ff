"""Earlier scans: what other engines found in the same digest, and nobody has looked for again since. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from services.kernel.model.report import Report
from services.scanner.tasks.verdict import merge_engines


def with_earlier(newest: Mapping[str, Report], earlier: Sequence[Mapping[str, Report]]) -> Mapping[str, Report]:
    """Returns the newest reports, by platform, with the findings of earlier ones: for each engine, of its newest.

    What an engine found before it looked again is over. Only the findings are joined: all else the newest ones
    alone tell.

    Args:
        newest: of the newest scan.
        earlier: of scans by other engines, newest first.
    """
    joined = dict(newest)
    heard = {platform: _engines(report) for platform, report in newest.items()}
    for reports in earlier:
        for platform, report in reports.items():
            known = heard.setdefault(platform, frozenset())
            heard[platform] = known | _engines(report)
            left = _of_others(report, known)
            if left.findings:
                joined[platform] = merge_engines([joined[platform], left], {}) if platform in joined else left
    return joined


def _engines(report: Report) -> frozenset[str]:
    """Whose findings are in a report: an engine that failed has none there."""
    said = frozenset(each.name for each in report.engines if each.advisories is not None)
    return said or frozenset({report.engine.name})


def _of_others(report: Report, known: frozenset[str]) -> Report:
    own = _engines(report)
    findings = tuple(each for each in report.findings if not known.issuperset(each.engines or own))
    return msgspec.structs.replace(report, findings=findings)
