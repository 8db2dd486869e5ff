"""Dependencies as apk writes them: `[!]name[@tag][op version]` (apk-world(5); `apk_dep_parse` of apk-tools)."""

from __future__ import annotations

import dataclasses
import re
from functools import lru_cache
from typing import Final

from services.kernel.versions.apk import sort_key

_FORM: Final = re.compile(r"(!?)([^<>=~!@\s]+)(?:@([^<>=~\s]+))?(?:([<>=~]+)(\S+))?")


@dataclasses.dataclass(frozen=True, slots=True)
class Dependency:
    """What a package wants, or with `conflict` what must not be."""

    name: str
    operator: str = ""
    version: str = ""
    conflict: bool = False
    tag: str = ""

    def __str__(self) -> str:
        """As it is written."""
        tag = f"@{self.tag}" if self.tag else ""
        return f"{'!' if self.conflict else ''}{self.name}{tag}{self.operator}{self.version}"

    def admits(self, version: str | None, checksum: str = "") -> bool:
        """Tells whether something of that name meets it, a conflict aside.

        Args:
            version: of the package, or of what it provides: None for something provided without one.
            checksum: of the package, `Q1…`: `><` asks for one build alone.
        """
        if not self.operator:
            return True
        if version is None:
            return False
        if "<" in self.operator and ">" in self.operator:
            return bool(checksum) and checksum == self.version
        return _matches(version, self.operator, self.version)


@lru_cache(maxsize=1 << 16)
def _matches(version: str, operator: str, wanted: str) -> bool:
    if "~" in operator and (version == wanted or _begins(version, wanted)):
        return True
    ours, theirs = sort_key(version), sort_key(wanted)
    if ours == theirs:
        return "=" in operator or "~" in operator
    return "<" in operator if ours < theirs else ">" in operator


def _begins(version: str, wanted: str) -> bool:
    """`~1.2` is 1.2, 1.2.7 and 1.2-r4, and is not 1.20."""
    return version.startswith(wanted) and not version[len(wanted) : len(wanted) + 1].isalnum()


@lru_cache(maxsize=1 << 16)
def parse(text: str) -> tuple[Dependency, ...]:
    """Reads a list of dependencies; what is none is something that nothing meets."""
    return tuple(_parse(word) for word in text.split())


def _parse(word: str) -> Dependency:
    match = _FORM.fullmatch(word)
    if match is None:
        return Dependency(word, "=", "\x00")
    conflict, name, tag, operator, version = match.groups()
    return Dependency(name, operator or "", version or "", bool(conflict), tag or "")


def provided(text: str) -> dict[str, str | None]:
    """Returns what a package provides, by name: its version, or None where it says none."""
    return {each.name: each.version if each.operator else None for each in parse(text)}
