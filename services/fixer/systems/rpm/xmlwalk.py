"""XML read as it comes, under bounds; entities, which could make it larger than it is, are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final
from xml.parsers import expat

MAX_TEXT: Final = 16 << 10
"""Of a longer text the beginning is read."""
_MAX_DEPTH: Final = 16
MALFORMED: Final = (expat.ExpatError, ValueError)
"""What `walk` raises."""


def walk(
    chunks: Iterable[bytes],
    on_start: Callable[[str, Mapping[str, str]], None],
    on_text: Callable[[str, str, Mapping[str, str]], None],
    on_end: Callable[[str], None],
) -> None:
    """Tells of each element by its path from the root: its beginning, its text, its end.

    Raises:
        ExpatError, ValueError: it is no XML, or has declarations, or lies too deep.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = MAX_TEXT
    path: list[str] = []
    opened: list[Mapping[str, str]] = []
    text: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(path) >= _MAX_DEPTH or len(name) > 64:
            raise ValueError("elements that lie too deep")
        path.append(f"{path[-1]}/{name}" if path else name)
        opened.append(attributes)
        text.clear()
        on_start(path[-1], attributes)

    def end(_name: str) -> None:
        on_text(path[-1], "".join(text), opened[-1])
        on_end(path[-1])
        text.clear()
        path.pop()
        opened.pop()

    def data(content: str) -> None:
        if len(text) < 4:
            text.append(content[:MAX_TEXT])

    def refuse(*_arguments: object) -> None:
        raise ValueError("declarations, which no index has")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    for chunk in chunks:
        parser.Parse(chunk, False)
    parser.Parse(b"", True)
