"""What is looked for in executables, and what who follows it up sees of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol


class Mark(NamedTuple):
    """Bytes that tell what is in an executable."""

    text: bytes
    loaded: bool
    """Whether they are of what the running program has in memory; otherwise they are of the file alone."""


class Section(NamedTuple):
    """A named range of an executable's file."""

    start: int
    size: int


class Program(Protocol):
    """An executable, of which a part is held: what passed lately, and no machine code."""

    whole: bool
    """Whether it has passed to its end: nobody asks again."""

    def read(self, start: int, size: int) -> bytes:
        """Returns a range of the file; less of it, or nothing, from the first byte that is not held."""
        ...

    def offset(self, address: int) -> int | None:
        """Returns where in the file that is which the running program has at an address."""
        ...

    def section(self, name: bytes) -> Section | None:
        """Returns where a section lies; None where there is none, or none is known yet."""
        ...


Follow = Callable[[Program, int], bytes | None]
"""Returns what the mark at an offset leads to; None where that is not held, or the mark is none."""
