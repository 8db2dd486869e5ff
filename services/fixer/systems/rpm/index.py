"""What a repository offers: `repomd.xml` and the package lists that it names (createrepo_c; read as they come).

Of the RHEL family few sign `repomd.xml`, and all sign each package. An index without a signature is read to plan
with; then nothing of a package is believed but what a key of ours signed: see `check.py`.
"""

from __future__ import annotations

import base64
import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Final
from urllib.parse import urljoin, urlsplit
from xml.parsers import expat

import zstandard

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Candidate, RepositoryRef, Survey
from services.fixer.repositories.depot import Depot, Expected
from services.fixer.repositories.openpgp import verify_detached
from services.fixer.systems.rpm.relations import in_index, joined
from services.fixer.systems.rpm.survey import source_of
from services.kernel.blocking import in_thread

KEYS: Final = "keys"
"""Field of a candidate that no signed index vouches for: keys, one of which must have signed the package itself.

They travel with it because `check` runs in a worker process, which asks nobody.
"""

_MAX_REPOMD: Final = 4 << 20
_MAX_SIGNATURE: Final = 64 << 10
_MAX_PACKED: Final = 256 << 20
_MAX_UNPACKED: Final = 2 << 30
_MAX_MODULES: Final = 256 << 20
_MAX_PACKAGE: Final = 4 << 30
_MAX_TEXT: Final = 16 << 10
_MAX_RELATIONS: Final = 20_000
_MAX_CANDIDATES: Final = 100_000
_MAX_WINDOW: Final = 128 << 20
_CHUNK: Final = 1 << 18
_HEX: Final = re.compile(r"[0-9a-f]{64,128}")
_HASHES: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_MAX_RECORD: Final = 16 << 20
_BEGIN = re.compile(rb"<package[ >]")
_NAME = re.compile(rb"<name>([^<]*)</name>")
_END: Final = b"</package>"
_ARTIFACT = re.compile(rb"^\s+- (?P<name>[^\s:]+-\d+:[^\s:]+\.[^\s:.]+)\s*$", re.MULTILINE)
_MODULAR = re.compile(r"\.module[_+]")
_DAMAGED: Final = (OSError, EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError, ValueError)


async def available(survey: Survey, repository: RepositoryRef, depot: Depot) -> list[Candidate]:
    """Returns what one repository offers of the image's packages.

    Raises:
        FixFailure: as `PackageSystem.available`.
    """
    keys = depot.keys(survey.system, survey.release)
    if not keys:
        raise FixFailure(
            FixReason.INDEX_KEY_UNKNOWN,
            f"No key is trusted for packages of {survey.release.id}.",
            hint=f"Put its public keys into the folder {survey.release.id!r} below DRYDOCK_FIXER_KEYRINGS.",
        )
    base = repository.address + "/"
    content = await depot.small(base + "repodata/repomd.xml", at_most=_MAX_REPOMD)
    if content is None:
        raise _broken(repository, "has no repodata/repomd.xml")
    signature = await depot.small(base + "repodata/repomd.xml.asc", at_most=_MAX_SIGNATURE)
    if signature is not None:
        verify_detached(content, signature, keys, what=f"The index of {repository.address}")
    parts = read_repomd(content, repository)
    if "primary" not in parts:
        raise _broken(repository, "has an index that names no list of packages")
    path = await _fetch(depot, base, parts["primary"])
    modular: frozenset[str] = frozenset()
    if "modules" in parts:
        modular = await in_thread(_modular, await _fetch(depot, base, parts["modules"]), parts["modules"][0])
    vouching = {} if signature is not None else {KEYS: " ".join(base64.b64encode(key).decode() for key in keys)}
    reader = _Primary(base, survey, vouching, modular)
    await in_thread(_read_primary, path, parts["primary"][0], reader, repository)
    return reader.found


_Part = tuple[str, Expected]


async def _fetch(depot: Depot, base: str, part: _Part) -> Path:
    return await depot.file(urljoin(base, part[0]), part[1], tampered=False)


def keys_for(candidate: Candidate) -> list[bytes] | None:
    """Returns the keys one of which must have signed a package; None where a signed index vouches for it."""
    if KEYS not in candidate.fields:
        return None
    return [base64.b64decode(key) for key in candidate.fields[KEYS].split()]


def read_repomd(content: bytes, repository: RepositoryRef) -> dict[str, _Part]:
    """Returns the files that an index names, by their kind: address and what they must be."""
    parts: dict[str, _Part] = {}
    now: dict[str, str] = {}

    def on_text(path: str, text: str, attributes: Mapping[str, str]) -> None:
        if path.endswith("/checksum"):
            now["hash"] = f"{attributes.get('type', '')}:{text.strip().lower()}"
        elif path.endswith("/size"):
            now["size"] = text.strip()

    def on_start(path: str, attributes: Mapping[str, str]) -> None:
        if path == "repomd/data":
            now.clear()
            now["type"] = attributes.get("type", "")
        elif path == "repomd/data/location":
            now["href"] = attributes.get("href", "")

    def on_end(path: str) -> None:
        if path == "repomd/data" and now["type"] in ("primary", "modules"):
            parts[now["type"]] = (
                now.get("href", ""),
                _expected(now.get("size", ""), now.get("hash", ""), _MAX_PACKED),
            )

    try:
        _walk(iter((content,)), on_start, on_text, on_end)
        if any(not _is_inside(href) for href, _ in parts.values()):
            raise ValueError("leads out of the repository")
    except (expat.ExpatError, ValueError) as error:
        raise _broken(repository, f"has an index that cannot be read: {error}") from error
    return parts


def _expected(size: str, checksum: str, at_most: int) -> Expected:
    algorithm, _, digest = checksum.partition(":")
    if _HASHES.get(algorithm) != len(digest) or not _HEX.fullmatch(digest):
        raise ValueError("a file without a hash that counts")
    if not size.isascii() or not size.isdecimal() or len(size) > 12 or int(size) > at_most:
        raise ValueError("a file without a size that can be one")
    return Expected(size=int(size), checksum=checksum)


def _is_inside(href: str) -> bool:
    parts = urlsplit(href)
    return bool(href) and not parts.scheme and not parts.netloc and not href.startswith("/") and (
        ".." not in href.split("/") and len(href) < 2048 and href.isprintable() and "\\" not in href
    )  # fmt: skip


def _read_primary(path: Path, href: str, reader: _Primary, repository: RepositoryRef) -> None:
    try:
        with path.open("rb") as file:
            chunks = _only(_unpacked(file, href, _MAX_UNPACKED), reader.names)
            _walk(chunks, reader.on_start, reader.on_text, reader.on_end)
    except (*_DAMAGED, expat.ExpatError) as error:
        raise _broken(repository, f"has a list of packages that cannot be read: {error}") from error


def _only(chunks: Iterator[bytes], names: Collection[bytes]) -> Iterator[bytes]:
    """Leaves out the packages that nobody asks for, which are nearly all, before their text is read."""
    rest = b""
    for chunk in chunks:
        *blocks, rest = (rest + chunk).split(_END)
        for block in blocks:
            start = _BEGIN.search(block)
            name = _NAME.search(block, start.end()) if start else None
            if start is not None and name is not None and name[1] not in names:
                yield block[: start.start()]
            else:
                yield block + _END
        if len(rest) > _MAX_RECORD:
            raise ValueError("a package with more text than any")
    yield rest


class _Primary:
    """Gathers the packages that have the name of one in the image."""

    def __init__(self, base: str, survey: Survey, vouching: Mapping[str, str], modular: Collection[str]) -> None:
        self.found: list[Candidate] = []
        self._base = base
        self._vouching = vouching
        self._modular = modular
        self._wanted = {package.name for package in survey.packages}
        self.names = {name.encode() for name in self._wanted}
        self._architectures = {package.architecture for package in survey.packages} | {"noarch"}
        self._texts: dict[str, str] = {}
        self._version: Mapping[str, str] = {}
        self._sizes: Mapping[str, str] = {}
        self._hash = ""
        self._href = ""
        self._kind = ""
        self._relations: dict[str, list[str]] = {}
        self._files: list[str] = []

    def on_start(self, path: str, attributes: Mapping[str, str]) -> None:
        match path:
            case "metadata/package":
                self._texts, self._relations, self._files = {}, {}, []
                self._version, self._sizes = {}, {}
                self._hash = self._href = ""
            case "metadata/package/version":
                self._version = attributes
            case "metadata/package/size":
                self._sizes = attributes
            case "metadata/package/location":
                self._href = "" if "xml:base" in attributes else attributes.get("href", "")
            case "metadata/package/format/rpm:entry":
                pass
            case _ if path.endswith("/rpm:entry") and self._is_wanted():
                self._entry(path.split("/")[-2].removeprefix("rpm:"), attributes)

    def _entry(self, kind: str, attributes: Mapping[str, str]) -> None:
        get = attributes.get
        relations = self._relations.setdefault(kind, [])
        if len(relations) >= _MAX_RELATIONS:
            raise ValueError("a package with too many dependencies")
        relations.append(
            in_index(get("name", ""), get("flags", ""), get("epoch", ""), get("ver", ""), get("rel", ""))
        )

    def on_text(self, path: str, text: str, attributes: Mapping[str, str]) -> None:
        match path.removeprefix("metadata/package/"):
            case "name" | "arch" | "format/rpm:sourcerpm" as key:
                self._texts[key] = text.strip()
            case "checksum":
                self._hash = f"{attributes.get('type', '')}:{text.strip().lower()}"
            case "format/file" if self._is_wanted() and len(self._files) < _MAX_RELATIONS:
                self._files.append(text.strip())

    def _is_wanted(self) -> bool:
        return self._texts.get("name") in self._wanted and self._texts.get("arch") in self._architectures

    def on_end(self, path: str) -> None:
        if path != "metadata/package" or not self._is_wanted():
            return
        name, architecture = self._texts["name"], self._texts["arch"]
        epoch = self._version.get("epoch", "0")
        plain = f"{self._version.get('ver', '')}-{self._version.get('rel', '')}"
        full = f"{name}-{epoch}:{plain}.{architecture}"
        if not _is_inside(self._href) or full in self._modular or _MODULAR.search(plain) or "\n" in full:
            return
        expected = _expected(self._sizes.get("package", ""), self._hash, _MAX_PACKAGE)
        if len(self.found) >= _MAX_CANDIDATES:
            raise ValueError("more versions than can be")
        version = plain if epoch == "0" else f"{epoch}:{plain}"
        file = self._texts.get("format/rpm:sourcerpm", "")
        source, source_version = source_of(file, {file: int(epoch) if epoch.isdecimal() else 0}, name, version)
        algorithm, _, digest = expected.checksum.partition(":")
        fields = {kind: joined(relations) for kind, relations in self._relations.items()}
        self.found.append(
            Candidate(
                name=name,
                version=version,
                architecture=architecture,
                source=source,
                source_version=source_version,
                url=urljoin(self._base, self._href),
                size=expected.size,
                sha256=digest if algorithm == "sha256" else "",
                checksum="" if algorithm == "sha256" else expected.checksum,
                fields={**fields, "files": joined(self._files), **self._vouching},
            )
        )


def _modular(path: Path, href: str) -> frozenset[str]:
    """Returns the packages that belong to modules, as `name-epoch:version-release.architecture`.

    A line of that shape stands nowhere else in the file than in its lists of them: it need not be read as YAML.
    """
    content = bytearray()
    with path.open("rb") as file:
        for chunk in _unpacked(file, href, _MAX_MODULES):
            content += chunk
    return frozenset(match["name"].decode("ascii", "replace") for match in _ARTIFACT.finditer(content))


def _walk(
    chunks: Iterator[bytes],
    on_start: Callable[[str, Mapping[str, str]], None],
    on_text: Callable[[str, str, Mapping[str, str]], None],
    on_end: Callable[[str], None],
) -> None:
    """Reads XML as it comes; entities, which could make it larger than it is, are refused."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = _MAX_TEXT
    path: list[str] = []
    opened: list[Mapping[str, str]] = []
    text: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(path) >= 16 or len(name) > 64:
            raise ValueError("elements that lie too deep")
        path.append(f"{path[-1]}/{name}" if path else name)
        opened.append(attributes)
        text.clear()
        on_start(path[-1], attributes)

    def end(_name: str) -> None:
        on_text(path[-1], "".join(text), opened[-1])
        on_end(path[-1])
        text.clear()
        path.pop()
        opened.pop()

    def data(content: str) -> None:
        if len(text) < 4:
            text.append(content[:_MAX_TEXT])

    def refuse(*_arguments: object) -> None:
        raise ValueError("declarations, which no index has")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    for chunk in chunks:
        parser.Parse(chunk, False)
    parser.Parse(b"", True)


def _unpacked(file: IO[bytes], href: str, at_most: int) -> Iterator[bytes]:
    total = 0
    for chunk in _stream(file, href):
        total += len(chunk)
        if total > at_most:
            raise ValueError("more than a list of packages may have")
        yield chunk


def _stream(file: IO[bytes], href: str) -> Iterator[bytes]:
    """Unpacks by the name's ending, in pieces."""
    if href.endswith(".zst"):
        with zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
            file, read_across_frames=True, closefd=False
        ) as reader:
            while chunk := reader.read(_CHUNK):
                yield chunk
    elif href.endswith(".gz"):
        yield from _inflated(file)
    elif href.endswith((".xz", ".bz2")):
        unpacker = (
            bz2.BZ2Decompressor() if href.endswith(".bz2") else lzma.LZMADecompressor(memlimit=_MAX_WINDOW * 2)
        )
        while not unpacker.eof:
            packed = file.read(_CHUNK) if unpacker.needs_input else b""
            if not packed and unpacker.needs_input:
                raise EOFError("it breaks off")
            yield unpacker.decompress(packed, _CHUNK)
    else:
        while chunk := file.read(_CHUNK):
            yield chunk


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(31)
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or file.read(_CHUNK)
        if not packed:
            raise EOFError("it breaks off")
        yield unpacker.decompress(packed, _CHUNK)


def _broken(repository: RepositoryRef, why: str) -> FixFailure:
    return FixFailure(FixReason.REPOSITORY_INVALID, f"The repository {repository.address} {why}.")
