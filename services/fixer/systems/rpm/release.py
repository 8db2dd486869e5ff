"""Which distribution an image is of (os-release(5))."""

from __future__ import annotations

import re
from typing import Final

from services.fixer.image.node import NodeKind, Tree
from services.fixer.plan.packages import Release
from services.kernel.os_release import ETC, VENDOR, assignments

PLACES: Final = (ETC, VENDOR)
_ID = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")
_VALUE = re.compile(r"[A-Za-z0-9._+~:-]{0,64}")
_MAX_BYTES: Final = 64 << 10


def read_release(tree: Tree) -> Release:
    """Reads the first of the two places that has a file; what is no word of the format counts as not said."""
    for place in PLACES:
        content = _read(tree, place, _MAX_BYTES)
        if content is None:
            continue
        values = assignments(content)
        name = values.get("ID", "").lower()
        return Release(
            id=name if _ID.fullmatch(name) else "linux",
            version=_word(values.get("VERSION_ID", "")),
            codename=_word(values.get("VERSION_CODENAME", "")),
            likes=tuple(word for word in values.get("ID_LIKE", "").lower().split() if _ID.fullmatch(word)),
        )
    return Release(id="linux", version="")


def read_text(tree: Tree, path: str, at_most: int) -> str | None:
    """Returns the text of a file of the image, links followed; None where none is, or one that is too large."""
    content = _read(tree, path, at_most)
    return None if content is None else content.decode("utf-8", "replace")


def _read(tree: Tree, path: str, at_most: int) -> bytes | None:
    real = tree.real_path(path, last=True)
    node = tree.get(real) if real is not None else None
    if real is None or node is None or node.kind is not NodeKind.FILE or node.size > at_most:
        return None
    return tree.read(real)


def _word(text: str) -> str:
    return text if _VALUE.fullmatch(text) else ""
