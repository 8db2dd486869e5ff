"""What an image's own files tell of its packages and where they are from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.node import NodeKind, Tree
from services.fixer.plan.packages import InstalledPackage, Survey
from services.fixer.systems.rpm import database, sources, tags
from services.fixer.systems.rpm.facts import Fact, Facts, fact_of, to_bytes
from services.fixer.systems.rpm.header import Header
from services.fixer.systems.rpm.release import PLACES, read_release, read_text
from services.fixer.systems.rpm.scripts import Accounts
from services.rpmdb.faults import Damaged

FOLDERS: Final = ("var/lib/rpm", "usr/lib/sysimage/rpm")
_OLDER: Final = {"Packages": "Berkeley DB", "Packages.db": "ndb"}
_WAL_HEADER: Final = 32
_ACCOUNTS: Final = {"users": "etc/passwd", "groups": "etc/group"}
_KEY: Final = "gpg-pubkey"
_SOURCE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+-[^-]+)\.(?:no)?src\.rpm")
_WORD = re.compile(r"[A-Za-z0-9._+~^-]{1,256}")
_VERSION = re.compile(r"(?:[0-9]{1,10}:)?[A-Za-z0-9._+~^]{1,256}-[A-Za-z0-9._+~^]{1,256}")


def wants(path: str) -> bool:
    """Tells whether a survey needs the content of a file."""
    folder, _, name = path.rpartition("/")
    if folder in FOLDERS:
        return name == database.FILE or name in (f"{database.FILE}-wal", f"{database.FILE}-journal")
    return path in PLACES or path in _ACCOUNTS.values() or sources.wants(path)


def survey(tree: Tree) -> Survey | None:
    """Reads the database, os-release and the repositories; None where there is no database of rpm's.

    Raises:
        FixFailure: DATABASE_CORRUPT, DISTRIBUTION_UNSUPPORTED.
    """
    path = database_path(tree)
    if path is None:
        return None
    release = read_release(tree)
    accounts = Accounts(_names(tree, _ACCOUNTS["users"]), _names(tree, _ACCOUNTS["groups"]))
    try:
        headers = {number: Header(blob) for number, blob in read_file(tree, path).headers.items()}
        facts = [
            fact_of(header, accounts, installed=True)
            for header in headers.values()
            if header.text(tags.NAME) != _KEY
        ]
        epochs = _epochs(headers.values())
        architecture = _architecture(facts)
        held = sources.held_patterns(tree)
        packages = [
            _installed(header, epochs, held, path) for header in headers.values() if header.text(tags.NAME) != _KEY
        ]
    except Damaged as damage:
        raise corrupt(path, str(damage)) from damage
    return Survey(
        system="rpm",
        release=release,
        architecture=architecture,
        packages=tuple(sorted(packages, key=lambda each: (each.name, each.architecture, each.version))),
        repositories=sources.repositories(tree, release, architecture),
        database=to_bytes(Facts(tuple(facts), accounts, path)),
    )


def database_path(tree: Tree) -> str | None:
    """Returns the real path of the database that is written.

    Raises:
        FixFailure: DISTRIBUTION_UNSUPPORTED: it is in a form that is only read here.
    """
    older = ""
    for folder in FOLDERS:
        real = tree.real_path(folder, last=True)
        if real is None:
            continue
        for name in (database.FILE, *_OLDER):
            node = tree.get(f"{real}/{name}")
            if node is not None and node.kind is NodeKind.FILE and node.size:
                if name == database.FILE:
                    return f"{real}/{name}"
                older = older or name
    if older:
        raise FixFailure(
            FixReason.DISTRIBUTION_UNSUPPORTED,
            f"The image's rpm keeps its database as {_OLDER[older]}, which can be read here and not be written.",
            hint="Images of RHEL 9, Fedora 33 and their kin, or newer, are fixed; older ones need a newer base.",
        )
    return None


def read_file(tree: Tree, path: str) -> database.Database:
    """Reads the database at a real path.

    Raises:
        FixFailure: DATABASE_CORRUPT, DISTRIBUTION_UNSUPPORTED.
    """
    node = tree.get(path)
    if node is None or node.size > database.MAX_BYTES:
        raise corrupt(path, "is larger than any")
    for journal in ("-wal", "-journal"):
        beside = tree.get(path + journal)
        if beside is None or beside.kind is not NodeKind.FILE or beside.size <= _WAL_HEADER:
            continue
        if beside.size > database.MAX_BYTES or any(tree.read(path + journal)[:_WAL_HEADER]):
            raise corrupt(path, "has changes beside it, in a journal, that were never put into it")
    try:
        found = database.read_database(tree.read(path))
    except Damaged as damage:
        raise corrupt(path, str(damage)) from damage
    if found.strange:
        raise FixFailure(
            FixReason.DISTRIBUTION_UNSUPPORTED,
            f"The image's rpm is newer than any known here: its database has {found.strange[0][:60]!r} besides.",
            hint="Look for a newer Drydock; until then the image is to be built anew.",
        )
    return found


def corrupt(path: str, why: str) -> FixFailure:
    """Returns the failure of a database that cannot be read."""
    return FixFailure(FixReason.DATABASE_CORRUPT, f"The package database /{path} {why}.")


def _installed(header: Header, epochs: dict[str, int], held: tuple[str, ...], path: str) -> InstalledPackage:
    name, architecture = header.text(tags.NAME), header.text(tags.ARCH)
    epoch = header.number(tags.EPOCH)
    plain = f"{header.text(tags.VERSION)}-{header.text(tags.RELEASE)}"
    version = f"{epoch}:{plain}" if epoch else plain
    if not _WORD.fullmatch(name) or not _VERSION.fullmatch(version) or not _WORD.fullmatch(architecture):
        raise Damaged("has a package without a name, a version or an architecture that could be one")
    source, source_version = source_of(header.text(tags.SOURCE_RPM), epochs, name, version)
    return InstalledPackage(
        name=name,
        version=version,
        architecture=architecture,
        source=source,
        source_version=source_version,
        held=sources.is_held(held, name, version, architecture),
        path=path,
    )


def source_of(file: str, epochs: dict[str, int], name: str, version: str) -> tuple[str, str]:
    """Returns name and version of a source package by its file's name; those given where it is none."""
    match = _SOURCE.fullmatch(file)
    if match is None:
        return name, version
    epoch = epochs.get(file, 0)
    return match["name"], f"{epoch}:{match['version']}" if epoch else match["version"]


def _epochs(headers: Iterable[Header]) -> dict[str, int]:
    """A source's epoch, which its file's name does not tell: the one of the package that has its name."""
    named: dict[str, int] = {}
    highest: dict[str, int] = {}
    for header in headers:
        file, epoch = header.text(tags.SOURCE_RPM), header.number(tags.EPOCH)
        match = _SOURCE.fullmatch(file)
        if match is not None:
            highest[file] = max(epoch, highest.get(file, 0))
            if match["name"] == header.text(tags.NAME):
                named[file] = epoch
    return highest | named


def _architecture(facts: list[Fact]) -> str:
    """The one that most packages are built for; of an image in which all are `noarch`, that."""
    counts: dict[str, int] = {}
    for fact in facts:
        if fact.architecture != "noarch":
            counts[fact.architecture] = counts.get(fact.architecture, 0) + 1
    return max(sorted(counts), key=lambda name: counts[name], default="noarch")


def _names(tree: Tree, path: str) -> frozenset[str]:
    text = read_text(tree, path, 4 << 20) or ""
    return frozenset(line.partition(":")[0] for line in text.splitlines() if ":" in line)
