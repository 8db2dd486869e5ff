"""The database's main file as dpkg writes it (lib/dpkg/parse.c, `fieldinfos`; dpkg(1))."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from services.fixer.systems.dpkg.control import Stanza, parse_stanza
from services.fixer.systems.dpkg.relations import written

Key = tuple[str, str]
CONFFILES: Final = "Conffiles"
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
_BETWEEN: Final = re.compile(r"(\n(?:[ \t\r]*\n)+)")


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
    """Returns the file with other records for some packages, by name and architecture; others stay as they are."""
    parts = _BETWEEN.split(status)
    for number in range(0, len(parts), 2):
        if not parts[number].strip():
            continue
        stanza = parse_stanza(parts[number].strip("\n"))
        new = records.get((stanza.get("Package"), stanza.get("Architecture")))
        if new is not None and not stanza.get("Status").endswith((" not-installed", " config-files")):
            parts[number] = new if len(parts) > number + 1 else f"{new}\n"
    return "".join(parts)


def conffiles_of(field: str) -> dict[str, tuple[str, str]]:
    """Reads the configuration files of an installed package: hash and flags (such as `obsolete`) by path."""
    found: dict[str, tuple[str, str]] = {}
    for line in field.split("\n"):
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
