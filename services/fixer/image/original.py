"""From a fix of ours back to what it was made from: a fix is made from the original, never stacked on another."""

from __future__ import annotations

from typing import Final

import msgspec

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
        original = await source.manifest(found)
        if not _is_upon(raw.content, original.content):
            return raw  # somebody went on from the fix, and tools keep marks: what they added is not ours to drop
        raw = original
    raise ScanFailure(Reason.MANIFEST_INVALID, f"{reference} says that it is a fix of a fix of a fix.")


class _Layer(msgspec.Struct):
    digest: str = ""


class _Layers(msgspec.Struct):
    layers: list[_Layer] | None = None


def _is_upon(fix: bytes, original: bytes) -> bool:
    """Tells whether a marked manifest is the original and one layer; of indexes the mark has to do."""
    try:
        above, below = (msgspec.json.decode(each, type=_Layers).layers for each in (fix, original))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return (above is None and below is None) or (above is not None and above[:-1] == (below or []))
