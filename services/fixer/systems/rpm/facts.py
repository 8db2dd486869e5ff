"""What planning has to know of an image's packages: gathered once, kept as text in the survey."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from services.fixer.systems.rpm import scripts, tags
from services.fixer.systems.rpm.files import files_of
from services.fixer.systems.rpm.header import Header
from services.fixer.systems.rpm.relations import Relation, relations_of, version_of
from services.fixer.systems.rpm.scripts import Accounts, Trigger

_MAX_FACTS: Final = 256 << 20

_REQUIRES: Final = (tags.REQUIRE_NAMES, tags.REQUIRE_FLAGS, tags.REQUIRE_VERSIONS)
_PROVIDES: Final = (tags.PROVIDE_NAMES, tags.PROVIDE_FLAGS, tags.PROVIDE_VERSIONS)
_CONFLICTS: Final = (tags.CONFLICT_NAMES, tags.CONFLICT_FLAGS, tags.CONFLICT_VERSIONS)
_OBSOLETES: Final = (tags.OBSOLETE_NAMES, tags.OBSOLETE_FLAGS, tags.OBSOLETE_VERSIONS)

Key = tuple[str, str]
"""Name and architecture."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fact:
    """One package, installed or to be."""

    name: str
    version: str
    architecture: str
    requires: tuple[str, ...]
    provides: tuple[str, ...]
    conflicts: tuple[str, ...]
    obsoletes: tuple[str, ...]
    files: tuple[str, ...]
    """Paths with a slash at their beginning; of one in an index only those that the index tells."""
    module: str = ""
    on_erasure: str = ""
    """Script that matters when it is replaced, as `%postun`."""
    on_installation: str = ""
    """Script that matters when it is put in the place of an older one."""
    triggers: tuple[Trigger, ...] = ()
    configs: tuple[str, ...] = ()
    """Names, without their folders, of what is the administrator's to change."""

    @property
    def key(self) -> Key:
        """Which packages it can replace, or be replaced by."""
        return self.name, self.architecture


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """All of an image."""

    packages: tuple[Fact, ...]
    accounts: Accounts
    database: str
    """Path of the database, relative to the root."""


def fact_of(header: Header, accounts: Accounts, *, installed: bool) -> Fact:
    """Returns what a header tells.

    Raises:
        Damaged: it cannot be read.
    """
    files = files_of(header)
    required = relations_of(header, *_REQUIRES)
    if installed:
        # What only its own scripts needed while they ran is no matter any more.
        required = [(text, flags) for text, flags in required if not _is_past(flags)]
    return Fact(
        name=header.text(tags.NAME),
        version=version_of(header),
        architecture=header.text(tags.ARCH),
        requires=_texts(required),
        provides=_texts(relations_of(header, *_PROVIDES)),
        conflicts=_texts(relations_of(header, *_CONFLICTS)),
        obsoletes=_texts(relations_of(header, *_OBSOLETES)),
        files=tuple(f"/{file.path}" for file in files),
        module=header.text(tags.MODULARITY_LABEL),
        on_erasure=scripts.of_the_old(header, accounts),
        on_installation=scripts.of_the_new(header, accounts),
        triggers=tuple(scripts.triggers_of(header)),
        configs=tuple(sorted({file.path.rpartition("/")[2] for file in files if file.is_config})),
    )


def _is_past(flags: int) -> bool:
    return bool(flags & tags.WHILE_INSTALLED) and not flags & (tags.WHILE_REMOVED | tags.META)


def _texts(relations: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text, _ in relations))


def to_bytes(facts: Facts) -> bytes:
    """Returns facts as a survey carries them."""
    return zlib.compress(json.dumps(dataclasses.asdict(facts), separators=(",", ":"), default=sorted).encode(), 1)


def from_bytes(content: bytes) -> Facts:
    """Reads what `to_bytes` made."""
    unpacker = zlib.decompressobj()
    read = json.loads(unpacker.decompress(content, _MAX_FACTS))
    return Facts(
        packages=tuple(map(_fact, read["packages"])),
        accounts=Accounts(frozenset(read["accounts"]["users"]), frozenset(read["accounts"]["groups"])),
        database=read["database"],
    )


def _fact(read: Mapping[str, object]) -> Fact:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in read.items()}
    triggers = values["triggers"]
    assert isinstance(triggers, tuple)  # noqa: S101  # as `asdict` makes them
    values["triggers"] = tuple(
        Trigger(each["owner"], each["prefix"], Relation(**each["package"]) if each["package"] else None)
        for each in triggers
    )
    return Fact(**values)  # type: ignore[arg-type]  # the same fields that `asdict` wrote
