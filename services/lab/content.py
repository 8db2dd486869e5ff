"""What the lab registry holds: blobs, manifests, tags and unfinished uploads, all in memory."""

from __future__ import annotations

import dataclasses
import uuid

import msgspec

from services.kernel.model.digest import Digest, digest_of, hasher_for


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredManifest:
    """A manifest or index exactly as it was pushed."""

    media_type: str
    digest: Digest
    content: bytes


class Pointer(msgspec.Struct, rename="camel", omit_defaults=True):
    """What a manifest says of something it points to."""

    media_type: str = ""
    digest: str = ""
    size: int = 0


class _Document(msgspec.Struct):
    config: Pointer | None = None
    layers: list[Pointer] | None = None
    manifests: list[Pointer] | None = None


class Repository:
    """One repository: which blobs it may show, its manifests and its tags."""

    def __init__(self) -> None:
        self.blobs: set[Digest] = set()
        self.manifests: dict[Digest, StoredManifest] = {}
        self.tags: dict[str, Digest] = {}

    def find(self, reference: str) -> StoredManifest | None:
        """Finds a manifest by tag or digest."""
        return self.manifests.get(self.tags.get(reference, Digest(reference)))

    def remove(self, reference: str) -> bool:
        """Removes a tag, or a manifest with every tag that points to it; False when there is neither."""
        if reference in self.tags:
            del self.tags[reference]
            return True
        if self.manifests.pop(Digest(reference), None) is None:
            return False
        self.tags = {tag: digest for tag, digest in self.tags.items() if digest != reference}
        return True


class Content:
    """The whole registry."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self._blobs: dict[Digest, bytes] = {}
        self._uploads: dict[str, bytearray] = {}

    def repository(self, name: str) -> Repository:
        """Returns the repository, made on first sight."""
        return self.repositories.setdefault(name, Repository())

    def blob(self, name: str, digest: str) -> bytes | None:
        """Returns a blob's bytes where the repository may show it."""
        repository = self.repositories.get(name)
        if repository is None or digest not in repository.blobs:
            return None
        return self._blobs[Digest(digest)]

    def add_blob(self, name: str, digest: Digest, content: bytes) -> bool:
        """Keeps a blob; False when bytes and digest disagree."""
        hasher = hasher_for(digest)
        hasher.update(content)
        if f"{hasher.name}:{hasher.hexdigest()}" != digest:
            return False
        self._blobs[digest] = content
        self.repository(name).blobs.add(digest)
        return True

    def mount(self, name: str, digest: str, origin: str) -> bool:
        """Shows a blob of one repository in another as well; False when the origin does not have it."""
        if self.blob(origin, digest) is None:
            return False
        self.repository(name).blobs.add(Digest(digest))
        return True

    def begin_upload(self) -> str:
        """Opens an upload and returns its id."""
        upload = str(uuid.uuid4())
        self._uploads[upload] = bytearray()
        return upload

    def upload(self, upload: str) -> bytearray | None:
        """Returns what has arrived so far; the caller appends to it."""
        return self._uploads.get(upload)

    def end_upload(self, upload: str) -> None:
        """Forgets an upload."""
        self._uploads.pop(upload, None)

    def add_manifest(self, name: str, reference: str, manifest: StoredManifest) -> None:
        """Keeps a manifest, and points the tag to it where the reference is one."""
        repository = self.repository(name)
        repository.manifests[manifest.digest] = manifest
        if reference != manifest.digest:
            repository.tags[reference] = manifest.digest

    def missing(self, name: str, content: bytes) -> list[str]:
        """Returns the digests a manifest points to that the repository does not have.

        Raises:
            msgspec.DecodeError: it is no manifest.
        """
        repository = self.repository(name)
        document = msgspec.json.decode(content, type=_Document)
        layers = [layer for layer in document.layers or [] if "foreign" not in layer.media_type]
        layers = [layer for layer in layers if "nondistributable" not in layer.media_type]
        blobs = layers + ([document.config] if document.config else [])
        lost = [blob.digest for blob in blobs if blob.digest not in repository.blobs]
        return lost + [m.digest for m in document.manifests or [] if m.digest not in repository.manifests]


def store(media_type: str, content: bytes) -> StoredManifest:
    """Makes a stored manifest of pushed bytes."""
    return StoredManifest(media_type=media_type, digest=digest_of(content), content=content)


def references(content: bytes) -> list[Pointer]:
    """Returns what a manifest points to, configuration first, as the events of a registry list it."""
    document = msgspec.json.decode(content, type=_Document)
    return ([document.config] if document.config else []) + (document.layers or []) + (document.manifests or [])
