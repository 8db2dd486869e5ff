"""Relations between packages: what a field says, and whether it holds (deb-control(5), Policy 7.1)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from services.kernel.versions.dpkg import sort_key

RELATIONS: Final = ("Pre-Depends", "Depends", "Breaks", "Conflicts", "Replaces", "Provides")
"""The fields that decide whether packages can be in one image."""
_ONE: Final = re.compile(
    r"\s*([A-Za-z0-9][A-Za-z0-9+._-]*)(?::([a-z0-9-]+))?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([^\s()]+)\s*\))?\s*"
    r"(?:\[[^\]]*\])?\s*"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Relation:
    """One package, in a version where it is said."""

    name: str
    qualifier: str = ""
    """Architecture, `any` or `native`."""
    operator: str = ""
    version: str = ""

    def allows(self, version: str) -> bool:
        """Tells whether a version is one that is meant."""
        if not self.operator:
            return True
        this, that = sort_key(version), sort_key(self.version)
        match self.operator:
            case "<<":
                return this < that
            case "<=" | "<":
                return this <= that
            case "=":
                return this == that
            case ">=" | ">":
                return this >= that
            case _:
                return this > that

    def __str__(self) -> str:
        name = f"{self.name}:{self.qualifier}" if self.qualifier else self.name
        return f"{name} ({self.operator} {self.version})" if self.operator else name


Alternatives = tuple[Relation, ...]
"""Of which one must hold."""


@lru_cache(maxsize=1 << 14)
def parse_relations(field: str) -> tuple[Alternatives, ...]:
    """Reads a field such as `Depends`.

    Raises:
        ValueError: it is none; says which part is not.
    """
    found = []
    for group in field.replace("\n", " ").split(","):
        if not group.strip():
            continue
        alternatives = []
        for each in group.split("|"):
            match = _ONE.fullmatch(each)
            if match is None:
                raise ValueError(f"{each.strip()[:80]!r} names no package")
            alternatives.append(Relation(match[1], match[2] or "", match[3] or "", match[4] or ""))
        found.append(tuple(alternatives))
    return tuple(found)


def written(field: str) -> str:
    """Returns a field as dpkg writes it into its database."""
    return ", ".join(" | ".join(map(str, group)) for group in parse_relations(field))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A package of a set of packages, in the version that it has there."""

    name: str
    architecture: str
    version: str
    fields: Mapping[str, str]
    """Relations and `Multi-Arch`, as the record has them."""

    @property
    def key(self) -> tuple[str, str]:
        """Name and architecture: of one package there is one version."""
        return self.name, self.architecture

    def relations(self, *fields: str) -> Iterable[Alternatives]:
        """Returns what the fields say."""
        for field in fields:
            yield from parse_relations(self.fields.get(field, ""))


class Members:
    """A set of packages that are in one image together."""

    def __init__(self, members: Iterable[Member], native: str) -> None:
        self._native = native
        self._named: dict[str, list[Member]] = {}
        self._provided: dict[str, list[tuple[Member, str]]] = {}
        self.all: dict[tuple[str, str], Member] = {}
        for member in members:
            self.all[member.key] = member
            self._named.setdefault(member.name, []).append(member)
            for group in member.relations("Provides"):
                for each in group:
                    version = each.version if each.operator == "=" else ""
                    self._provided.setdefault(each.name, []).append((member, version))

    def satisfying(self, relation: Relation, of: Member) -> list[Member]:
        """Returns the members by which a dependency of one of them holds."""
        found = [
            each
            for each in self._named.get(relation.name, ())
            if relation.allows(each.version) and self._reaches(relation, each, of)
        ]
        for each, version in self._provided.get(relation.name, ()):
            if (not relation.operator or (version and relation.allows(version))) and self._reaches(
                relation, each, of
            ):
                found.append(each)
        return found

    def against(self, relation: Relation, of: Member) -> list[Member]:
        """Returns the members that a `Breaks` or `Conflicts` of one of them means: never itself."""
        found = [
            each
            for each in self._named.get(relation.name, ())
            if each.name != of.name and relation.allows(each.version)
        ]
        for each, version in self._provided.get(relation.name, ()):
            if each.name != of.name and (not relation.operator or (version and relation.allows(version))):
                found.append(each)
        return found

    def named(self, name: str) -> list[Member]:
        """Returns the members of a name, one for each architecture."""
        return self._named.get(name, [])

    def _reaches(self, relation: Relation, other: Member, of: Member) -> bool:
        """Tells whether a package of an architecture counts for one of another (Multi-Arch)."""
        multi = other.fields.get("Multi-Arch", "")
        if multi == "foreign" or (relation.qualifier == "any" and multi == "allowed"):
            return True
        wanted = of.architecture
        if relation.qualifier not in ("", "any", "native"):
            wanted = relation.qualifier
        return self._concrete(other.architecture) == self._concrete(wanted)

    def _concrete(self, architecture: str) -> str:
        return self._native if architecture == "all" else architecture
