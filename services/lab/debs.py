"""Debian packages made in memory, and the layer that they are when dpkg has unpacked and configured them.

Formats: deb(5), deb-control(5), dpkg(1) "FILES". Data only: no package has a script.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence

from services.lab.layer import BuiltLayer, LayerBuilder

_MODIFIED = 1_700_000_000
_INFO = "var/lib/dpkg/info"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """A binary package."""

    name: str
    version: str
    files: Mapping[str, bytes]
    """Content by path, without a leading slash."""
    source: str = ""
    """As the control file writes it; empty where the source has the package's name."""
    depends: str = ""
    architecture: str = "amd64"

    @property
    def filename(self) -> str:
        """Where it lies in a repository, in the pool."""
        version = self.version.partition(":")[2] or self.version
        return f"pool/main/{self.name[0]}/{self.name}/{self.name}_{version}_{self.architecture}.deb"

    @property
    def control(self) -> str:
        """The fields of its control file, in dpkg's order."""
        fields = {
            "Package": self.name,
            "Source": self.source,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": "Drydock lab <lab@drydock.invalid>",
            "Installed-Size": str(sum(map(len, self.files.values())) // 1024 + 1),
            "Depends": self.depends,
            "Section": "misc",
            "Priority": "optional",
            "Description": "made for the lab",
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)

    @property
    def md5sums(self) -> str:
        """What dpkg keeps of its files."""
        return "".join(
            f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  {path}\n"
            for path, content in sorted(self.files.items())
        )

    @property
    def directories(self) -> tuple[str, ...]:
        """The folders that its files lie in, parents first."""
        found = {path.rsplit("/", depth)[0] for path in self.files for depth in range(1, path.count("/") + 1)}
        return tuple(sorted(found))

    def build(self) -> bytes:
        """Returns the package's file."""
        control = {"./control": self.control.encode(), "./md5sums": self.md5sums.encode()}
        data = {f"./{path}": content for path, content in sorted(self.files.items())}
        members = {
            "debian-binary": b"2.0\n",
            "control.tar.gz": _tar_gz(control, ()),
            "data.tar.gz": _tar_gz(data, [f"./{each}" for each in self.directories]),
        }
        return b"!<arch>\n" + b"".join(_member(name, content) for name, content in members.items())


def installed_layer(debs: Sequence[Deb], more: LayerBuilder) -> BuiltLayer:
    """Adds the files of packages and dpkg's database of them to a layer, and finishes it."""
    made: set[str] = set()
    for folder in ("var", "var/lib", "var/lib/dpkg", _INFO, *(each for deb in debs for each in deb.directories)):
        if folder not in made:
            more.directory(folder)
            made.add(folder)
    for deb in debs:
        for path, content in sorted(deb.files.items()):
            more.file(path, content)
        listed = ["/.", *(f"/{each}" for each in sorted((*deb.directories, *deb.files)))]
        more.file(f"{_INFO}/{deb.name}.list", "".join(f"{each}\n" for each in listed))
        more.file(f"{_INFO}/{deb.name}.md5sums", deb.md5sums)
    more.file("var/lib/dpkg/status", "".join(f"{_status(deb)}\n" for deb in debs))
    return more.build()


def _status(deb: Deb) -> str:
    name, _, rest = deb.control.partition("\n")
    return f"{name}\nStatus: install ok installed\n{_in_order(rest)}"


def _in_order(fields: str) -> str:
    """Dpkg writes the fields of its database in an order of its own."""
    order = ("Priority", "Section", "Installed-Size", "Maintainer", "Architecture", "Source", "Version", "Depends")
    lines = {line.partition(":")[0]: line for line in fields.splitlines()}
    first = [lines.pop(name) for name in order if name in lines]
    return "".join(f"{line}\n" for line in (*first, *lines.values()))


def _tar_gz(files: Mapping[str, bytes], folders: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder in ("./", *folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, _MODIFIED
            tar.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(content), 0o644, _MODIFIED
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _member(name: str, content: bytes) -> bytes:
    header = f"{name:<16}{_MODIFIED:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
    return header.encode() + content + b"\n" * (len(content) % 2)
