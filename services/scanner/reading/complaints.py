"""Complaints: what a cataloger could not read in a file, bounded and fit for a report."""

from __future__ import annotations

import re
from typing import Final

from services.kernel.model.report import ReportWarning

PACKAGE_RECORD_BROKEN: Final = "PACKAGE_RECORD_BROKEN"

_MAX_WARNINGS: Final = 20
_MAX_SHOWN: Final = 80
_MAX_WORD: Final = 512
_WORD = re.compile(r"[^\s/\\\x00-\x20\x7f-\xa0\ufffd]+")


def is_word(text: str) -> bool:
    """Tells whether the text can be a package's name or version: neither empty nor huge, no space, no slash."""
    return len(text) <= _MAX_WORD and _WORD.fullmatch(text) is not None


def is_scoped(text: str) -> bool:
    """Tells whether the text can be a name of words with slashes between, as npm, Go and Packagist have it."""
    return len(text) <= _MAX_WORD and all(map(is_word, text.split("/")))


def to_text(value: bytes) -> str:
    """Reads UTF-8; what is none becomes U+FFFD, which no word may contain."""
    return value.decode("utf-8", "replace").strip()


class Complaints:
    """Collects the warnings of one file: the first ones in full, then their number."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0
        self._warnings: list[ReportWarning] = []

    def broken(self, record: str, why: str) -> None:
        """Notes a record that could not be read, or not wholly.

        Args:
            record: how to find it in the file, such as a name or `record 3`.
            why: the end of a sentence that began with the record.
        """
        self._count += 1
        if len(self._warnings) < _MAX_WARNINGS:
            self._warnings.append(self._warning(f"{shown(record)} in /{shown(self._path, 200)} {why}."))

    def warnings(self) -> tuple[ReportWarning, ...]:
        """Returns what was noted."""
        rest = self._count - len(self._warnings)
        if not rest:
            return tuple(self._warnings)
        more = self._warning(f"{rest} more records in /{shown(self._path, 200)} are broken.")
        return (*self._warnings, more)

    def _warning(self, message: str) -> ReportWarning:
        return ReportWarning(code=PACKAGE_RECORD_BROKEN, message=message, path=f"/{self._path}")


def shown(text: str, limit: int = _MAX_SHOWN) -> str:
    """Returns text from an image as it may be shown: printable and short."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "".join(c if c.isprintable() else "\ufffd" for c in cut)
