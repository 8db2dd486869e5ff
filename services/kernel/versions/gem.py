"""RubyGems' version order (`Gem::Version`, "Ordering" and `<=>`)."""

from __future__ import annotations

import re
from typing import Final

GemToken = tuple[int, int, str]
"""Rank of its kind, number, text."""
GemKey = tuple[GemToken, ...]

# Missing parts count as zeros, so zeros have no place of their own: a run of them stands where the part after it
# takes the version, before the end (a word follows) or after it (a number does); longer runs nearer to the end.
_WORD: Final = 0
_ZEROS_AND_WORD: Final = 1
_END: Final[GemToken] = (2, 0, "")
_ZEROS_AND_NUMBER: Final = 3
_NUMBER: Final = 4

_PARTS = re.compile(r"[0-9]+|[a-z]+", re.IGNORECASE | re.ASCII)
_VALID = re.compile(r"\s*+(?:[0-9]+(?:\.[0-9A-Za-z]+)*(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)?\s*+")


def sort_key(version: str) -> GemKey:
    """Returns a key that sorts as RubyGems does; total, since all but letters and digits only separates."""
    return encode(canonical(to_segments(version)))


def is_valid(version: str) -> bool:
    """Tells whether RubyGems takes the version; to it the empty text is version 0."""
    return _VALID.fullmatch(version) is not None


def to_segments(version: str) -> list[int | str]:
    """Returns the numbers and words of a version; a hyphen stands for `.pre.`."""
    parts = _PARTS.findall(version.strip().replace("-", ".pre.")) or ["0"]
    return [int(part) if part[0] <= "9" else part for part in parts]


def canonical(segments: list[int | str]) -> list[int | str]:
    """Returns the segments without the zeros before the first word, and without those at the very end."""
    numbers = next((place for place, segment in enumerate(segments) if isinstance(segment, str)), len(segments))
    return _trimmed(segments[:numbers]) + _trimmed(segments[numbers:])


def encode(segments: list[int | str]) -> GemKey:
    """Returns segments as a key."""
    key: list[GemToken] = []
    zeros = 0
    for segment in segments:
        if segment == 0:
            zeros += 1
            continue
        word = isinstance(segment, str)
        if zeros:
            key.append((_ZEROS_AND_WORD, zeros, "") if word else (_ZEROS_AND_NUMBER, -zeros, ""))
            zeros = 0
        key.append((_WORD, 0, segment) if isinstance(segment, str) else (_NUMBER, segment, ""))
    return (*key, _END)


def _trimmed(segments: list[int | str]) -> list[int | str]:
    while segments and segments[-1] == 0:
        segments.pop()
    return segments
