"""Images of an OCI image layout on disk (OCI image-spec, image-layout.md)."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import BinaryIO

import msgspec

from services.kernel.model import media
from services.kernel.model.digest import Digest, is_digest
from services.scanner.images.blocking import acquire_in_thread, in_thread
from services.scanner.images.interface import Descriptor, ImageSource, RawManifest
from services.scanner.images.limits import ImageLimits
from services.scanner.images.manifest import too_large
from services.scanner.images.verify import BlobCheck
from services.scanner.reasons import Reason, ScanFailure

ONLY_IMAGE = ""
"""As a reference: the one image of a layout that has no more than one."""
_REF_NAME = "org.opencontainers.image.ref.name"
_CHUNK_BYTES = 1 << 20
_MARKER_BYTES = 4 << 10
_NAMES_SHOWN = 20


class _Marker(msgspec.Struct):
    image_layout_version: str = msgspec.field(name="imageLayoutVersion")


class _Entry(msgspec.Struct, rename="camel"):
    digest: str
    size: int
    media_type: str = ""
    annotations: dict[str, str] | None = None

    @property
    def name(self) -> str:
        return (self.annotations or {}).get(_REF_NAME, "")


class _Index(msgspec.Struct):
    manifests: list[_Entry] | None = None


class LayoutSource(ImageSource):
    """A folder in the form of an OCI image layout. Its files are hostile: bounded, and inside it."""

    def __init__(self, directory: Path, limits: ImageLimits) -> None:
        self._directory = directory
        self._limits = limits

    async def head(self, reference: str) -> Descriptor:
        """Finds a tag, a digest, or with `ONLY_IMAGE` the only entry of the layout's index."""
        return await in_thread(self._find, reference)

    async def manifest(self, reference: str) -> RawManifest:
        """Reads a manifest, verified against its digest."""
        return await in_thread(self._manifest, reference)

    def blob(self, descriptor: Descriptor) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Streams a blob of the layout, verified at its end."""
        return aclosing(self._chunks(descriptor))

    async def _chunks(self, descriptor: Descriptor) -> AsyncGenerator[bytes, None]:
        check = BlobCheck(descriptor)
        digest = descriptor.digest
        file = await acquire_in_thread(
            lambda: self._open(_blob_path(digest), digest, Reason.BLOB_NOT_FOUND),
            undo=lambda opened: opened.close(),
        )
        try:
            while chunk := await in_thread(self._next, file, digest):
                await in_thread(check.add, chunk)
                yield chunk
        finally:
            file.close()
        check.finish()

    def _next(self, file: BinaryIO, what: str) -> bytes:
        try:
            return file.read(_CHUNK_BYTES)
        except OSError as error:
            raise self._unreadable(what, error) from error

    def _manifest(self, reference: str) -> RawManifest:
        found = self._find(reference)
        if found.size > self._limits.manifest_bytes:
            raise too_large(found.digest, self._limits)
        check = BlobCheck(found)
        content = self._read(_blob_path(found.digest), found.digest, found.size + 1)
        check.add(content)
        check.finish()
        return RawManifest(media_type=found.media_type, digest=found.digest, content=content)

    def _find(self, reference: str) -> Descriptor:
        entries = self._entries()
        if is_digest(reference):
            return self._by_digest(Digest(reference), entries)
        named = [entry for entry in entries if entry.name == reference] if reference else entries
        if len({entry.digest for entry in named}) != 1:
            raise self._not_one(reference, entries, found=len(named))
        entry = named[0]
        if not is_digest(entry.digest) or entry.size < 0:
            raise self._broken("index.json points to something that is no digest or has no size")
        return Descriptor(media_type=media.bare(entry.media_type), digest=Digest(entry.digest), size=entry.size)

    def _by_digest(self, digest: Digest, entries: list[_Entry]) -> Descriptor:
        for entry in entries:
            if entry.digest == digest and entry.size >= 0:
                return Descriptor(media_type=media.bare(entry.media_type), digest=digest, size=entry.size)
        # A child of an index is no entry of the layout's own. Its media type is not noted anywhere: the body says.
        with self._open(_blob_path(digest), digest, Reason.IMAGE_NOT_FOUND) as file:
            return Descriptor(media_type="", digest=digest, size=os.fstat(file.fileno()).st_size)

    def _entries(self) -> list[_Entry]:
        marker = self._read(Path("oci-layout"), "oci-layout", _MARKER_BYTES)
        index = self._read(Path("index.json"), "index.json", self._limits.manifest_bytes + 1)
        if len(index) > self._limits.manifest_bytes:
            raise too_large(f"index of {self._directory}", self._limits)
        try:
            version = msgspec.json.decode(marker, type=_Marker).image_layout_version
            entries = msgspec.json.decode(index, type=_Index).manifests or []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._broken("oci-layout or index.json is not the JSON it should be") from error
        if not version.startswith("1."):
            raise self._broken(f"its layout version is {version[:20]!r}, only 1.x is known")
        return entries

    def _read(self, path: Path, what: str, limit: int) -> bytes:
        with self._open(path, what, Reason.IMAGE_NOT_FOUND) as file:
            return file.read(limit)

    def _open(self, path: Path, what: str, missing: Reason) -> BinaryIO:
        """Opens a regular file inside the layout; a link that leads out of it is refused."""
        try:
            root = self._directory.resolve(strict=True)
            target = (root / path).resolve(strict=True)
            if not target.is_relative_to(root):
                raise self._broken(f"{path} leads out of the folder")
            # Without O_NONBLOCK a named pipe would hang the thread before we see what it is.
            with contextlib.ExitStack() as undo:
                file = os.fdopen(os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
                undo.callback(file.close)
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise self._broken(f"{path} is no regular file")
                undo.pop_all()
                return file
        except (OSError, RuntimeError) as error:
            if isinstance(error, FileNotFoundError) and missing is Reason.BLOB_NOT_FOUND:
                raise ScanFailure(
                    missing, f"The layout {self._directory} does not have the blob {what}."
                ) from error
            raise self._unreadable(what, error) from error

    def _unreadable(self, what: str, error: Exception) -> ScanFailure:
        why = "is not there" if isinstance(error, FileNotFoundError | NotADirectoryError) else "cannot be read"
        return ScanFailure(
            Reason.IMAGE_NOT_FOUND,
            f"In the OCI image layout {self._directory}, {what} {why}.",
            hint="Name a folder that holds an oci-layout file, as in oci:DIR:TAG.",
        )

    def _broken(self, what: str) -> ScanFailure:
        return ScanFailure(Reason.MANIFEST_INVALID, f"The OCI image layout {self._directory} is broken: {what}.")

    def _not_one(self, reference: str, entries: list[_Entry], *, found: int) -> ScanFailure:
        names = sorted({entry.name[:80] for entry in entries if entry.name})
        listed = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
        if found:
            message = f"The OCI image layout {self._directory} has {found} different images" + (
                f" with the tag {reference!r}." if reference else "."
            )
        elif reference:
            message = f"The OCI image layout {self._directory} has no image with the tag {reference!r}."
        else:
            message = f"The OCI image layout {self._directory} is empty."
        hint = f"Its tags are: {listed}." if names else "It has no tags."
        return ScanFailure(Reason.IMAGE_NOT_FOUND, message, hint=hint)


def _blob_path(digest: Digest) -> Path:
    algorithm, _, encoded = digest.partition(":")
    return Path("blobs", algorithm, encoded)
