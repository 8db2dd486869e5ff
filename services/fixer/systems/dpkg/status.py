"""The database's main file as dpkg writes it (lib/dpkg/parse.c, `fieldinfos`; dpkg(1))."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from services.fixer.systems.dpkg.control import Stanza, parse_stanza
from services.fixer.systems.dpkg.relations import written

Key = tuple[str, str]
_BEFORE: Final = (
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Description",
)
_RELATIONS: Final = frozenset(_BEFORE[_BEFORE.index("Replaces") : _BEFORE.index("Conffiles")])
_FLAGS: Final = frozenset({"essential", "protected"})
_RECORD: Final = re.compile(r"(?:[^\n]+\n?)+")


def installed_stanza(control: Stanza, status: str, conffiles: Sequence[tuple[str, str]]) -> str:
    """Returns the record of an installed package, without the blank line after it.

    Args:
        control: the package's own.
        status: `install ok installed`, or with another wish.
        conffiles: path with its leading slash, and hash with what follows it.
    """
    values = {name.lower(): value for name, value in control.fields.items()}
    values["status"] = status
    if conffiles:
        values["conffiles"] = "".join(f"\n {path} {rest}" for path, rest in conffiles)
    else:
        values.pop("conffiles", None)
    known = {name.lower() for name in _BEFORE}
    lines = []
    for name in _BEFORE:
        value = values.get(name.lower(), "")
        if not value or (name.lower() in _FLAGS and value.lower() != "yes"):
            continue
        lines.append(_line(name, written(value) if name in _RELATIONS else value))
    lines += [_line(name, value) for name, value in control.fields.items() if name.lower() not in known and value]
    return "\n".join(lines)


def replaced(status: str, records: Mapping[Key, str]) -> str:
    """Returns the file with other records for some packages, by name and architecture; the others stay as they are."""

    def record(match: re.Match[str]) -> str:
        text = match[0]
        if not text.strip():
            return text
        stanza = parse_stanza(text.rstrip("\n"))
        new = records.get((stanza.get("Package"), stanza.get("Architecture")))
        if new is None or stanza.get("Status").endswith((" not-installed", " config-files")):
            return text
        return new + "\n"

    return _RECORD.sub(record, status)


def conffiles_of(stanza: Stanza) -> dict[str, tuple[str, str]]:
    """Returns the configuration files of an installed package: hash and flags (such as `obsolete`) by path."""
    found: dict[str, tuple[str, str]] = {}
    for line in stanza.get("Conffiles").split("\n"):
        words = line.split()
        if len(words) < 2:
            continue
        flags = []
        while len(words) > 2 and words[-1] in ("obsolete", "remove-on-upgrade"):
            flags.append(words.pop())
        found[" ".join(words[:-1])] = (words[-1], " ".join(reversed(flags)))
    return found


def _line(name: str, value: str) -> str:
    return f"{name}:{value}" if value.startswith("\n") else f"{name}: {value}"
