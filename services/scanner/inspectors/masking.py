"""Masking: what is shown of a secret, so that its owner knows which one it is and nobody else learns it."""

from __future__ import annotations

from typing import Final

_STARS: Final = "*" * 8
"""Always as many: the length of a secret is a part of it."""
_MAX_SHOWN: Final = 120


def mask(secret: str) -> str:
    """Returns the first characters of a secret and stars: a quarter of it at most, and never more than four."""
    return secret[: min(4, len(secret) // 4)] + _STARS


def masked(text: str, start: int, end: int) -> str:
    """Returns a line of text fit for a report, with what stands between `start` and `end` masked."""
    return _printable(text[:start]) + mask(_printable(text[start:end])) + _printable(text[end:])


def printable(text: str) -> str:
    """Returns text that holds no secret, fit for a report."""
    return _printable(text)[:_MAX_SHOWN]


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
