"""Documents: JSON and TOML of images, read within bounds; what cannot be read has one exception and a reason."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from services.scanner.reading.complaints import shown

_T = TypeVar("_T")
_BOM: Final = b"\xef\xbb\xbf"
_MAX_SHOWN: Final = 160

# No group is possessive: Python 3.11.2, which is Debian 12's, gets some of those wrong (gh-101955).
_STRING: Final = rb'("[^"\\]*+(?:\\.[^"\\]*+)*(?:"|\\?\Z))'
_COMMENT = re.compile(_STRING + rb"|//[^\n]*+|/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMMA = re.compile(_STRING + rb"|,(?=\s*+[}\]])", re.DOTALL)
_PART: Final = rb"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_DEEP_KEY = re.compile(rb"(?<![\w-])" + _PART + rb"(?:[ \t]*+\.[ \t]*+" + _PART + rb"){32}")
"""Keys of very many parts take `tomllib` a time that is the square of their number."""


class Unreadable(Exception):
    """A document that is not what its name says."""

    def __init__(self, why: str) -> None:
        """`why` is the end of a sentence that began with the document."""
        super().__init__(why)
        self.why = shown(why, _MAX_SHOWN)


def read_json(content: bytes, shape: type[_T]) -> _T:
    """Reads a document into a typed struct; fields that the struct has not are passed over.

    Raises:
        Unreadable: it is no JSON, nests too deep, or has another shape.
    """
    try:
        return msgspec.json.decode(content.removeprefix(_BOM), type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"could not be read as JSON: {error}") from error


def read_jsonc(content: bytes, shape: type[_T]) -> _T:
    """Reads JSON with comments and trailing commas.

    Raises:
        Unreadable: as `read_json`.
    """
    without_comments = _COMMENT.sub(lambda match: match[1] or b" ", content)
    return read_json(_COMMA.sub(rb"\1", without_comments), shape)


def read_each(entries: Mapping[str, msgspec.Raw], shape: type[_T]) -> Iterator[tuple[str, _T | Unreadable]]:
    """Yields every entry under its key: one that cannot be read does not spoil the others."""
    for key, raw in entries.items():
        try:
            yield key, read_json(bytes(raw), shape)
        except Unreadable as error:
            yield key, error


def read_toml(content: bytes) -> dict[str, Any]:
    """Reads a document.

    Raises:
        Unreadable: it is no TOML, or nests too deep.
    """
    if _DEEP_KEY.search(content):
        raise Unreadable("has keys of more parts than any lock")
    try:
        return tomllib.loads(content.removeprefix(_BOM).decode())
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"could not be read as TOML: {error}") from error
