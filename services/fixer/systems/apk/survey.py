"""What a fix has to know of an image that apk made: packages, world, architecture, repositories, triggers."""

from __future__ import annotations

import dataclasses
import re
from binascii import a2b_base64
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from services.fixer.image.node import NodeKind, Tree
from services.fixer.plan.packages import InstalledPackage, Release, RepositoryRef, Survey
from services.fixer.systems.apk.database import FOLDERS, Record, corrupt, read_database
from services.fixer.systems.apk.dependencies import Dependency, parse
from services.fixer.systems.apk.protected import FOLDER
from services.fixer.systems.apk.scripts import ScriptArchive, read_triggers
from services.kernel.os_release import ETC, VENDOR, assignments

SYSTEM: Final = "apk"
WORLD: Final = "etc/apk/world"
_LOCK: Final = "etc/apko.json"
"""What apko leaves in its images; into their world it writes which version of each package it took."""
_ARCH: Final = "etc/apk/arch"
_REPOSITORIES: Final = "etc/apk/repositories"
_MORE_REPOSITORIES: Final = "etc/apk/repositories.d"
_LIST: Final = re.compile(rf"(?:{_MORE_REPOSITORIES}|{FOLDER})/[^/]+\.list".replace(".d/", r"\.d/"))
_DATABASE: Final = frozenset(
    f"{folder}/{name}" for folder in FOLDERS for name in ("installed", "triggers", "scripts.tar", "scripts.tar.gz")
)
_SMALL: Final = frozenset((WORLD, _ARCH, _REPOSITORIES, ETC, VENDOR))
_SHA1_BYTES: Final = 20
_MAX_SMALL: Final = 1 << 20
_MAX_DATABASE: Final = 256 << 20
_MAX_REPOSITORIES: Final = 64
_ARCHITECTURE: Final = re.compile(r"[a-z0-9_]{1,32}")


class Known(msgspec.Struct, frozen=True):
    """What planning needs of the database (`Survey.database`)."""

    installed: bytes
    world: str
    """What the image asks for itself, without what only says which versions it was built with."""
    triggers: dict[str, tuple[str, ...]]
    """By the package's checksum."""
    trigger_scripts: dict[str, bytes]
    """By the package's name."""
    protected: tuple[str, ...]
    """The image's own lists of protected paths."""


def known(survey: Survey) -> Known:
    """Returns what `take_survey` put there."""
    return msgspec.msgpack.decode(survey.database, type=Known)


def wants(path: str) -> bool:
    """Tells whether the survey reads the file at a real path."""
    return path in _DATABASE or path in _SMALL or _LIST.fullmatch(path) is not None


def take_survey(tree: Tree) -> Survey | None:
    """Reads the image; None where it has no database of apk's.

    Raises:
        FixFailure: DATABASE_CORRUPT.
    """
    folder = database_folder(tree)
    if folder is None:
        return None
    installed = _read(tree, f"{folder}/installed", _MAX_DATABASE)
    records = read_database(installed)
    versions = {record.name: record.version for record in records}
    world = _asked(_text(tree, WORLD), versions, locked=tree.get(_LOCK) is not None)
    pins = {each.name: each for each in parse(world)}
    triggers = read_triggers(_read(tree, f"{folder}/triggers", _MAX_DATABASE))
    return Survey(
        system=SYSTEM,
        release=_release(tree),
        architecture=_architecture(tree, records),
        packages=tuple(
            _package(record, pins.get(record.name), f"{folder}/installed")
            for record in sorted(records, key=lambda each: each.name)
        ),
        repositories=_repositories(tree),
        database=msgspec.msgpack.encode(
            Known(
                installed,
                world,
                triggers,
                _trigger_scripts(read_scripts(tree, folder), records),
                tuple(_texts(tree, FOLDER)),
            )
        ),
    )


def database_folder(tree: Tree) -> str | None:
    """Returns the real folder of the database; None where there is none.

    Raises:
        FixFailure: DATABASE_CORRUPT: there are two.
    """
    found = {
        real.rpartition("/")[0]
        for folder in FOLDERS
        if (real := tree.real_path(f"{folder}/installed", last=True)) and tree.get(real) is not None
    }
    if len(found) > 1:
        raise corrupt("is there twice, in /lib and in /usr/lib")
    return found.pop() if found else None


def scripts_path(tree: Tree, folder: str) -> str:
    """Returns where the installed scripts are: apk 3 packs them."""
    packed = f"{folder}/scripts.tar.gz"
    return packed if tree.get(packed) is not None else f"{folder}/scripts.tar"


def read_scripts(tree: Tree, folder: str) -> ScriptArchive:
    """Reads the installed scripts.

    Raises:
        FixFailure: DATABASE_CORRUPT.
    """
    return ScriptArchive(_read(tree, scripts_path(tree, folder), _MAX_DATABASE))


def hex_checksum(checksum: str) -> str:
    """Returns a checksum as apk 3 has it in names: `X1` and the SHA-1 in hexadecimal, for `Q1` and base64."""
    return f"X1{sha1_of(checksum)}"


def sha1_of(checksum: str) -> str:
    """Returns the SHA-1 of a `Q1…`, in hexadecimal; empty where it is none."""
    try:
        raw = a2b_base64(checksum[2:], strict_mode=True)
    except ValueError:
        return ""
    return raw.hex() if checksum.startswith("Q1") and len(raw) == _SHA1_BYTES else ""


def _asked(world: str, versions: Mapping[str, str], *, locked: bool) -> str:
    """Returns the image's world; the lock of apko's build is nobody's wish and holds nothing."""
    return " ".join(
        str(dataclasses.replace(each, operator="", version="") if locked and is_lock(each, versions) else each)
        for each in parse(world)
    )


def is_lock(pin: Dependency, versions: Mapping[str, str]) -> bool:
    """Tells whether a pin is to the very version that is installed."""
    return pin.operator == "=" and not pin.conflict and pin.version == versions.get(pin.name)


def _trigger_scripts(archive: ScriptArchive, records: tuple[Record, ...]) -> dict[str, bytes]:
    names = {}
    for record in records:
        checksum = record.fields.get("C", "")
        names[checksum] = names[hex_checksum(checksum)] = record.name
    return {
        names[script.package]: script.text
        for script in archive.scripts()
        if script.kind == "trigger" and script.package in names
    }


def _package(record: Record, pin: Dependency | None, path: str) -> InstalledPackage:
    return InstalledPackage(
        name=record.name,
        version=record.version,
        architecture=record.fields.get("A", ""),
        source=record.origin,
        source_version=record.version,
        held=pin is not None and bool(pin.operator) and not pin.conflict and pin.operator not in (">", ">="),
        path=path,
    )


def _release(tree: Tree) -> Release:
    for place in (ETC, VENDOR):
        real = tree.real_path(place, last=True)
        if real is not None and tree.get(real) is not None and wants(real):
            values = assignments(_read(tree, real, _MAX_SMALL))
            return Release(
                id=values.get("ID", "").lower() or "linux",
                version=values.get("VERSION_ID", ""),
                codename=values.get("VERSION_CODENAME", ""),
                likes=tuple(values.get("ID_LIKE", "").lower().split()),
            )
    return Release(id="linux", version="")


def _architecture(tree: Tree, records: tuple[Record, ...]) -> str:
    named = _text(tree, _ARCH).split()
    said = named[0] if named else ""
    if not said:
        counts = Counter(record.fields.get("A", "") for record in records)
        said = next((each for each, _ in counts.most_common() if each not in ("", "noarch")), "")
    if not _ARCHITECTURE.fullmatch(said):
        raise corrupt(f"says no architecture that could be one: {said[:40]!r}")
    return said


def _repositories(tree: Tree) -> tuple[RepositoryRef, ...]:
    texts = [_text(tree, _REPOSITORIES), *_texts(tree, _MORE_REPOSITORIES)]
    found: dict[RepositoryRef, None] = {}
    for line in "\n".join(texts).splitlines():
        repository = _repository(line.strip())
        if repository is not None and len(found) < _MAX_REPOSITORIES:
            found[repository] = None
    return tuple(found)


def _repository(line: str) -> RepositoryRef | None:
    """Reads `[@tag] ADDRESS`; folders of the machine that installed, and addresses with a password, are left."""
    tag = ""
    if line.startswith("@"):
        tag, _, line = line[1:].partition(" ")
        line = line.strip()
    if not line.startswith(("https://", "http://")) or len(line) > 2_000 or len(line.split()) != 1:
        return None
    if not (line.isprintable() and tag.isprintable()):
        return None
    try:
        parts = urlsplit(line)
        parts.port  # noqa: B018 - a ValueError says that it is none
        if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
            return None
    except ValueError:
        return None
    return RepositoryRef(address=line.rstrip("/"), name=tag)


def _texts(tree: Tree, folder: str) -> Iterator[str]:
    """Yields the lists in a folder, by their names."""
    for name in tree.names(folder):
        if name.endswith(".list"):
            yield _text(tree, f"{folder}/{name}")


def _text(tree: Tree, path: str) -> str:
    return _read(tree, path, _MAX_SMALL).decode("utf-8", "replace")


def _read(tree: Tree, path: str, at_most: int) -> bytes:
    """Returns the content of a file; nothing where there is none."""
    real = tree.real_path(path, last=True)
    node = tree.get(real) if real is not None else None
    if real is None or node is None or node.kind is not NodeKind.FILE or not wants(real):
        return b""
    if node.size > at_most:
        raise corrupt(f"has a file of {node.size} bytes: /{path}")
    return tree.read(real)
