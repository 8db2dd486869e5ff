"""Images of an OCI image layout, in a folder or an archive (OCI image-spec, image-layout.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

import msgspec

from services.kernel.blocking import in_thread
from services.kernel.model import media
from services.kernel.model.digest import Digest, is_digest
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor, ImageSource, RawManifest
from services.registry.limits import ImageLimits
from services.registry.manifest import too_large
from services.registry.verify import BlobCheck
from services.scanner.images.files import Absent, Files

ONLY_IMAGE = ""
"""As a reference: the one image of a layout that has no more than one."""
_REF_NAME = "org.opencontainers.image.ref.name"
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
    """Files in the form of an OCI image layout."""

    def __init__(self, files: Files, limits: ImageLimits) -> None:
        self._files = files
        self._limits = limits

    async def head(self, reference: str) -> Descriptor:
        """Finds a tag, a digest, or with `ONLY_IMAGE` the only entry of the layout's index."""
        return await in_thread(self._find, reference)

    async def manifest(self, reference: str) -> RawManifest:
        """Reads a manifest, verified against its digest."""
        return await in_thread(self._manifest, reference)

    async def place(self, descriptor: Descriptor) -> Path | None:
        """Returns the file in the layout's folder; None for an archive, and where there is no such file."""
        return await in_thread(self._files.place, _blob_path(descriptor.digest))

    def blob(self, descriptor: Descriptor) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Streams a blob of the layout, verified at its end."""
        return aclosing(self._files.stream(_blob_path(descriptor.digest), descriptor))

    def _manifest(self, reference: str) -> RawManifest:
        found = self._find(reference)
        if found.size > self._limits.manifest_bytes:
            raise too_large(found.digest, self._limits)
        check = BlobCheck(found)
        content = self._files.read(_blob_path(found.digest), found.size + 1)
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
            raise self._files.broken("index.json points to something that is no digest or has no size")
        return Descriptor(media_type=media.bare(entry.media_type), digest=Digest(entry.digest), size=entry.size)

    def _by_digest(self, digest: Digest, entries: list[_Entry]) -> Descriptor:
        for entry in entries:
            if entry.digest == digest and entry.size >= 0:
                return Descriptor(media_type=media.bare(entry.media_type), digest=digest, size=entry.size)
        # A child of an index is no entry of the layout's own. Its media type is not noted anywhere: the body says.
        try:
            with self._files.open(_blob_path(digest)) as file:
                return Descriptor(media_type="", digest=digest, size=file.size)
        except Absent as error:
            raise self._files.unreadable(digest, error) from error

    def _entries(self) -> list[_Entry]:
        marker = self._files.read("oci-layout", _MARKER_BYTES)
        index = self._files.read("index.json", self._limits.manifest_bytes + 1)
        if len(index) > self._limits.manifest_bytes:
            raise too_large(f"index of the {self._files.title}", self._limits)
        try:
            version = msgspec.json.decode(marker, type=_Marker).image_layout_version
            entries = msgspec.json.decode(index, type=_Index).manifests or []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._files.broken("oci-layout or index.json is not the JSON it should be") from error
        if not version.startswith("1."):
            raise self._files.broken(f"its layout version is {version[:20]!r}, only 1.x is known")
        return entries

    def _not_one(self, reference: str, entries: list[_Entry], *, found: int) -> ScanFailure:
        return not_one(self._files, reference, [entry.name for entry in entries], found=found)


def not_one(files: Files, reference: str, names: list[str], *, found: int) -> ScanFailure:
    """The failure of a name that does not lead to one image.

    Args:
        files: where it was looked up.
        reference: what was asked for; empty for the only image.
        names: tags of all images that are there, empty for those without.
        found: how many images the name leads to.
    """
    known = sorted({name[:80] for name in names if name})
    listed = ", ".join(known[:_NAMES_SHOWN]) + (", …" if len(known) > _NAMES_SHOWN else "")
    if found:
        named = f" with the tag {reference[:160]!r}" if reference else ""
        message = f"The {files.title} has {found} different images{named}."
    elif reference:
        message = f"The {files.title} has no image with the tag {reference[:160]!r}."
    else:
        message = f"The {files.title} is empty."
    hint = f"Its tags are: {listed}." if known else "It has no tags."
    return ScanFailure(Reason.IMAGE_NOT_FOUND, message, hint=hint)


def _blob_path(digest: Digest) -> str:
    return f"blobs/{digest.replace(':', '/')}"
