"""The demo's table of findings."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from drydock.scanner.v1.scan_pb2 import Finding
from services.cli.output import cell

_INDENT = 10  # with the two columns that a table puts between its own
_COLUMNS = ("SEVERITY", "ID", "PACKAGE", "VERSION", "FIXED", "KIND")


def findings_table(findings: Iterable[Finding]) -> Table:
    """Makes the table, indented to the demo's text, in the given order."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", min_width=_INDENT - 2)
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for finding in findings:
        kind = finding.kind.partition("_")[0].lower()
        package = finding.package
        row = (finding.severity, finding.id, package.name, package.version, finding.fixed_version, kind)
        table.add_row("", *map(cell, row))
    return table
