"""Package URLs of statements and of findings: whether they speak of the same package. Pure.

https://github.com/package-url/purl-spec, read 2026-11-26. Qualifiers do not count, since every tool writes others;
only an architecture that both name and name differently parts them.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import NamedTuple

from packageurl import PackageURL

_MOST_CHARACTERS = 2048


class PackageKey(NamedTuple):
    """Which package, of whatever version."""

    type: str
    namespace: str
    name: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Purl:
    """A package URL as far as it counts here."""

    key: PackageKey
    version: str
    """Empty: any."""
    arch: str
    repository_url: str

    def covers(self, other: Purl) -> bool:
        """Tells whether what is said of this one holds for the other."""
        return (
            self.key == other.key
            and self.version in ("", other.version)
            and (not self.arch or not other.arch or self.arch == other.arch)
        )


@lru_cache(maxsize=65536)
def parse_purl(text: str) -> Purl | None:
    """Reads a package URL; None for what is none."""
    if not text.startswith("pkg:") or len(text) > _MOST_CHARACTERS:
        return None
    try:
        parsed = PackageURL.from_string(text)
    except ValueError:
        return None
    qualifiers = parsed.qualifiers
    return Purl(
        key=PackageKey(parsed.type, parsed.namespace or "", parsed.name),
        version=parsed.version or "",
        arch=qualifiers.get("arch", ""),
        repository_url=qualifiers.get("repository_url", ""),
    )
