"""The distribution's own description of itself, as a shell would read it (os-release(5), systemd)."""

from __future__ import annotations

import re
from typing import Final

ETC: Final = "etc/os-release"
VENDOR: Final = "usr/lib/os-release"
"""Read where /etc has none."""
MAX_VALUE: Final = 200

_ASSIGNMENT = re.compile(rb"^[ \t]*([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
_ESCAPED = re.compile(r"\\(.)")


def assignments(content: bytes) -> dict[str, str]:
    """Returns what the file assigns, cut at MAX_VALUE characters; later assignments win."""
    return {key.decode("ascii"): _value(raw) for key, raw in _ASSIGNMENT.findall(content)}


def _value(raw: bytes) -> str:
    """Takes a value out of its quotes, as a shell would for the forms that the format allows."""
    text = raw[: MAX_VALUE * 4].decode("utf-8", "replace").strip()
    if len(text) >= 2 and text[0] == text[-1] == "'":
        text = text[1:-1]
    elif len(text) >= 2 and text[0] == text[-1] == '"':
        text = _ESCAPED.sub(r"\1", text[1:-1])
    return text[:MAX_VALUE]
