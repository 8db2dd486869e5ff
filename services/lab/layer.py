"""Layers made in memory, the same bytes every time (OCI image-spec, layer.md)."""

from __future__ import annotations

import dataclasses
import enum
import gzip
import io
import posixpath
import tarfile
from typing import Self

import zstandard

from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.media import DOCKER_LAYER, OCI_LAYER

_MODIFIED = 1_700_000_000


class Compression(enum.Enum):
    """How a layer is stored."""

    GZIP = "gzip"
    GZIP_MEMBERS = "gzip-members"
    """Several gzip members, one after the other, as parallel compressors write them."""
    ZSTD = "zstd"
    NONE = "none"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BuiltLayer:
    """A finished layer."""

    content: bytes
    """As stored."""
    diff_id: Digest
    compression: Compression
    media_type: str = ""
    """In place of the one that follows from the compression."""

    @property
    def digest(self) -> Digest:
        """Of the content as stored."""
        return digest_of(self.content)

    def media_type_for(self, *, docker: bool) -> str:
        """Returns the media type in a Docker or an OCI manifest."""
        if self.media_type:
            return self.media_type
        suffix = {Compression.NONE: "", Compression.ZSTD: "zstd"}.get(self.compression, "gzip")
        if docker:
            return DOCKER_LAYER + (f".{suffix}" if suffix else "")
        return OCI_LAYER + (f"+{suffix}" if suffix else "")


class LayerBuilder:
    """Collects entries in the order of the calls; nothing is added on its own, parents included."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115  # closed in build

    def file(self, path: str, content: bytes | str = b"", *, mode: int = 0o644) -> Self:
        """Adds a regular file; text is written as UTF-8."""
        data = content.encode() if isinstance(content, str) else content
        entry = _entry(path, tarfile.REGTYPE, mode)
        entry.size = len(data)
        return self.raw(entry, data)

    def directory(self, path: str, *, mode: int = 0o755) -> Self:
        """Adds a directory."""
        return self.raw(_entry(path, tarfile.DIRTYPE, mode))

    def symlink(self, path: str, target: str) -> Self:
        """Adds a symbolic link."""
        entry = _entry(path, tarfile.SYMTYPE, 0o777)
        entry.linkname = target
        return self.raw(entry)

    def hard_link(self, path: str, target: str) -> Self:
        """Adds a hard link to another path of the image."""
        entry = _entry(path, tarfile.LNKTYPE, 0o644)
        entry.linkname = target
        return self.raw(entry)

    def whiteout(self, path: str) -> Self:
        """Deletes a path of lower layers."""
        head, name = posixpath.split(path)
        return self.file(posixpath.join(head, f".wh.{name}"))

    def opaque(self, directory: str) -> Self:
        """Hides all that lower layers have in a directory."""
        return self.file(posixpath.join(directory, ".wh..wh..opq"))

    def raw(self, entry: tarfile.TarInfo, content: bytes = b"") -> Self:
        """Adds an entry as it stands, for what the other methods are too well-behaved to make."""
        self._tar.addfile(entry, io.BytesIO(content))
        return self

    def build(self, compression: Compression = Compression.GZIP) -> BuiltLayer:
        """Finishes the layer; the builder is used up."""
        self._tar.close()
        plain = self._buffer.getvalue()
        return BuiltLayer(content=compress(plain, compression), diff_id=digest_of(plain), compression=compression)


def compress(plain: bytes, compression: Compression) -> bytes:
    """Compresses; the same input always gives the same output."""
    match compression:
        case Compression.NONE:
            return plain
        case Compression.ZSTD:
            return zstandard.ZstdCompressor(level=3).compress(plain)
        case Compression.GZIP:
            return gzip.compress(plain, compresslevel=6, mtime=0)
        case Compression.GZIP_MEMBERS:
            step = max(len(plain) // 3, 1)
            parts = (plain[start : start + step] for start in range(0, len(plain), step))
            return b"".join(gzip.compress(part, compresslevel=6, mtime=0) for part in parts)


def _entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type = kind
    entry.mode = mode
    entry.mtime = _MODIFIED
    return entry
