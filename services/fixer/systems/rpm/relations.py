"""What packages provide and want: names with versions, and whether they meet (rpm 4.18, `lib/rpmds.c`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.header import Header
from services.kernel.versions.rpm import NO_RELEASE, RpmKey, sort_key
from services.rpmdb.faults import Damaged

_SENSES: Final = {
    tags.EQUAL: "=",
    tags.LESS: "<",
    tags.GREATER: ">",
    tags.LESS | tags.EQUAL: "<=",
    tags.GREATER | tags.EQUAL: ">=",
}
_FLAGS: Final = {sign: flags for flags, sign in _SENSES.items()}
_WORDS: Final = {"EQ": "=", "LT": "<", "GT": ">", "LE": "<=", "GE": ">="}
_MAX: Final = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Relation:
    """A name, and which versions of it."""

    name: str
    flags: int = 0
    version: str = ""

    @property
    def text(self) -> str:
        """As rpm writes it."""
        sign = _SENSES.get(self.flags & 15, "")
        return f"{self.name} {sign} {self.version}" if sign and self.version else self.name


@lru_cache(maxsize=20_000)
def relation(text: str) -> Relation:
    """Reads a dependency as rpm writes it; of a rich one the text is the name."""
    if not text.startswith("("):
        parts = text.rsplit(" ", 2)
        if len(parts) == 3 and parts[1] in _FLAGS:
            return Relation(parts[0], _FLAGS[parts[1]], parts[2])
    return Relation(text)


def in_index(name: str, sense: str, epoch: str, version: str, release: str) -> str:
    """Returns a dependency of `primary.xml` as rpm writes it."""
    sign = _WORDS.get(sense, "")
    if not sign or not version:
        return name
    full = (f"{epoch}:" if epoch not in ("", "0") else "") + version + (f"-{release}" if release else "")
    return f"{name} {sign} {full}"


def relations_of(
    header: Header, names: int, flags: int, versions: int, *, leave: int = 0
) -> list[tuple[str, int]]:
    """Returns a header's dependencies of one kind, with their flags; those with a flag of `leave` are left out.

    Raises:
        Damaged: lists of different lengths.
    """
    lists = header.texts(names), header.numbers(flags), header.texts(versions)
    if len({len(each) for each in lists}) > 1 or len(lists[0]) > _MAX:
        raise Damaged("has lists of dependencies that do not fit together")
    return [
        (Relation(name, flag & 15, version).text, flag)
        for name, flag, version in zip(*lists, strict=True)
        if not flag & leave
    ]


def version_of(header: Header) -> str:
    """Returns epoch, version and release; the epoch only where it is not 0."""
    version = f"{header.text(tags.VERSION)}-{header.text(tags.RELEASE)}"
    epoch = header.number(tags.EPOCH)
    return f"{epoch}:{version}" if epoch else version


def overlap(wanted: Relation, provided: Relation) -> bool:
    """Tells whether there is a version that both mean; their names are taken to be equal (`rpmverOverlap`)."""
    if not wanted.flags & 15 or not provided.flags & 15 or not wanted.version or not provided.version:
        return True
    a, b = _key(wanted.version), _key(provided.version)
    if a[:2] == b[:2] and NO_RELEASE in (a[2], b[2]):
        # Whoever names no release means all of them.
        if (a[2] != NO_RELEASE and provided.flags & tags.EQUAL) or (
            b[2] != NO_RELEASE and wanted.flags & tags.EQUAL
        ):
            return True
        a = b
    if a < b:
        return bool(wanted.flags & tags.GREATER or provided.flags & tags.LESS)
    if a > b:
        return bool(wanted.flags & tags.LESS or provided.flags & tags.GREATER)
    shared = wanted.flags & provided.flags
    return bool(shared & (tags.EQUAL | tags.LESS | tags.GREATER))


@lru_cache(maxsize=50_000)
def _key(version: str) -> RpmKey:
    return sort_key(version)


def joined(texts: Iterable[str]) -> str:
    """Returns dependencies as one field of a candidate."""
    return "\n".join(texts)


def split(field: str) -> Sequence[str]:
    """Returns the dependencies of a field."""
    return field.split("\n") if field else ()
