"""Alpine packages, signed indexes and installed images, made from a few words each."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from functools import lru_cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from services.fixer.plan.outcome import FindingRef
from tests.fakes.trees import FakeTree

BUILT = 1_700_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclasses.dataclass(frozen=True, slots=True)
class Hard:
    """One more name of a file of the same package."""

    target: str


@dataclasses.dataclass(frozen=True, slots=True)
class Special:
    """A file with something about it."""

    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    user: str = "root"
    group: str = "root"
    xattrs: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Folder:
    """A folder with something about it."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


Content = bytes | Link | Hard | Special | Folder


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Apk:
    """A package to be built."""

    name: str
    version: str
    files: Mapping[str, Content] = dataclasses.field(default_factory=dict)
    depends: str = ""
    provides: str = ""
    install_if: str = ""
    replaces: str = ""
    replaces_priority: int = 0
    origin: str = ""
    architecture: str = "x86_64"
    scripts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    triggers: str = ""
    compress: int = 6

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}.apk"

    def folders(self) -> dict[str, Folder]:
        """Every folder that its files need, each before what is in it."""
        found: dict[str, Folder] = {}
        for path in self.files:
            parts = path.split("/")
            for depth in range(1, len(parts)):
                found.setdefault("/".join(parts[:depth]), Folder())
        for path, content in self.files.items():
            if isinstance(content, Folder):
                found[path] = content
        return dict(sorted(found.items()))

    def data(self) -> bytes:
        """The data member, as abuild makes it."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path, folder in self.folders().items():
                info = _entry(path, tarfile.DIRTYPE, folder.mode)
                info.uid, info.gid = folder.uid, folder.gid
                if folder.uid or folder.gid:
                    info.uname = info.gname = ""
                archive.addfile(info)
            for path, content in self.files.items():
                if not isinstance(content, Folder):
                    _add(archive, path, content)
        return gzip.compress(out.getvalue(), self.compress, mtime=0)

    def control(self, data: bytes) -> bytes:
        """The control member: an archive without an end, so that the data goes on with it."""
        lines = [
            f"pkgname = {self.name}",
            f"pkgver = {self.version}",
            f"pkgdesc = What {self.name} is",
            "url = https://example.invalid/",
            f"builddate = {BUILT}",
            "packager = Somebody <somebody@example.invalid>",
            f"size = {self.installed_size}",
            f"arch = {self.architecture}",
            f"origin = {self.origin or self.name}",
            "maintainer = Somebody <somebody@example.invalid>",
            "license = MIT",
            *(f"depend = {each}" for each in self.depends.split()),
            *(f"provides = {each}" for each in self.provides.split()),
            *(f"replaces = {each}" for each in self.replaces.split()),
            *([f"replaces_priority = {self.replaces_priority}"] if self.replaces_priority else []),
            *([f"install_if = {self.install_if}"] if self.install_if else []),
            *([f"triggers = {self.triggers}"] if self.triggers else []),
            f"datahash = {hashlib.sha256(data).hexdigest()}",
        ]
        members = {".PKGINFO": "".join(f"{line}\n" for line in lines)}
        members |= {f".{kind}": text for kind, text in self.scripts.items()}
        return _archive({name: text.encode() for name, text in members.items()})

    @property
    def installed_size(self) -> int:
        return 4096 * max(1, len(self.files))

    def build(self, key: SigningKey | None = None) -> bytes:
        """The package file, signed or not: apk goes by the index."""
        data = self.data()
        control = self.control(data)
        return (key.member(control, "RSA") if key is not None else b"") + control + data

    def checksum(self) -> str:
        """`Q1…` of its control member."""
        return q1(self.control(self.data()))

    def header(self) -> dict[str, str]:
        """The lines that an index has of it."""
        fields = {
            "C": self.checksum(),
            "P": self.name,
            "V": self.version,
            "A": self.architecture,
            "S": str(len(self.build(signing_key()))),
            "I": str(self.installed_size),
            "T": f"What {self.name} is",
            "U": "https://example.invalid/",
            "L": "MIT",
            "o": self.origin or self.name,
            "m": "Somebody <somebody@example.invalid>",
            "t": str(BUILT),
            "D": self.depends,
            "p": self.provides,
            "i": self.install_if,
        }
        return {letter: value for letter, value in fields.items() if value}


class SigningKey:
    """A key of a repository."""

    def __init__(self, name: str) -> None:
        self.name = f"{name}.rsa.pub"
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def member(self, signed: bytes, kind: str = "RSA256") -> bytes:
        """The member with the signature of what follows it."""
        algorithm = hashes.SHA1() if kind == "RSA" else hashes.SHA256()  # noqa: S303 -- as Alpine signs
        return _archive({f".SIGN.{kind}.{self.name}": self._key.sign(signed, padding.PKCS1v15(), algorithm)})


@lru_cache
def signing_key(name: str = "alpine-devel@example.invalid-00000001") -> SigningKey:
    """The key of that name, the same one each time in a process."""
    return SigningKey(name)


def build_index(packages: Iterable[Apk], key: SigningKey | None = None, kind: str = "RSA256") -> bytes:
    """`APKINDEX.tar.gz`, signed unless there is no key."""
    text = "".join("".join(f"{k}:{v}\n" for k, v in each.header().items()) + "\n" for each in packages)
    index = _archive({"DESCRIPTION": b"v1", "APKINDEX": text.encode()}, end=True)
    return (key.member(index, kind) if key is not None else b"") + index


def install(
    *packages: Apk, folder: str = "lib/apk/db", world: str = "", etc: Mapping[str, bytes] | None = None
) -> FakeTree:
    """An image as apk would have made it of packages."""
    tree = FakeTree()
    for package in packages:
        for path, one in package.folders().items():
            tree.add_folder(path, mode=one.mode, uid=one.uid, gid=one.gid)
        for path, content in package.files.items():
            _put(tree, path, content)
    files = {
        f"{folder}/installed": "".join(record_of(each) for each in packages).encode(),
        f"{folder}/scripts.tar": scripts_tar(packages),
        f"{folder}/triggers": "".join(
            f"{each.checksum()} {each.triggers}\n" for each in packages if each.triggers
        ).encode(),
        "etc/apk/world": "".join(
            f"{each}\n" for each in (world.split() or [each.name for each in packages])
        ).encode(),
        "etc/apk/arch": b"x86_64\n",
        "etc/apk/repositories": b"# the usual ones\nhttp://repository.invalid/v3.20/main\n",
        "etc/os-release": b'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.1\n',
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nhttp:x:33:33::/:/bin/false\n",
        "etc/group": b"root:x:0:\nhttp:x:34:\n",
        **(etc or {}),
    }
    for path, content in files.items():
        tree.add_file(path, content)
    return tree


def record_of(package: Apk) -> str:
    """A record of the installed database, written as apk does."""
    lines = [f"{letter}:{value}" for letter, value in package.header().items()]
    if package.replaces:
        lines.append(f"r:{package.replaces}")
    if package.replaces_priority:
        lines.append(f"q:{package.replaces_priority}")
    for folder, attributes in {**({"": Folder()} if _in_root(package) else {}), **package.folders()}.items():
        lines.append(f"F:{folder}")
        if (attributes.mode, attributes.uid, attributes.gid) != (0o755, 0, 0):
            lines.append(f"M:{attributes.uid}:{attributes.gid}:{attributes.mode:o}")
        for path, content in package.files.items():
            if path.rpartition("/")[0] == folder and not isinstance(content, Folder):
                lines += _file_lines(package, path, content)
    return "".join(f"{line}\n" for line in lines) + "\n"


def finding(package: Apk, fixed: str, id: str = "CVE-2026-0001") -> FindingRef:
    """A finding in an installed package."""
    return FindingRef(
        id=id,
        package=package.name,
        version=package.version,
        fixed_version=fixed,
        path="/lib/apk/db/installed",
        severity="HIGH",
    )


def scripts_tar(packages: Iterable[Apk]) -> bytes:
    """The installed scripts, named as apk 2 does, made by Python's tarfile as a second opinion."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for package in packages:
            for kind, text in package.scripts.items():
                info = tarfile.TarInfo(f"{package.name}-{package.version}.{package.checksum()}.{kind}")
                info.size, info.mode, info.mtime = len(text.encode()), 0o755, BUILT
                info.uname = info.gname = "root"
                archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def q1(content: bytes) -> str:
    """A checksum as apk writes it."""
    return f"Q1{base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()}"


def _in_root(package: Apk) -> bool:
    return any("/" not in path and not isinstance(one, Folder) for path, one in package.files.items())


def _file_lines(package: Apk, path: str, content: Content) -> list[str]:
    lines = [f"R:{path.rpartition('/')[2]}"]
    if isinstance(content, Special) and (content.mode, content.uid, content.gid) != (0o644, 0, 0):
        lines.append(f"a:{content.uid}:{content.gid}:{content.mode:o}")
    if isinstance(content, Link):
        lines += ["a:0:0:777", f"Z:{q1(content.target.encode())}"]
    elif isinstance(content, Hard):
        lines.append(f"Z:{q1(_bytes(package.files[content.target]))}")
    else:
        lines.append(f"Z:{q1(_bytes(content))}")
    return lines


def _bytes(content: Content) -> bytes:
    if isinstance(content, Special):
        return content.content
    return content if isinstance(content, bytes) else b""


def _put(tree: FakeTree, path: str, content: Content) -> None:
    if isinstance(content, Link):
        tree.add_link(path, content.target)
    elif isinstance(content, Hard):
        tree.add_file(path, tree.read(content.target))
    elif isinstance(content, Special):
        tree.add_file(path, content.content, mode=content.mode, uid=content.uid, gid=content.gid)
    elif isinstance(content, bytes):
        tree.add_file(path, content)


def _add(archive: tarfile.TarFile, path: str, content: Content) -> None:
    info = _entry(path, tarfile.REGTYPE, 0o644)
    if isinstance(content, Link):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, content.target, 0o777
        info.pax_headers = _checksum(content.target.encode())
        archive.addfile(info)
        return
    if isinstance(content, Hard):
        info.type, info.linkname = tarfile.LNKTYPE, content.target
        archive.addfile(info)
        return
    raw = _bytes(content)
    headers = _checksum(raw)
    if isinstance(content, Special):
        info.mode, info.uid, info.gid = content.mode, content.uid, content.gid
        info.uname, info.gname = content.user, content.group
        headers |= {f"SCHILY.xattr.{name}": value for name, value in content.xattrs.items()}
    info.pax_headers = headers
    info.size = len(raw)
    archive.addfile(info, io.BytesIO(raw))


def _checksum(content: bytes) -> dict[str, str]:
    return {"APK-TOOLS.checksum.SHA1": hashlib.sha1(content, usedforsecurity=False).hexdigest()}


def _entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.mtime = kind, mode, BUILT
    info.uname = info.gname = "root"
    return info


def _archive(files: Mapping[str, bytes], *, end: bool = False) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            info = _entry(name, tarfile.REGTYPE, 0o755 if name.startswith(".p") or name == ".trigger" else 0o644)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        size = archive.offset
    plain = out.getvalue() if end else out.getvalue()[:size]
    return gzip.compress(plain, mtime=0)
