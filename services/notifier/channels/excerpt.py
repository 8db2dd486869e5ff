"""The beginning of a target's answer, fit to be kept: error pages repeat the URL, which is often a secret."""

from __future__ import annotations

from collections.abc import Iterator

from yarl import URL

_CHARACTERS = 1024
_LEAST = 6
"""Characters that a piece of the URL must have to count as a secret: shorter ones are words such as `send`."""
HIDDEN = "[hidden]"


def excerpt_of(answer: bytes, url: URL) -> str:
    """Returns the answer's first characters, with every telling piece of the URL replaced."""
    text = answer.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    for piece in sorted(set(_pieces(url)), key=len, reverse=True):
        text = text.replace(piece, HIDDEN)
    return text[:_CHARACTERS]


def _pieces(url: URL) -> Iterator[str]:
    """Path and query, whole and in parts, as they are sent and as servers decode them."""
    whole = (url.raw_path_qs, url.raw_path, url.raw_query_string, url.path_qs, url.path, url.query_string)
    parts = (*url.raw_parts, *url.parts, *url.query.values(), *_raw_values(url))
    yield from (piece for piece in (*whole, *parts) if len(piece) >= _LEAST)


def _raw_values(url: URL) -> Iterator[str]:
    for pair in url.raw_query_string.split("&"):
        yield pair.rpartition("=")[2]
