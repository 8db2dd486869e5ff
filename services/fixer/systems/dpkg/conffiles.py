"""What becomes of a configuration file of a package that is replaced (dpkg(1), `--force-confold`)."""

from __future__ import annotations

import enum


class Becomes(enum.Enum):
    """What dpkg does with the package's new file."""

    NOTHING = enum.auto()
    """The file that is there stays, or stays deleted, and the new one is not wanted."""
    INSTALLED = enum.auto()
    """The new one takes its place."""
    BESIDE = enum.auto()
    """It stays as somebody made it, and the new one lies beside it as `.dpkg-dist`."""


def decide(*, known: str | None, present: str | None, new: str) -> Becomes:
    """Decides as dpkg does that keeps what was changed without asking.

    Args:
        known: hash of the file as the installed version brought it; None of a file that is new to the package.
        present: hash of the file as it lies in the image; None where it is gone.
        new: hash of the file that the new version brings.
    """
    if present == new:
        return Becomes.NOTHING
    if known is None:
        return Becomes.INSTALLED if present is None else Becomes.BESIDE
    if present == known:
        return Becomes.INSTALLED if new != known else Becomes.NOTHING
    return Becomes.BESIDE if new != known else Becomes.NOTHING
