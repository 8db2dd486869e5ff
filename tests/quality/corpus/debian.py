"""A real Debian image without debootstrap or root: apt downloads and verifies, dpkg-deb unpacks, we write the tar.

The release is the machine's own, as it was published: without the updates that came after it, so that there is
something to find.
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.lab.layer import BuiltLayer, LayerBuilder
from tests.quality.corpus.fetch import run
from tests.quality.corpus.image import Unavailable

_MERGED = ("bin", "lib", "lib64", "sbin")
"""Folders that are links into /usr, as debootstrap makes them before anything is unpacked."""
_FIELD = re.compile(r"^([A-Za-z-]+):[ ]?(.*)$", re.MULTILINE)
_PACKAGE = re.compile(r"\s*([a-z0-9][a-z0-9+.-]+)")
_URI = re.compile(r"^'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})$", re.MULTILINE)
_CONTROL_FILES = ("conffiles", "md5sums", "triggers", "shlibs")
_PATIENCE_SECONDS = 300


def debian_base(cache: Path) -> tuple[BuiltLayer, ...]:
    """What debootstrap calls `minbase`: everything that is required, and apt."""
    archive = _Archive(cache / "debs")
    return (_layer(archive.fetch(archive.minimal()), below=()),)


def debian_python(cache: Path) -> tuple[BuiltLayer, ...]:
    """The base, and a second layer with Python and all that it needs."""
    archive = _Archive(cache / "debs")
    base = archive.minimal()
    more = [name for name in archive.closed(["python3"]) if name not in base]
    below = archive.fetch(base)
    return _layer(below, below=()), _layer(archive.fetch(more), below=below)


class _Archive:
    """What this machine's apt can get of its own release."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._release = _release()
        self._known: dict[str, dict[str, str]] = {}
        for text in _apt("apt-cache", "dumpavail").split("\n\n"):
            stanza = dict(_FIELD.findall(text))
            if "Package" in stanza:
                self._known.setdefault(stanza["Package"], stanza)
        self._provided = {
            match[1]: name
            for name, stanza in self._known.items()
            for part in stanza.get("Provides", "").split(",")
            if (match := _PACKAGE.match(part))
        }

    def minimal(self) -> list[str]:
        """The smallest system that can install more."""
        required = [name for name, stanza in self._known.items() if stanza.get("Priority") == "required"]
        if not required:
            raise Unavailable("apt knows of no required packages: apt-get update")
        return self.closed([*required, "apt"])

    def closed(self, wanted: Sequence[str]) -> list[str]:
        """The packages and all that they depend on, always the first alternative; sorted."""
        found: set[str] = set()
        pending = list(wanted)
        while pending:
            name = pending.pop()
            name = name if name in self._known else self._provided.get(name, "")
            if name and name not in found:
                found.add(name)
                stanza = self._known[name]
                needs = f"{stanza.get('Pre-Depends', '')},{stanza.get('Depends', '')}"
                pending += [match[1] for part in needs.split(",") if (match := _PACKAGE.match(part))]
        return sorted(found)

    def fetch(self, names: Sequence[str]) -> tuple[Path, ...]:
        """Returns the packages' files, held against the hashes of apt's signed index."""
        ask = [f"{name}/{self._release}" for name in names]
        pinned = dict(_URI.findall(_apt("apt-get", "download", "--print-uris", *ask)))
        missing = [file for file in pinned if not (self._folder / file).exists()]
        if missing:
            wanted = [each for each in ask if any(file.startswith(each.split("/")[0] + "_") for file in missing)]
            run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *wanted], self._folder)
        for file, digest in pinned.items():
            if hashlib.sha256((self._folder / file).read_bytes()).hexdigest() != digest:
                raise Unavailable(f"{file} is not what apt's index says")
        return tuple(self._folder / file for file in sorted(pinned))


def _apt(*command: str) -> str:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{command[0]} does not answer: {type(error).__name__}") from error
    return ran.stdout


def _release() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise Unavailable("this machine's /etc/os-release has no VERSION_CODENAME")


def _layer(debs: Sequence[Path], *, below: Sequence[Path]) -> BuiltLayer:
    layer = LayerBuilder()
    seen: set[str] = set()
    if not below:
        for folder in ("usr", *(f"usr/{name}" for name in _MERGED)):
            layer.directory(folder)
        for name in _MERGED:
            layer.symlink(name, f"usr/{name}")
    for deb in debs:
        for entry, content in _unpacked(deb):
            if entry.name not in seen or not entry.isdir():
                seen.add(entry.name)
                layer.raw(entry, content)
    layer.directory("var/lib/dpkg/info")
    for deb in debs:
        for path, content in _records(deb):
            layer.file(path, content)
    return layer.file("var/lib/dpkg/status", "\n".join(map(_status, [*below, *debs]))).build()


def _unpacked(deb: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for entry, content in _members(deb, "--fsys-tarfile"):
        path = entry.name.removeprefix("./").strip("/")
        top, slash, rest = path.partition("/")
        if not path or (top in _MERGED and not slash):
            continue
        entry.name = f"usr/{top}/{rest}" if top in _MERGED else path
        if entry.islnk():
            entry.linkname = entry.linkname.removeprefix("./")
        yield entry, content


def _records(deb: Path) -> Iterator[tuple[str, bytes]]:
    """What dpkg keeps of a package beside its status."""
    control = _control(deb)
    name = control["Package"]
    if control.get("Multi-Arch") == "same":
        name += f":{control['Architecture']}"
    paths = [f"/{entry.name.removeprefix('./').strip('/')}" for entry, _ in _members(deb, "--fsys-tarfile")]
    yield f"var/lib/dpkg/info/{name}.list", "\n".join(["/.", *paths[1:], ""]).encode()
    for entry, content in _members(deb, "--ctrl-tarfile"):
        if entry.name.removeprefix("./") in _CONTROL_FILES:
            yield f"var/lib/dpkg/info/{name}.{entry.name.removeprefix('./')}", content


def _status(deb: Path) -> str:
    """The record as dpkg writes it once the package is installed."""
    control = _run_dpkg(deb, "--field").decode()
    first, _, rest = control.partition("\n")
    return f"{first}\nStatus: install ok installed\n{rest}"


def _control(deb: Path) -> dict[str, str]:
    return dict(_FIELD.findall(_run_dpkg(deb, "--field").decode()))


def _members(deb: Path, which: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(_run_dpkg(deb, which))) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            yield entry, file.read() if file else b""


def _run_dpkg(deb: Path, which: str) -> bytes:
    try:
        return subprocess.run(
            ["dpkg-deb", which, deb], capture_output=True, timeout=_PATIENCE_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"dpkg-deb cannot read {deb.name}") from error
