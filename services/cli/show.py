"""The formats that a report can be printed in, and how it is."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from services.cli.output import Output, print_json

if TYPE_CHECKING:
    from services.kernel.model.report import Report


class Format(enum.Enum):
    """How a report is printed: for people, whole, or as what other programs read."""

    TABLE = "table"
    JSON = "json"
    SARIF = "sarif"
    CYCLONEDX = "cyclonedx"
    SPDX = "spdx"

    @property
    def failures(self) -> Output:
        """How a failure is told beside it: as JSON only where the report's own JSON was asked for."""
        return Output.JSON if self is Format.JSON else Output.TABLE


def show(form: Format, report: Report) -> None:
    """Prints the report to standard output, with those of its findings that it holds."""
    if form is Format.TABLE:
        from services.cli.report_table import print_report

        print_report(report, report.findings)
    else:
        print_json(_document(form, report))


def _document(form: Format, report: Report) -> object:
    if form is Format.SARIF:
        from services.formats.sarif import to_sarif

        return to_sarif(report)
    if form is Format.CYCLONEDX:
        from services.formats.cyclonedx import to_cyclonedx

        return to_cyclonedx(report)
    if form is Format.SPDX:
        from services.formats.spdx import to_spdx

        return to_spdx(report)
    return report
