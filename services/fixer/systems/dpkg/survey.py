"""What an image's dpkg database says (dpkg(1), "Package states"), and where its packages come from."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Final

from services.fixer.image.node import Tree
from services.fixer.plan.packages import InstalledPackage, Survey
from services.fixer.systems.dpkg.alternatives import ALTERNATIVES, registrations
from services.fixer.systems.dpkg.contents import content_of, is_file
from services.fixer.systems.dpkg.control import (
    Stanza,
    corrupt,
    decode,
    encode,
    is_architecture,
    is_package_name,
    is_version,
    parse_stanza,
    source_of,
    split_stanzas,
)
from services.fixer.systems.dpkg.facts import READ, facts_of
from services.fixer.systems.dpkg.osrelease import read_release
from services.fixer.systems.dpkg.relations import RELATIONS, parse_relations
from services.fixer.systems.dpkg.reviewed import ASKED
from services.fixer.systems.dpkg.sources import read_sources
from services.kernel.os_release import ETC, VENDOR

DATABASE: Final = "var/lib/dpkg"
STATUS: Final = "var/lib/dpkg/status"
PARTS: Final = "var/lib/dpkg/status.d"
"""Images without dpkg itself have one file for each package there."""
INFO: Final = "var/lib/dpkg/info"
TRIGGERS: Final = "var/lib/dpkg/triggers"
FACTS: Final = "facts"
"""The part of a survey's database that is no file: what holds of that which reviews ask for, one in a line."""
_KINDS: Final = frozenset({"preinst", "postinst", "prerm", "postrm", "triggers", "shlibs"})
"""What of a package's record says whether the package can be replaced without running anything."""
_SOURCES: Final = "etc/apt/sources.list"
_SOURCES_PARTS: Final = "etc/apt/sources.list.d"
_MAX_DATABASE: Final = 256 << 20

_ABSENT: Final = frozenset({"not-installed", "config-files"})
_STATES: Final = _ABSENT | {
    "half-installed",
    "unpacked",
    "half-configured",
    "triggers-awaited",
    "triggers-pending",
    "installed",
}
_WANTS: Final = frozenset({"unknown", "install", "hold", "deinstall", "purge"})
_FLAGS: Final = frozenset({"ok", "reinstreq"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One package of the database that is there."""

    package: InstalledPackage
    stanza: Stanza
    state: str
    """`installed` of one that is whole."""

    @property
    def whole(self) -> bool:
        """Whether dpkg would go on from here as from any installed package."""
        return self.state == "installed"


def wants(path: str) -> bool:
    """Tells whether the survey reads the file at a real path."""
    folder, _, name = path.rpartition("/")
    if path in (STATUS, _SOURCES, ETC, VENDOR, *READ) or folder in (TRIGGERS, ALTERNATIVES):
        return True
    if folder == INFO:
        return name.rpartition(".")[2] in _KINDS
    if folder == PARTS:
        return not name.endswith(".md5sums")
    return folder == _SOURCES_PARTS and name.endswith((".list", ".sources"))


def survey(tree: Tree) -> Survey | None:
    """Reads the database; None where there is none.

    Raises:
        FixFailure: DATABASE_CORRUPT, DISTRIBUTION_UNSUPPORTED, END_OF_LIFE.
    """
    database = _database(tree)
    if database is None:
        return None
    release = read_release(
        next((read for each in (ETC, VENDOR) if (read := content_of(tree, each)) is not None), None)
    )
    records = read_records(database)
    architecture = _native(records)
    packages = sorted((each.package for each in records), key=lambda each: (each.name, each.architecture))
    return Survey(
        system="dpkg",
        release=release,
        architecture=architecture,
        packages=tuple(packages),
        repositories=read_sources(list(_source_files(tree)), architecture),
        database=database,
    )


def is_record(path: str) -> bool:
    """Tells whether a file of the database tells of packages that are there."""
    return path == STATUS or path.rpartition("/")[0] == PARTS


def read_records(database: bytes) -> list[Record]:
    """Reads the packages that are there, in the database's order.

    Raises:
        FixFailure: DATABASE_CORRUPT.
    """
    records: dict[tuple[str, str], Record] = {}
    for path, text in parts_of(database):
        if not is_record(path):
            continue
        for number, record in enumerate(_split(path, text), start=1):
            try:
                stanza = parse_stanza(record)
                read = _record(stanza, path)
            except ValueError as error:
                raise corrupt(f"record {number} of /{path}: {error}") from error
            if read is None:
                continue
            key = (read.package.name, read.package.architecture)
            if key in records:
                raise corrupt(f"/{path} tells of {read.package.name} twice")
            records[key] = read
    return list(records.values())


def parts_of(database: bytes) -> Iterator[tuple[str, str]]:
    """Yields path and text of the files that a survey's database was made of."""
    for part in database.split(b"\0\0"):
        path, separator, content = part.partition(b"\0")
        if separator:
            yield decode(path), decode(content)


def _split(path: str, text: str) -> list[str]:
    try:
        return list(split_stanzas(text))
    except ValueError as error:
        raise corrupt(f"/{path}: {error}") from error


def _record(stanza: Stanza, path: str) -> Record | None:
    name, version, architecture = stanza.get("Package"), stanza.get("Version"), stanza.get("Architecture")
    if not is_package_name(name):
        raise ValueError(f"no package can be called {name[:80]!r}")
    want, state = "install", "installed"
    if path == STATUS:
        words = stanza.get("Status").split()
        if len(words) != 3 or words[0] not in _WANTS or words[1] not in _FLAGS or words[2] not in _STATES:
            raise ValueError(f"the status of {name} is {stanza.get('Status')[:80]!r}")
        want, state = words[0], words[2] if words[1] == "ok" else "half-installed"
        if state in _ABSENT:
            return None
    if not is_version(version):
        raise ValueError(f"the version of {name} is {version[:80]!r}")
    if not is_architecture(architecture):
        raise ValueError(f"the architecture of {name} is {architecture[:80]!r}")
    for each in RELATIONS:
        parse_relations(stanza.get(each))  # a ValueError says what is wrong
    source, source_version = source_of(stanza)
    package = InstalledPackage(
        name=name,
        version=version,
        architecture=architecture,
        source=source,
        source_version=source_version,
        held=want == "hold",
        path=path,
    )
    return Record(package=package, stanza=stanza, state=state)


def _database(tree: Tree) -> bytes | None:
    """Joins the files of the database, each with its path; they are told apart again by `parts_of`."""
    paths = [STATUS] if is_file(tree, STATUS) else []
    paths += _wanted_in(tree, PARTS)
    if not paths:
        return None
    joined, total = [], 0
    for path in (*paths, *_wanted_in(tree, INFO), *_wanted_in(tree, TRIGGERS)):
        content = content_of(tree, path) or b""
        total += len(content)
        if total > _MAX_DATABASE:
            raise corrupt(f"it has more than {_MAX_DATABASE} bytes")
        if b"\0" in content and is_record(path):
            raise corrupt(f"/{path} is no text")
        if content:  # else the next one would begin with the end of this
            # Of a program in a script's place no more is kept than that it is none.
            joined.append(encode(path) + b"\0" + (content if b"\0" not in content else b"\x7fprogram"))
    facts = sorted({*facts_of(tree, ASKED), *registrations(tree)})
    joined.append(encode(FACTS) + b"\0" + encode("\n".join(facts)))
    return b"\0\0".join(joined)


def _wanted_in(tree: Tree, folder: str) -> list[str]:
    real = tree.real_path(folder, last=True) or folder
    paths = [f"{folder}/{name}" for name in tree.names(real)]
    return [path for path in paths if wants(path) and is_file(tree, path)]


def _native(records: list[Record]) -> str:
    """Dpkg's own architecture, or else the one that most packages have."""
    for each in records:
        if each.package.name == "dpkg" and each.package.architecture != "all":
            return each.package.architecture
    counted = Counter(each.package.architecture for each in records if each.package.architecture != "all")
    return min(counted, key=lambda each: (-counted[each], each)) if counted else "all"


def _source_files(tree: Tree) -> Iterator[tuple[str, bytes]]:
    paths = [_SOURCES, *(f"{_SOURCES_PARTS}/{name}" for name in tree.names(_SOURCES_PARTS))]
    for path in paths:
        if wants(path) and (content := content_of(tree, path)) is not None:
            yield path, content
