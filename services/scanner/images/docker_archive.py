"""Images of an archive as `docker save` writes it.

Format: moby, "Docker Image Specification v1.2.0", section "Combined Image JSON + Filesystem Changeset Format". The
archive holds no manifest: one is made here, from the configuration and the layers as they are stored, the same for
the same bytes. Its digest is therefore not the one that a registry has for the image.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final

import msgspec

from services.kernel.blocking import acquire_in_thread, in_thread
from services.kernel.model import media
from services.kernel.model.digest import Digest, digest_of, is_digest
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor, ImageSource, RawManifest
from services.registry.limits import ImageLimits
from services.registry.manifest import check_layer_count, too_large
from services.scanner.images.archive import Archive
from services.scanner.images.files import Absent, OpenFile
from services.scanner.images.layout import not_one

_LIST: Final = "manifest.json"
_HASHED_BYTES: Final = 1 << 20
_MAGICS: Final = ((b"\x1f\x8b", ".gzip"), (b"\x28\xb5\x2f\xfd", ".zstd"))


class _Entry(msgspec.Struct, rename="pascal"):
    config: str
    repo_tags: list[str] | None = None
    layers: list[str] | None = None


class DockerArchiveSource(ImageSource):
    """The images of one archive. Digests are computed from what is stored, each file once."""

    def __init__(self, archive: Archive, limits: ImageLimits) -> None:
        self._archive = archive
        self._limits = limits
        self._manifests: dict[str, RawManifest] = {}
        self._described: dict[int, Descriptor] = {}
        """By position in the archive: links make several paths of one file."""
        self._paths: dict[Digest, str] = {}

    async def head(self, reference: str) -> Descriptor:
        """Finds an image by one of its names or its number; its manifest is made for that."""
        raw = await self.manifest(reference)
        return Descriptor(media_type=raw.media_type, digest=raw.digest, size=len(raw.content))

    async def manifest(self, reference: str) -> RawManifest:
        """Makes the manifest of an image: by name, by `@NUMBER`, or the only one for an empty reference.

        Raises:
            ScanFailure: IMAGE_NOT_FOUND, ARCHIVE_INVALID, MANIFEST_INVALID, MANIFEST_TOO_LARGE, CONFIG_INVALID,
                TOO_MANY_LAYERS.
        """
        if reference not in self._manifests:
            entry = _choose(self._archive, reference, await in_thread(self._entries))
            raw = await self._make(entry)
            self._manifests |= {reference: raw, raw.digest: raw}
        return self._manifests[reference]

    def blob(self, descriptor: Descriptor) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Streams a configuration or a layer of a manifest made before, verified at its end."""
        path = self._paths.get(descriptor.digest, descriptor.digest)
        return aclosing(self._archive.stream(path, descriptor))

    def _entries(self) -> list[_Entry]:
        content = self._archive.read(_LIST, self._limits.manifest_bytes + 1)
        if len(content) > self._limits.manifest_bytes:
            raise too_large(f"list {_LIST} of the {self._archive.title}", self._limits)
        try:
            return msgspec.json.decode(content, type=list[_Entry])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._archive.broken(f"{_LIST} is not the JSON it should be") from error

    async def _make(self, entry: _Entry) -> RawManifest:
        layers = entry.layers or []
        check_layer_count(f"{entry.config[:80]!r} of the {self._archive.title}", len(layers), self._limits)
        config = await self._describe(entry.config, media.DOCKER_CONFIG, most=self._limits.config_bytes)
        manifest = {
            "schemaVersion": 2,
            "mediaType": media.DOCKER_MANIFEST,
            "config": _pointer(config),
            "layers": [_pointer(await self._describe(path, media.DOCKER_LAYER)) for path in layers],
        }
        content = msgspec.json.encode(manifest)
        return RawManifest(media_type=media.DOCKER_MANIFEST, digest=digest_of(content), content=content)

    async def _describe(self, path: str, media_type: str, most: int | None = None) -> Descriptor:
        """Hashes a file, in pieces: cancelling does not wait for the whole."""
        try:
            position = self._archive.position(path)
            if position in self._described:
                return self._described[position]
            file = await acquire_in_thread(lambda: self._archive.open(path), undo=lambda opened: opened.close())
        except Absent as error:
            raise self._archive.broken(f"{_LIST} names {path[:160]!r}, which is not there") from error
        with file:
            if most is not None and file.size > most:
                message = f"The image configuration {path[:160]!r} is larger than {most:,} bytes."
                raise ScanFailure(Reason.CONFIG_INVALID, message)
            descriptor = await self._hash(file, path, media_type)
        self._described[position] = descriptor
        self._paths[descriptor.digest] = path
        return descriptor

    async def _hash(self, file: OpenFile, path: str, media_type: str) -> Descriptor:
        hasher, suffix = hashlib.sha256(), None
        try:
            while piece := await in_thread(file.read, _HASHED_BYTES):
                if suffix is None:
                    suffix = next((name for magic, name in _MAGICS if piece.startswith(magic)), "")
                await in_thread(hasher.update, piece)
        except OSError as error:
            raise self._archive.unreadable(path, error) from error
        compressed = suffix if suffix and media_type == media.DOCKER_LAYER else ""
        return Descriptor(
            media_type=media_type + compressed, digest=Digest(f"sha256:{hasher.hexdigest()}"), size=file.size
        )


def _choose(archive: Archive, reference: str, entries: list[_Entry]) -> _Entry:
    if is_digest(reference):
        found = []
    elif reference.startswith("@"):
        number = int(reference[1:])
        found = entries[number : number + 1]
    elif reference:
        wanted = full_name(reference)
        found = [entry for entry in entries if wanted in map(full_name, entry.repo_tags or [])]
    else:
        found = entries
    if len(found) != 1:
        names = [tag for entry in entries for tag in entry.repo_tags or []]
        raise not_one(archive, reference, names, found=len(found))
    return found[0]


def full_name(name: str) -> str:
    """Returns a name of Docker's with all that it leaves out: `alpine` is `docker.io/library/alpine:latest`."""
    host, slash, rest = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, rest = "docker.io", name
    if host == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    return f"{host}/{rest}" + ("" if ":" in rest.rpartition("/")[2] else ":latest")


def _pointer(descriptor: Descriptor) -> dict[str, object]:
    return {"mediaType": descriptor.media_type, "size": descriptor.size, "digest": descriptor.digest}
