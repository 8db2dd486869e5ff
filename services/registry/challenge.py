"""Challenges of a server that wants to know who asks (RFC 9110, sections 5.6 and 11.2 to 11.6.1)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Final

_MAX_CHARACTERS: Final = 16 << 10
_MAX_CHALLENGES: Final = 16
_MAX_PARAMETERS: Final = 32
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_END: Final = r"[ \t]*(?=,|\Z)"
_QUOTED: Final = r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*)"'
_PARAMETER: Final = re.compile(rf"({_WORD})[ \t]*=[ \t]*(?:({_WORD})|{_QUOTED}){_END}")
_SCHEME: Final = re.compile(rf"({_WORD})(?: +|{_END})")
_TOKEN68: Final = re.compile(rf"[A-Za-z0-9._~+/-]+=*{_END}")
_BETWEEN: Final = re.compile(r"[ \t,]*")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class Challenge:
    """One way of proving who we are, as the server offers it."""

    scheme: str
    """In lower case, such as `bearer`."""
    parameters: Mapping[str, str]
    """Names in lower case, values without their quotes."""


def parse_challenges(headers: Sequence[str]) -> tuple[Challenge, ...]:
    """Reads all WWW-Authenticate headers of an answer, each of which may hold several challenges.

    Raises:
        ValueError: they do not keep to the grammar, or to our bounds.
    """
    text = ",".join(headers)
    if len(text) > _MAX_CHARACTERS:
        raise ValueError("the challenge is too long")
    found: list[Challenge] = []
    at = _skip(text, 0)
    while at < len(text):
        scheme = _SCHEME.match(text, at)
        if scheme is None or len(found) == _MAX_CHALLENGES:
            raise ValueError(f"no challenge at its character {at}")
        parameters, at = _parameters(text, scheme.end())
        if at < len(text) and text[at] != ",":
            raise ValueError(f"something strange at its character {at}")
        found.append(Challenge(scheme[1].lower(), parameters))
        at = _skip(text, at)
    return tuple(found)


def _parameters(text: str, at: int) -> tuple[dict[str, str], int]:
    """Returns what belongs to one scheme, and where that ends."""
    found: dict[str, str] = {}
    start = at
    while parameter := _PARAMETER.match(text, start):
        name, plain, quoted = parameter[1].lower(), parameter[2], parameter[3]
        if name in found or len(found) == _MAX_PARAMETERS:
            raise ValueError(f"one parameter too many at its character {start}")
        found[name] = plain if plain is not None else _ESCAPED.sub(r"\1", quoted)
        at = parameter.end()
        start = _skip(text, at)
    credentials = None if found else _TOKEN68.match(text, at)
    return found, credentials.end() if credentials and text[at - 1] == " " else at


def _skip(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    return between.end() if between else at
