"""Names of the tags that a fix writes (why these: `docs/decisions/0046-what-a-fix-writes-over.md`)."""

from __future__ import annotations

from typing import Final

from services.fixer.api import FIXED_SUFFIX
from services.fixer.failure import FixFailure, FixReason
from services.kernel.model.digest import Digest

_BACKUP: Final = ".drydock-backup"
_MOST_CHARACTERS: Final = 128
_ENCODED: Final = 64


def fixed_tag(tag: str) -> str:
    """Returns the tag that the fix of an image under `tag` gets; a fix that is fixed anew keeps its own.

    Raises:
        FixFailure: TAG_TOO_LONG.
    """
    if tag.endswith(FIXED_SUFFIX) and tag != FIXED_SUFFIX:
        return tag
    if len(tag) + len(FIXED_SUFFIX) > _MOST_CHARACTERS:
        raise FixFailure(
            FixReason.TAG_TOO_LONG,
            f"{tag}{FIXED_SUFFIX} has more characters than the {_MOST_CHARACTERS} that registries take.",
            hint="Give the image a shorter tag, or let the fix be written over the tag itself.",
        )
    return f"{tag}{FIXED_SUFFIX}"


def backup_tag(digest: Digest) -> str:
    """Returns the tag that keeps an image reachable: named by its content, it is never in another one's way."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}-{encoded[:_ENCODED]}{_BACKUP}"
