"""The keys that we trust: those that come with Drydock, and those of the operator's folder. Never an image's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from services.fixer.plan.packages import Release

_SHIPPED: Final = Path(__file__).parent.parent / "keyrings"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MAX_BYTES: Final = 4 << 20
_NOT_KEYS: Final = frozenset({"README.md"})


class Keyrings:
    """Folders of keys, one for each distribution, named by its `ID` in os-release(5)."""

    def __init__(self, own: Path | None = None) -> None:
        """Takes the operator's folder, which is laid out like ours; its keys are trusted besides ours."""
        self._roots = (_SHIPPED,) if own is None else (_SHIPPED, own)

    def of(self, release: Release) -> dict[str, bytes]:
        """Returns the files of a distribution's keys by their names, which say nothing about whom to trust.

        An image names its distribution itself: what it can choose among are keys that we trust for somebody, and
        packages that this somebody signed.

        Raises:
            OSError: the operator's folder cannot be read.
        """
        if not _NAME.fullmatch(release.id):
            return {}
        found: dict[str, bytes] = {}
        for root in self._roots:
            folder = root / release.id
            if not folder.is_dir():
                continue
            for file in sorted(folder.iterdir()):
                if file.is_file() and file.name not in _NOT_KEYS and file.stat().st_size <= _MAX_BYTES:
                    found[file.name] = file.read_bytes()
        return found
