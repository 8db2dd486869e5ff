"""Packages of rpm, made here: headers with their region, signatures, payloads; images and repositories of them.

What rpmbuild makes is tried by `python -m tests.fixes rpm`.
"""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import hashlib
import lzma
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import zstandard
from pysequoia import Sig

from services.fixer.image.tree import ImageTree, read_tree
from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.database import Database, write_database
from services.fixer.systems.rpm.header import BINARY, CHAR, INT16, INT32, MAGIC, STRING, STRINGS, Header
from services.fixer.systems.rpm.package import numbers_entry, open_package
from services.fixer.systems.rpm.relations import relation, version_of
from services.fixer.systems.rpm.system import RpmSystem
from services.lab.layer import LayerBuilder
from tests.builders.layerfiles import layer_files
from tests.builders.signing import SigningKey

DATABASE = "var/lib/rpm/rpmdb.sqlite"
ADDRESS = "http://repository.test/el9"
_PACKERS: Mapping[str, Any] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@dataclasses.dataclass(frozen=True)
class F:
    """A file of a package."""

    path: str
    content: bytes = b""
    mode: int = 0o100644
    flags: int = 0
    target: str = ""
    user: str = "root"
    group: str = "root"
    caps: str = ""
    lang: str = ""
    inode: int = 0
    color: int = 0


def folder(path: str, mode: int = 0o755, user: str = "root") -> F:
    return F(path, mode=0o040000 | mode, user=user)


def link(path: str, target: str) -> F:
    return F(path, mode=0o120777, target=target)


def config(path: str, content: bytes, *, noreplace: bool = True) -> F:
    return F(path, content, flags=tags.CONFIG | (tags.NO_REPLACE if noreplace else 0))


_Entry = tuple[int, int, int, bytes]


def _entry(tag: int, kind: int, values: Sequence[Any]) -> _Entry:
    if kind in (STRING, STRINGS):
        return tag, kind, len(values), b"".join(str(value).encode() + b"\0" for value in values)
    if kind == BINARY:
        return tag, kind, len(values[0]), values[0]
    letter = {CHAR: "B", INT16: "H", INT32: "I"}[kind]
    return tag, kind, len(values), struct.pack(f">{len(values)}{letter}", *values)


def pack(entries: Sequence[_Entry], region: int = 63) -> bytes:
    """A header with its region, without magic."""
    index, data = b"", b""
    for tag, kind, count, content in sorted(entries):
        data += b"\0" * (-len(data) % {INT16: 2, INT32: 4}.get(kind, 1))
        index += struct.pack(">IIII", tag, kind, len(data), count)
        data += content
    first = struct.pack(">IIII", region, BINARY, len(data), 16)
    data += struct.pack(">IIiI", region, BINARY, -16 * (len(entries) + 1), 16)
    return struct.pack(">II", len(entries) + 1, len(data)) + first + index + data


def rpm(
    name: str,
    version: str,
    *files: F,
    epoch: int = 0,
    arch: str = "x86_64",
    source: str = "",
    requires: Sequence[str] = (),
    provides: Sequence[str] = (),
    conflicts: Sequence[str] = (),
    obsoletes: Sequence[str] = (),
    scripts: Mapping[str, str] | None = None,
    module: str = "",
    compressor: str = "gzip",
    key: SigningKey | None = None,
    more: Sequence[_Entry] = (),
    spoil: bytes | None = None,
    legacy: bool = False,
) -> bytes:
    """A package file of a version such as `1-1`; `spoil` takes the payload's place once all is signed.

    A `legacy` one has no hash of its payload: what is signed is all of it.
    """
    plain, _, release = version.partition("-")
    payload = _PACKERS[compressor](_cpio(files))
    full = f"{epoch}:{version}" if epoch else version
    entries = [
        _entry(100, STRINGS, ["C"]),
        _entry(tags.NAME, STRING, [name]),
        _entry(tags.VERSION, STRING, [plain]),
        _entry(tags.RELEASE, STRING, [release]),
        _entry(tags.BUILD_TIME, INT32, [1_700_000_000]),
        _entry(tags.GROUP, STRINGS, ["System"]),
        _entry(tags.ARCH, STRING, [arch]),
        _entry(tags.SOURCE_RPM, STRING, [f"{source or name}-{version}.src.rpm"]),
        _entry(tags.PAYLOAD_FORMAT, STRING, ["cpio"]),
        _entry(tags.PAYLOAD_COMPRESSOR, STRING, [compressor]),
        _entry(tags.PAYLOAD_DIGESTS, STRINGS, [hashlib.sha256(payload).hexdigest()]),
        _entry(tags.PAYLOAD_DIGEST_ALGORITHM, INT32, [8]),
        *_relations(
            tags.PROVIDE_NAMES, tags.PROVIDE_FLAGS, tags.PROVIDE_VERSIONS, [f"{name} = {full}", *provides]
        ),
        *_relations(tags.REQUIRE_NAMES, tags.REQUIRE_FLAGS, tags.REQUIRE_VERSIONS, requires),
        *_relations(tags.CONFLICT_NAMES, tags.CONFLICT_FLAGS, tags.CONFLICT_VERSIONS, conflicts),
        *_relations(tags.OBSOLETE_NAMES, tags.OBSOLETE_FLAGS, tags.OBSOLETE_VERSIONS, obsoletes),
        *_files(files),
        *more,
    ]
    entries += [_entry(tags.EPOCH, INT32, [epoch])] if epoch else []
    entries += [_entry(tags.MODULARITY_LABEL, STRING, [module])] if module else []
    for which, body in (scripts or {}).items():
        entries.append(_entry(tags.SCRIPTS[which], STRING, [body]))
        entries.append(_entry(tags.PROGRAMS[which], STRING, ["/bin/sh"]))
    if legacy:
        entries = [
            each for each in entries if each[0] not in (tags.PAYLOAD_DIGESTS, tags.PAYLOAD_DIGEST_ALGORITHM)
        ]
    header = MAGIC + pack(entries)
    signatures = [
        _entry(tags.SHA1HEADER, STRING, [hashlib.sha1(header, usedforsecurity=False).hexdigest()]),
        _entry(1004, BINARY, [hashlib.md5(header + payload, usedforsecurity=False).digest()]),
        _entry(1000, INT32, [len(header + payload)]),
    ]
    if key is not None:
        signatures.append(_entry(268, BINARY, [bytes(Sig.from_bytes(key.sign(header)))]))
    if key is not None and legacy:
        signatures.append(_entry(1002, BINARY, [bytes(Sig.from_bytes(key.sign(header + payload)))]))
    block = MAGIC + pack(signatures, 62)
    lead = b"\xed\xab\xee\xdb\x03\0" + bytes(90)
    return lead + block + bytes(-len(block) % 8) + header + (payload if spoil is None else spoil)


def _relations(names: int, flags: int, versions: int, texts: Sequence[str]) -> list[_Entry]:
    if not texts:
        return []
    read = [relation(text) for text in texts]
    return [
        _entry(names, STRINGS, [each.name for each in read]),
        _entry(flags, INT32, [each.flags for each in read]),
        _entry(versions, STRINGS, [each.version for each in read]),
    ]


def _files(files: Sequence[F]) -> list[_Entry]:
    if not files:
        return []
    folders = sorted({"/" + f"{file.path.rpartition('/')[0]}/".lstrip("/") for file in files})
    hashes = [
        hashlib.sha256(file.content).hexdigest() if file.mode & 0o100000 and not file.target else ""
        for file in files
    ]
    entries = [
        _entry(tags.BASE_NAMES, STRINGS, [file.path.rpartition("/")[2] for file in files]),
        _entry(tags.DIR_NAMES, STRINGS, folders),
        _entry(
            tags.DIR_INDEXES,
            INT32,
            [folders.index("/" + f"{file.path.rpartition('/')[0]}/".lstrip("/")) for file in files],
        ),
        _entry(tags.FILE_SIZES, INT32, [len(file.content or file.target.encode()) for file in files]),
        _entry(tags.FILE_MODES, INT16, [file.mode for file in files]),
        _entry(tags.FILE_RDEVS, INT16, [0 for _ in files]),
        _entry(tags.FILE_TIMES, INT32, [1_600_000_000 for _ in files]),
        _entry(tags.FILE_DIGESTS, STRINGS, hashes),
        _entry(tags.FILE_TARGETS, STRINGS, [file.target for file in files]),
        _entry(tags.FILE_FLAGS, INT32, [file.flags for file in files]),
        _entry(tags.FILE_USERS, STRINGS, [file.user for file in files]),
        _entry(tags.FILE_GROUPS, STRINGS, [file.group for file in files]),
        _entry(tags.FILE_DEVICES, INT32, [1 for _ in files]),
        _entry(tags.FILE_INODES, INT32, [file.inode or 1000 + at for at, file in enumerate(files)]),
        _entry(tags.FILE_LANGUAGES, STRINGS, [file.lang for file in files]),
        _entry(tags.FILE_COLORS, INT32, [file.color for file in files]),
        _entry(tags.FILE_DIGEST_ALGORITHM, INT32, [8]),
    ]
    if any(file.caps for file in files):
        entries.append(_entry(tags.FILE_CAPABILITIES, STRINGS, [file.caps for file in files]))
    return entries


def _cpio(files: Sequence[F]) -> bytes:
    packed = b""
    last = {file.inode: at for at, file in enumerate(files) if file.inode}
    for at, file in enumerate(files):
        if file.flags & tags.GHOST:
            continue
        content = file.target.encode() or (file.content if last.get(file.inode, at) == at else b"")
        packed += _cpio_entry(f"./{file.path}".encode(), file.mode, content)
    return packed + _cpio_entry(b"TRAILER!!!", 0, b"")


def _cpio_entry(name: bytes, mode: int, content: bytes) -> bytes:
    fields = [1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def header_of(package: bytes, folder_path: Path) -> Header:
    path = folder_path / "a.rpm"
    path.write_bytes(package)
    return open_package(path).header


def database_of(
    folder_path: Path, *packages: bytes, states: Mapping[str, Sequence[int]] | None = None
) -> dict[int, bytes]:
    """The headers as a database keeps them."""
    found = {}
    for number, content in enumerate(packages, start=1):
        path = folder_path / f"installed-{number}.rpm"
        path.write_bytes(content)
        package = open_package(path)
        count = len(package.header.texts(tags.BASE_NAMES))
        own = (states or {}).get(package.header.text(tags.NAME), [tags.NORMAL] * count)
        added = package.inherited()
        added += [numbers_entry(tag, 1_650_000_000) for tag in (tags.INSTALL_TIME, tags.INSTALL_TID)]
        added += [numbers_entry(tags.INSTALL_COLOR, 3)]
        added += [(tags.FILE_STATES, CHAR, count, bytes(own))] if count else []
        found[number] = package.header.with_more(added)
    return found


BASE = rpm("base", "1-1", link("lib64", "usr/lib64"), folder("usr/lib64"), provides=["/bin/sh"])
"""Of it all images have one."""
_TEXTS = {
    "etc/os-release": b'ID="almalinux"\nVERSION_ID="9.4"\nID_LIKE="rhel centos fedora"\n',
    "etc/passwd": b"root:x:0:0::/:/bin/sh\ndaemon:x:2:2::/:/bin/sh\n",
    "etc/group": b"root:x:0:\ndaemon:x:2:\n",
    "etc/yum.repos.d/a.repo": f"[a]\nbaseurl={ADDRESS}/\n".encode(),
}


class RpmImage:
    """An image of packages, and the fix of it, step by step."""

    def __init__(
        self,
        place: Path,
        *packages: bytes,
        texts: Mapping[str, bytes | None] | None = None,
        states: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.place = place
        self.system = RpmSystem()
        self.layers = layer_files(place, image_layer(place, *packages, texts=texts, states=states))

    def tree(self) -> ImageTree:
        """Everything of it, with the content of all files."""
        return read_tree(self.layers, lambda _path: True)


def image_layer(
    place: Path,
    *packages: bytes,
    texts: Mapping[str, bytes | None] | None = None,
    states: Mapping[str, Sequence[int]] | None = None,
) -> LayerBuilder:
    """The one layer of an image of packages; their files are only there where `texts` has them."""
    headers = database_of(place, BASE, *packages, states=states)
    builder = LayerBuilder().directory("usr/lib64").symlink("lib64", "usr/lib64")
    all_texts = {**_TEXTS, DATABASE: write_database(Database(headers, len(headers))), **(texts or {})}
    for path, text in all_texts.items():
        if text is not None:
            builder = builder.file(path, text)
    return builder


def repository(place: Path, *packages: bytes, key: SigningKey | None = None) -> Path:
    """A repository as createrepo_c makes it, of these; signed with the key."""
    (place / "repodata").mkdir(parents=True)
    records = "".join(_record(place, number, package) for number, package in enumerate(packages))
    text = (
        '<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm">'
        f"{records}</metadata>"
    )
    write_index(place, {"primary": ("primary.xml.gz", gzip.compress(text.encode()))}, key=key)
    return place


def write_index(place: Path, parts: Mapping[str, tuple[str, bytes]], *, key: SigningKey | None = None) -> None:
    """Writes parts of an index, and repomd.xml over them."""
    told = ""
    for kind, (name, content) in parts.items():
        (place / "repodata" / name).write_bytes(content)
        told += (
            f'<data type="{kind}"><checksum type="sha256">{hashlib.sha256(content).hexdigest()}</checksum>'
            f'<location href="repodata/{name}"/><size>{len(content)}</size></data>'
        )
    index = f'<repomd xmlns="http://linux.duke.edu/metadata/repo">{told}</repomd>'.encode()
    (place / "repodata/repomd.xml").write_bytes(index)
    if key is not None:
        (place / "repodata/repomd.xml.asc").write_bytes(key.sign(index))


def _record(place: Path, number: int, package: bytes) -> str:
    header = header_of(package, place)
    (place / "a.rpm").unlink()
    name = f"{number}.rpm"
    (place / name).write_bytes(package)
    text = header.text
    lists = {
        "requires": (tags.REQUIRE_NAMES, tags.REQUIRE_FLAGS, tags.REQUIRE_VERSIONS),
        "provides": (tags.PROVIDE_NAMES, tags.PROVIDE_FLAGS, tags.PROVIDE_VERSIONS),
        "conflicts": (tags.CONFLICT_NAMES, tags.CONFLICT_FLAGS, tags.CONFLICT_VERSIONS),
        "obsoletes": (tags.OBSOLETE_NAMES, tags.OBSOLETE_FLAGS, tags.OBSOLETE_VERSIONS),
    }
    format_ = f"<rpm:sourcerpm>{text(tags.SOURCE_RPM)}</rpm:sourcerpm>"
    for kind, (names, flags, versions) in lists.items():
        entries = "".join(
            _dependency(name_, flag, version)
            for name_, flag, version in zip(
                header.texts(names), header.numbers(flags), header.texts(versions), strict=True
            )
        )
        format_ += f"<rpm:{kind}>{entries}</rpm:{kind}>"
    epoch = version_of(header).rpartition(":")[0] or "0"
    return (
        f'<package type="rpm"><name>{text(tags.NAME)}</name><arch>{text(tags.ARCH)}</arch>'
        f'<version epoch="{epoch}" ver="{text(tags.VERSION)}" rel="{text(tags.RELEASE)}"/>'
        f'<checksum type="sha256" pkgid="YES">{hashlib.sha256(package).hexdigest()}</checksum>'
        f'<size package="{len(package)}"/><location href="{name}"/><format>{format_}</format></package>'
    )


def _dependency(name: str, flag: int, version: str) -> str:
    senses = {8: "EQ", 2: "LT", 4: "GT", 10: "LE", 12: "GE"}
    if flag & 15 not in senses:
        return f"<rpm:entry name={quoteattr(name)}/>"
    epoch, _, rest = version.rpartition(":")
    plain, _, release = rest.partition("-")
    told = f' rel="{release}"' if release else ""
    return (
        f'<rpm:entry name={quoteattr(name)} flags="{senses[flag & 15]}" epoch="{epoch or 0}" ver="{plain}"{told}/>'
    )
