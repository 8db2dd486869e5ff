"""Stanzas: the records of a database of text, numbered and bounded."""

from __future__ import annotations

from collections.abc import Iterator

from services.kernel.stanzas import stanzas as split_stanzas
from services.scanner.catalogers.records import MAX_RECORDS
from services.scanner.reading.complaints import Complaints


def stanzas(content: bytes, complaints: Complaints) -> Iterator[tuple[int, bytes]]:
    """Yields each record with its number, from one on; more than can be installed are complained of and left."""
    for number, record in enumerate(split_stanzas(content), start=1):
        if number > MAX_RECORDS:
            complaints.broken("The database", f"tells of more than {MAX_RECORDS} packages")
            return
        yield number, record
