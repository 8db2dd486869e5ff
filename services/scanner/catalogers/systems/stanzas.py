"""Stanzas: the records of a database of text, with blank lines between (deb822(5), apk-installed(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from services.scanner.catalogers.records import MAX_RECORDS
from services.scanner.reading.complaints import Complaints

_BLANK_LINE: Final = re.compile(rb"(?:^|\n)(?:[ \t\r]*\n)+")


def stanzas(content: bytes, complaints: Complaints) -> Iterator[tuple[int, bytes]]:
    """Yields each record with its number, from one on; more than can be installed are complained of and left."""
    start, number = 0, 0
    while start < len(content):
        blank = _BLANK_LINE.search(content, start)
        record = content[start : blank.start() if blank else len(content)]
        start = blank.end() if blank else len(content)
        if not record.strip():
            continue
        number += 1
        if number > MAX_RECORDS:
            complaints.broken("The database", f"tells of more than {MAX_RECORDS} packages")
            return
        yield number, record
