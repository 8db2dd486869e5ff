"""Tells the demo to the person who watches: what happens, and when."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.cli.output import styled
from services.kernel.clock import Clock

_INDENT = " " * 10


class Narrator:
    """Writes lines, each with the seconds since the beginning."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self.console = console
        self._clock = clock
        self._began = clock.monotonic()

    def tell(self, text: str, style: str = "") -> None:
        """Writes that something has just happened."""
        elapsed = f"{self._clock.monotonic() - self._began:6.1f} s  "
        self.console.print(styled(elapsed, "dim").append_text(styled(text, style)), soft_wrap=True)
        self.console.file.flush()  # somebody watches, perhaps through a pipe

    def detail(self, text: str | Text) -> None:
        """Writes a line that belongs to the one above."""
        line = styled(_INDENT, "")
        self.console.print(
            line.append_text(styled(text, "dim") if isinstance(text, str) else text), soft_wrap=True
        )

    def table(self, table: Table) -> None:
        """Writes a table that belongs to the line above."""
        self.console.print(Padding.indent(table, len(_INDENT)))

    def gap(self) -> None:
        """Writes an empty line."""
        self.console.print()
