"""Content digests as OCI writes them (image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NewType

from services.kernel.errors import invalid

if TYPE_CHECKING:
    from hashlib import _Hash

Digest = NewType("Digest", str)
"""`sha256:` and 64, or `sha512:` and 128, lower-case hex characters."""

_PATTERN = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_BARE = re.compile(r"[0-9a-f]{64}")


def parse_digest(text: str, *, field: str = "digest") -> Digest:
    """Checks a digest; 64 bare hex characters are read as SHA-256, as the ACR interface writes them.

    Raises:
        ServiceError: INVALID_DIGEST.
    """
    if _BARE.fullmatch(text):
        return Digest(f"sha256:{text}")
    if not _PATTERN.fullmatch(text):
        raise invalid(
            "INVALID_DIGEST", f"{text[:80]!r} is no digest.", field=field, hint="Write sha256:<64 hex characters>."
        )
    return Digest(text)


def is_digest(text: str) -> bool:
    """Tells whether the text is a digest in its full form."""
    return _PATTERN.fullmatch(text) is not None


def digest_of(content: bytes) -> Digest:
    """Returns the SHA-256 digest of the bytes."""
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def hasher_for(digest: Digest) -> _Hash:
    """Returns a fresh hash object of the digest's own algorithm."""
    return hashlib.new(digest.split(":", 1)[0])
