"""Which distribution an image is of (os-release(5)), and whether we know those who make it."""

from __future__ import annotations

from typing import Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Release
from services.kernel.os_release import assignments

_SUPPORTED: Final = ("debian", "ubuntu")
_ARCHIVED: Final = {"debian": frozenset({"7", "8", "9", "10"}), "ubuntu": frozenset({"12.04"})}
"""Releases whose packages have left their repositories for the archive of old ones: nothing new comes there."""


def read_release(content: bytes | None) -> Release:
    """Reads the file, or what stands for none.

    Raises:
        FixFailure: DISTRIBUTION_UNSUPPORTED, END_OF_LIFE.
    """
    values = assignments(content or b"")
    release = Release(
        id=values.get("ID", "").lower(),
        version=values.get("VERSION_ID", ""),
        codename=values.get("VERSION_CODENAME", ""),
        likes=tuple(values.get("ID_LIKE", "").split()),
    )
    if release.id not in _SUPPORTED:
        raise FixFailure(
            FixReason.DISTRIBUTION_UNSUPPORTED,
            f"The image is of {release.id[:60]!r}: of those with dpkg, Debian and Ubuntu can be fixed."
            if release.id
            else "The image does not say which distribution it is of: it has no usable os-release.",
        )
    if release.version in _ARCHIVED[release.id]:
        raise FixFailure(
            FixReason.END_OF_LIFE,
            f"The image is of {release.id} {release.version}, whose repositories get no fixes any more.",
            hint="Move the image to a release that is supported.",
        )
    return release
