"""Indented: the plain part of YAML in which package managers write their locks, read line by line.

Mappings of one key a line and scalars, plain or quoted (YAML 1.2.2, sections 6 to 8). Values of other forms are
given as they stand: lists and flow mappings hold nothing that is wanted of a lock. Nothing is referred to, so
nothing can expand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from services.scanner.reading.complaints import to_text

_QUOTED = re.compile(r"""'[^']*+(?:''[^']*+)*'|"[^"\\]*+(?:\\.[^"\\]*+)*\"""")
_BLOCK = re.compile(r"[|>][-+0-9]*(?:\s+#.*)?")
_MAX_DEPTH: Final = 16


def read_indented(content: bytes) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields the keys that lead to each line's value, outermost first, and the value, empty where lines follow."""
    above: list[tuple[int, str]] = []
    block = -1
    for raw in content.split(b"\n"):
        line = raw.lstrip(b" ")
        indent = len(raw) - len(line)
        if not line or line[:1] in b"#\r" or 0 <= block < indent:
            continue
        block = -1
        if line.startswith(b": ") and above:  # the value of a key that stood behind a question mark
            line, indent = line[2:], indent + 2
        if line[:1] == b"-":
            if line.startswith(b"---"):
                above.clear()
            continue
        found = _split(to_text(line))
        if found is None:
            continue
        while above and above[-1][0] >= indent:
            above.pop()
        if len(above) >= _MAX_DEPTH:
            continue
        key, value = found
        above.append((indent, scalar(key)))
        if _BLOCK.fullmatch(value):
            block = indent
        yield tuple(key for _, key in above), scalar(value)


def _split(text: str) -> tuple[str, str] | None:
    """Returns the key as it is written, and what follows its colon; None where the line has no key."""
    if text.startswith("? "):
        return text[2:].rstrip(":"), ""
    quoted = _QUOTED.match(text)
    end = quoted.end() if quoted else text.find(": ")
    if end < 0:
        return (text[:-1], "") if text.endswith(":") else None
    key, rest = text[:end], text[end:].lstrip()
    return (key, rest[1:].strip()) if rest[:1] == ":" and rest[1:2] in ("", " ") else None


def scalar(text: str) -> str:
    """Takes a scalar out of its quotes; a plain one loses its comment."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
    return text.partition(" #")[0].rstrip()
