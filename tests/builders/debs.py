"""Debian packages of every kind, made byte by byte, and signed repositories of them."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import zstandard

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Candidate, Release, RepositoryRef
from services.fixer.repositories.depot import Expected
from tests.builders.signing import SigningKey

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""What a `ManualClock` says at first."""
ADDRESS = "http://deb.example/debian"
_COMPRESSED: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file of a package."""

    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    mode: int = 0o644
    user: str = "root"
    group: str = "root"


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(kind=tarfile.SYMTYPE, target=target, mode=0o777)


def hard(target: str, mode: int = 0o644) -> Entry:
    """One more name of a file of the package, with that one's mode."""
    return Entry(kind=tarfile.LNKTYPE, target=f"./{target}", mode=mode)


def directory(mode: int = 0o755) -> Entry:
    """A directory; those above files are made without being named."""
    return Entry(kind=tarfile.DIRTYPE, mode=mode)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeDeb:
    """A package: what is in it, and its bytes."""

    name: str
    version: str = "1.0"
    architecture: str = "amd64"
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    files: Mapping[str, Entry | str] = dataclasses.field(default_factory=dict)
    control: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Further control files: `conffiles`, `postinst`, `triggers`."""
    compression: str = ".xz"

    @property
    def filename(self) -> str:
        return f"pool/main/{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    @property
    def stanza(self) -> str:
        """The control file."""
        fields = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": "Nobody <nobody@example.invalid>",
            **self.fields,
            "Description": f"the package {self.name}\n It is made for tests.",
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items())

    @property
    def entries(self) -> dict[str, Entry]:
        """All files with the directories above them, parents first."""
        found: dict[str, Entry] = {}
        for path, each in self.files.items():
            parts = path.split("/")
            for depth in range(1, len(parts)):
                found.setdefault("/".join(parts[:depth]), directory())
            found[path] = Entry(each.encode()) if isinstance(each, str) else each
        return found

    @property
    def md5sums(self) -> str:
        conffiles = self.control.get("conffiles", "").split("\n")
        return "".join(
            f"{hashlib.md5(each.content, usedforsecurity=False).hexdigest()}  {path}\n"
            for path, each in self.entries.items()
            if each.kind == tarfile.REGTYPE and f"/{path}" not in conffiles
        )

    def build(self) -> bytes:
        control = {"control": self.stanza, "md5sums": self.md5sums, **self.control}
        scripts = ("preinst", "postinst", "prerm", "postrm")
        members = {
            "debian-binary": b"2.0\n",
            f"control.tar{self.compression}": self._tar(
                {
                    name: Entry(text.encode(), mode=0o755 if name in scripts else 0o644)
                    for name, text in control.items()
                }
            ),
            f"data.tar{self.compression}": self._tar(self.entries),
        }
        return b"!<arch>\n" + b"".join(_member(name, content) for name, content in members.items())

    def _tar(self, entries: Mapping[str, Entry]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path, each in ({"": directory()} | dict(entries)).items():
                info = tarfile.TarInfo(f"./{path}" + ("/" if path and each.kind == tarfile.DIRTYPE else ""))
                info.type, info.linkname, info.mode, info.mtime = each.kind, each.target, each.mode, 1_700_000_000
                info.uname, info.gname, info.size = each.user, each.group, len(each.content)
                tar.addfile(info, io.BytesIO(each.content))
        return _COMPRESSED[self.compression](buffer.getvalue())

    def candidate(self, **changed: object) -> Candidate:
        """The package as an index would offer it."""
        content = self.build()
        source, _, version = self.fields.get("Source", self.name).partition(" ")
        found = Candidate(
            name=self.name,
            version=self.version,
            architecture=self.architecture,
            source=source,
            source_version=version.strip("()") or self.version,
            url=f"{ADDRESS}/{self.filename}",
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            fields=dict(self.fields),
        )
        return dataclasses.replace(found, **changed)  # type: ignore[arg-type]  # of a test's choosing


def packages_index(debs: Sequence[MadeDeb]) -> bytes:
    """The index of packages."""
    stanzas = []
    for each in debs:
        content = each.build()
        stanzas.append(
            f"{each.stanza}Filename: {each.filename}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
    return "\n".join(stanzas).encode()


def release_file(indexes: Mapping[str, bytes], *, suite: str = "bookworm", **more: str) -> bytes:
    """The file that is signed; a field of None-like empty text is left out."""
    fields = {
        "Origin": "Debian",
        "Suite": "oldstable",
        "Codename": suite,
        "Date": format_datetime(NOW - timedelta(days=1), usegmt=True),
        "Valid_Until": format_datetime(NOW + timedelta(days=6), usegmt=True),
        "Architectures": "amd64 arm64",
        "Components": "main",
    } | more
    text = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in fields.items() if value)
    sums = "".join(f" {hashlib.sha256(each).hexdigest()} {len(each)} {path}\n" for path, each in indexes.items())
    return f"{text}SHA256:\n{sums}".encode()


def repository(
    debs: Sequence[MadeDeb], key: SigningKey, *, suite: str = "bookworm", ending: str = ".xz", **more: str
) -> dict[str, bytes]:
    """The files of a signed repository by their addresses."""
    path = f"main/binary-amd64/Packages{ending}"
    indexes = {path: _COMPRESSED[ending](packages_index(debs))}
    files = {f"{ADDRESS}/{each.filename}": each.build() for each in debs}
    files[f"{ADDRESS}/dists/{suite}/InRelease"] = key.clear_sign(release_file(indexes, suite=suite, **more))
    digest = hashlib.sha256(indexes[path]).hexdigest()
    by_hash = f"main/binary-amd64/by-hash/SHA256/{digest}"
    files[f"{ADDRESS}/dists/{suite}/{by_hash if more.get('Acquire_By_Hash') else path}"] = indexes[path]
    return files


SOURCE = RepositoryRef(address=ADDRESS, suite="bookworm", components=("main",))


class DepotOfFiles:
    """Meets `Depot`: gives what it has, held against what is expected."""

    def __init__(self, folder: Path, files: Mapping[str, bytes], *keys: SigningKey) -> None:
        self.files = dict(files)
        self._folder = folder
        self._keys = tuple(each.public for each in keys)

    async def small(self, url: str, *, at_most: int) -> bytes | None:
        content = self.files.get(url)
        assert content is None or len(content) <= at_most
        return content

    async def file(self, url: str, expected: Expected, *, tampered: bool) -> Path:
        content = self.files.get(url)
        if content is None:
            raise FixFailure(FixReason.REPOSITORY_UNREACHABLE, f"{url} is not there.")
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != expected.checksum or len(content) != expected.size:
            why = FixReason.PACKAGE_TAMPERED if tampered else FixReason.INDEX_TAMPERED
            raise FixFailure(why, f"{url} is another one.")
        path = self._folder / hashlib.sha256(url.encode()).hexdigest()
        path.write_bytes(content)
        return path

    def keys(self, system: str, release: Release) -> tuple[bytes, ...]:
        return self._keys


def _member(name: str, content: bytes) -> bytes:
    header = f"{name:<16}{1_700_000_000:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
    return header.encode() + content + b"\n" * (len(content) % 2)
