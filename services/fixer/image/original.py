"""From a fix of ours back to what it was made from: a fix is made from the original, never stacked on another."""

from __future__ import annotations

from typing import Final

from services.fixer.image.mark import fix_of
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import ImageSource, RawManifest

_MOST: Final = 4
"""We never make a fix of a fix; a longer way is somebody's joke."""


async def original_of(source: ImageSource, reference: str) -> RawManifest:
    """Returns the manifest or index that lies under a tag or digest, or, of a fix of ours, that of the original.

    Raises:
        ScanFailure: IMAGE_NOT_FOUND where the original is gone, or another registry reason; MANIFEST_INVALID where
            marks lead on and on.
    """
    raw = await source.manifest(reference)
    for _ in range(_MOST):
        found = fix_of(raw.content)
        if found is None:
            return raw
        raw = await source.manifest(found)
    raise ScanFailure(Reason.MANIFEST_INVALID, f"{reference} says that it is a fix of a fix of a fix.")
