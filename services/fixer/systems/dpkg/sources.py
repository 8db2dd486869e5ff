"""Where an image says that its packages come from (sources.list(5)). Its keys are never looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from services.fixer.plan.packages import RepositoryRef
from services.fixer.systems.dpkg.control import Stanza, decode, parse_stanza, split_stanzas

_MAX_REPOSITORIES: Final = 200
_OPTIONS: Final = re.compile(r"\[([^\]]*)\]")
_NO: Final = frozenset({"no", "false", "without", "off", "disable"})


def read_sources(files: list[tuple[str, bytes]], architecture: str) -> tuple[RepositoryRef, ...]:
    """Reads files by their names: those that end in `.sources` are stanzas, the others have lines.

    What cannot be read, is switched off, is of another architecture or no web address, is no repository for us.
    The order is kept and nothing comes twice.
    """
    found: dict[RepositoryRef, None] = {}
    for name, content in files:
        text = decode(content)
        for each in _stanzas(text, architecture) if name.endswith(".sources") else _lines(text, architecture):
            found[each] = None
            if len(found) >= _MAX_REPOSITORIES:
                return tuple(found)
    return tuple(found)


def _lines(text: str, architecture: str) -> Iterator[RepositoryRef]:
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        kind, _, rest = line.partition(" ")
        if kind != "deb":
            continue
        rest = rest.strip()
        options: dict[str, str] = {}
        if match := _OPTIONS.match(rest):
            rest = rest[match.end() :]
            for option in match[1].split():
                name, _, value = option.partition("=")
                options[name.rstrip("+-").lower()] = value
        if not _is_of(options.get("arch", "").replace(",", " "), architecture):
            continue
        words = rest.split()
        if len(words) > 1:
            yield from _repository(words[0], words[1], tuple(words[2:]))


def _stanzas(text: str, architecture: str) -> Iterator[RepositoryRef]:
    without_comments = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    try:
        records = list(split_stanzas(without_comments))
    except ValueError:
        return
    for record in records:
        try:
            stanza = parse_stanza(record)
        except ValueError:
            continue
        if stanza.get("Enabled").lower() in _NO or "deb" not in stanza.get("Types").split():
            continue
        if _is_of(stanza.get("Architectures"), architecture):
            yield from _of_stanza(stanza)


def _of_stanza(stanza: Stanza) -> Iterator[RepositoryRef]:
    components = tuple(stanza.get("Components").split())
    for address in stanza.get("URIs").split():
        for suite in stanza.get("Suites").split():
            yield from _repository(address, suite, components)


def _repository(address: str, suite: str, components: tuple[str, ...]) -> Iterator[RepositoryRef]:
    """Repositories without suite and components (`/`) are the makers' own, never a distribution's: left out."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - a ValueError says that it is none
    except ValueError:
        return
    if not (address.isprintable() and suite.isprintable() and all(each.isprintable() for each in components)):
        return  # they come into sentences that terminals show
    if parts.scheme not in ("http", "https") or not parts.hostname or suite.endswith("/") or not components:
        return
    host = parts.netloc.rpartition("@")[2]
    yield RepositoryRef(
        address=f"{parts.scheme}://{host}{parts.path}".rstrip("/"), suite=suite.strip("/"), components=components
    )


def _is_of(architectures: str, wanted: str) -> bool:
    return not architectures.split() or wanted in architectures.split()
