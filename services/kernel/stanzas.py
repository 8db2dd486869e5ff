"""Stanzas: the records of a database of text, with blank lines between (deb822(5), apk-installed(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_BLANK_LINE: Final = re.compile(rb"(?:^|\n)(?:[ \t\r]*\n)+")


def stanzas(content: bytes) -> Iterator[bytes]:
    """Yields each record, without the blank lines around it; empty ones are none."""
    start = 0
    while start < len(content):
        blank = _BLANK_LINE.search(content, start)
        record = content[start : blank.start() if blank else len(content)]
        start = blank.end() if blank else len(content)
        if record.strip():
            yield record
