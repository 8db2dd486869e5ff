"""What matches packages with advisories, as a number: another one would give other verdicts."""

from __future__ import annotations

from typing import Final

MATCHER = 4
"""Raised whenever the same packages and advisories would give another report."""
_UNNAMED: Final = 4
"""The matcher of the releases that named what they match with by the advisories alone."""


def generation_name(advisories_version: str) -> str:
    """Names what inventories are matched with: advisories, and the matcher. Both make another verdict.

    A release with another matcher finds that what is youngest is none of its own, and matches nothing.
    """
    if MATCHER == _UNNAMED:
        return advisories_version
    return f"{advisories_version};matcher={MATCHER:04}"
