"""Who provides what in an image, before and after some of its packages are replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from services.fixer.systems.rpm import richdeps
from services.fixer.systems.rpm.facts import Fact
from services.fixer.systems.rpm.relations import Relation, overlap, relation
from services.rpmdb.faults import Damaged

Id = tuple[str, str, str]
"""Name, architecture, version: of kernels several are installed at once."""

_MERGED: Final = (
    ("/bin/", "/usr/bin/"),
    ("/sbin/", "/usr/sbin/"),
    ("/lib/", "/usr/lib/"),
    ("/lib64/", "/usr/lib64/"),
    ("/usr/sbin/", "/usr/bin/"),
)
"""Folders that are one where a link has made them so: whoever wants a file of the one is served by the other."""


def id_of(fact: Fact) -> Id:
    """Returns by what a package is told from all others."""
    return fact.name, fact.architecture, fact.version


class World:
    """Packages and what they provide."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.facts: dict[Id, Fact] = {id_of(fact): fact for fact in facts}
        self._provided: dict[str, list[tuple[Relation, Id]]] = {}
        self._files: dict[str, set[Id]] = {}
        for key, fact in self.facts.items():
            for text in (*fact.provides, f"{fact.name} = {fact.version}"):
                one = relation(text)
                self._provided.setdefault(one.name, []).append((one, key))
            for path in fact.files:
                self._files.setdefault(path, set()).add(key)

    def providers(self, text: str) -> frozenset[Id]:
        """Returns the packages that meet a simple dependency."""
        wanted = relation(text)
        found = {key for one, key in self._provided.get(wanted.name, ()) if overlap(wanted, one)}
        if wanted.name.startswith("/"):
            for path in _spellings(wanted.name):
                found |= self._files.get(path, set())
        return frozenset(found)

    def named(self, text: str) -> frozenset[Id]:
        """Returns the packages whose own name and version a dependency means: what `Obsoletes` looks at."""
        wanted = relation(text)
        return frozenset(
            key
            for key, fact in self.facts.items()
            if fact.name == wanted.name and overlap(wanted, relation(f"{fact.name} = {fact.version}"))
        )


class Changed:
    """A world in which some packages are replaced by others."""

    def __init__(self, before: World, replaced: Mapping[Id, Fact]) -> None:
        self._before = before
        self._gone = frozenset(replaced)
        self._new = World(replaced.values())

    def facts(self) -> Iterator[Fact]:
        """Yields all that are there now."""
        yield from (fact for key, fact in self._before.facts.items() if key not in self._gone)
        yield from self._new.facts.values()

    def providers(self, text: str) -> frozenset[Id]:
        """Returns the packages that meet a simple dependency now."""
        return (self._before.providers(text) - self._gone) | self._new.providers(text)

    def named(self, text: str) -> frozenset[Id]:
        """As `World.named`."""
        return (self._before.named(text) - self._gone) | self._new.named(text)


def is_met(world: World | Changed, text: str) -> bool:
    """Tells whether a dependency is met, rich ones too; one that cannot be read is not."""
    if not text.startswith("("):
        return bool(world.providers(text))
    try:
        return richdeps.holds(richdeps.parse(text), world.providers)
    except Damaged:
        return False


def _spellings(path: str) -> Iterator[str]:
    yield path
    for one, other in _MERGED:
        if path.startswith(one):
            yield other + path.removeprefix(one)
        elif path.startswith(other):
            yield one + path.removeprefix(other)
