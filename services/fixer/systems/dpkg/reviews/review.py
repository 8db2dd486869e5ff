"""What reading a maintainer script has shown."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Review:
    """One script, known by the hash of what its maintainer wrote."""

    script: str
    """Package and name, for whoever looks for it."""
    reason: str
    """What it does on an upgrade, or when it does something."""
    matters: bool = False
    """Whether leaving it out would leave the image other than dpkg does."""
    since: str = ""
    """It is without effect only where at least this version is installed."""
    keeps: tuple[str, ...] = ()
    """Files whose owner, mode and attributes it sets: the new ones get those that the image has."""
    needs: tuple[str, ...] = ()
    """It is without effect only where the image has all of these (`facts.py` tells their forms)."""
    unless: tuple[str, ...] = ()
    """It is without effect only where the image has none of these."""
