"""The mark by which an image is known for a fix of ours, and by which its original is found again.

It is a claim: who may push to a repository may forge it there, and gains that his own tag is written over.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import msgspec

from services.kernel.model.digest import Digest, is_digest

SOURCE: Final = "dev.drydock.fix.source"
"""Digest of the image, or the index, that was fixed: of the same repository."""
FORMAT: Final = "dev.drydock.fix.format"
BASE_DIGEST: Final = "org.opencontainers.image.base.digest"
BASE_NAME: Final = "org.opencontainers.image.base.name"
_FORMAT: Final = "1"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a fix was made from."""

    digest: Digest
    """Of the image or the index."""
    name: str
    """`HOST/REPO:TAG`, for people."""

    def annotations(self) -> dict[str, str]:
        """Returns what is said of it in a manifest or an index."""
        return {BASE_DIGEST: self.digest, BASE_NAME: self.name, SOURCE: self.digest, FORMAT: _FORMAT}


class _Marked(msgspec.Struct):
    annotations: dict[str, object] | None = None


def fix_of(content: bytes) -> Digest | None:
    """Returns which image a manifest or an index says that it is a fix of; None of what is no fix of ours."""
    try:
        annotations = msgspec.json.decode(content, type=_Marked).annotations or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    source = annotations.get(SOURCE)
    return Digest(source) if isinstance(source, str) and is_digest(source) and FORMAT in annotations else None
