"""Names of images: what people type, split into registry, repository, tag and digest.

Grammar: distribution-spec, "Pulling manifests" (repository and tag), and the reference grammar of the
`distribution/reference` module, section "Grammar".
"""

from __future__ import annotations

import dataclasses
import enum
import re

from services.kernel.errors import invalid
from services.kernel.model.digest import Digest, is_digest

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REFERRERS_TAG = re.compile(r"sha(?:256|512)-[0-9a-f]{64}")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_ARCHIVED_NAME = re.compile(r"@[0-9]{1,6}|[A-Za-z0-9][!-~]{0,254}")
_MAX_REPOSITORY = 255
NO_NAMESPACE = "_"
"""The namespace of a repository whose name has a single segment."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryName:
    """A repository inside a registry: namespace (all before the last segment, `_` for none) and name."""

    namespace: str
    name: str

    @property
    def path(self) -> str:
        """The name as the registry has it."""
        return self.name if self.namespace == NO_NAMESPACE else f"{self.namespace}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageName:
    """`NAMESPACE/REPO:TAG`, `NAMESPACE/REPO@DIGEST` or both: an image of a registry known from elsewhere."""

    repository: RepositoryName
    tag: str | None
    digest: Digest | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistryReference:
    """`HOST/REPO:TAG[@DIGEST]`: an image with the address of its registry."""

    host: str
    image: ImageName

    def __str__(self) -> str:
        tag = f":{self.image.tag}" if self.image.tag else ""
        digest = f"@{self.image.digest}" if self.image.digest else ""
        return f"{self.host}/{self.image.repository.path}{tag}{digest}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LayoutReference:
    """`oci:DIR[:TAG]`: an image of an OCI image layout on disk (the containers transports' spelling)."""

    path: str
    tag: str | None

    def __str__(self) -> str:
        return f"oci:{self.path}" + (f":{self.tag}" if self.tag else "")


class ArchiveKind(enum.Enum):
    """What sort of archive; the values are the names of the containers transports."""

    OCI = "oci-archive"
    """A tar file of an OCI image layout."""
    DOCKER = "docker-archive"
    """What `docker save` writes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveReference:
    """`oci-archive:FILE[:NAME]` or `docker-archive:FILE[:NAME|:@NUMBER]`: an image of a tar file."""

    kind: ArchiveKind
    path: str
    name: str
    """Which of the archive's images, as people typed it; empty for the only one."""

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.path}" + (f":{self.name}" if self.name else "")


ImageReference = RegistryReference | LayoutReference | ArchiveReference


def parse_repository(path: str, *, field: str = "repository") -> RepositoryName:
    """Splits a repository path at its last slash.

    Raises:
        ServiceError: INVALID_REFERENCE when the registry grammar does not allow the name.
    """
    if not is_repository(path):
        raise _malformed(path, "a repository is lower-case segments joined by '/'", field)
    namespace, _, name = path.rpartition("/")
    return RepositoryName(namespace=namespace or NO_NAMESPACE, name=name)


def is_tag(text: str) -> bool:
    """Tells whether the registry grammar allows the tag."""
    return _TAG.fullmatch(text) is not None


def is_referrers_tag(tag: str) -> bool:
    """Tells whether a tag lists what is attached to an image (distribution-spec 1.1, "Referrers Tag Schema").

    Registries without a list of their own have such tags, written by whoever signs, attests or fixes: they lead to
    no image, and nobody scans them unless he is asked to.
    """
    return _REFERRERS_TAG.fullmatch(tag) is not None


def is_repository(path: str) -> bool:
    """Tells whether the registry grammar allows the repository path."""
    return len(path) <= _MAX_REPOSITORY and _REPOSITORY.fullmatch(path) is not None


def parse_tag(tag: str, *, field: str = "tag") -> str:
    """Checks a tag.

    Raises:
        ServiceError: INVALID_REFERENCE.
    """
    if not is_tag(tag):
        raise _malformed(tag, "a tag is up to 128 of [A-Za-z0-9_.-], not beginning with '.' or '-'", field)
    return tag


def parse_image(text: str) -> ImageName:
    """Reads `NAMESPACE/REPO[:TAG][@DIGEST]`; a name with neither means the tag `latest`.

    Raises:
        ServiceError: INVALID_REFERENCE.
    """
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise _malformed(text, "what follows '@' is a digest such as sha256:<64 hex characters>", "image")
    head, slash, last = rest.rpartition("/")
    name, colon, tag = last.partition(":")
    repository = parse_repository(head + slash + name, field="image")
    if colon:
        parse_tag(tag, field="image")
    chosen = tag if colon else (None if at else "latest")
    return ImageName(repository=repository, tag=chosen, digest=Digest(digest) if at else None)


def parse_host(text: str, *, field: str = "address") -> str:
    """Checks `HOST[:PORT]`, without scheme or path.

    Raises:
        ServiceError: INVALID_ADDRESS.
    """
    if not _HOST.fullmatch(text):
        raise invalid(
            "INVALID_ADDRESS",
            f"{text[:120]!r} is no registry address.",
            field=field,
            hint="Write HOST or HOST:PORT, without http:// and without a path.",
        )
    return text


def parse_reference(text: str) -> ImageReference:
    """Reads an image name of the command line.

    `HOST/REPO:TAG[@DIGEST]`, or in the spelling of containers-transports(5): `oci:DIR[:TAG]`,
    `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME|:@NUMBER]`.

    Raises:
        ServiceError: INVALID_REFERENCE or INVALID_ADDRESS.
    """
    for kind in ArchiveKind:
        if text.startswith(f"{kind.value}:"):
            return _parse_archive(kind, text)
    if text.startswith("oci:"):
        return _parse_layout(text)
    host, slash, rest = text.partition("/")
    looks_like_host = "." in host or ":" in host or host == "localhost"
    if not slash or not looks_like_host:
        raise _malformed(
            text, "it must begin with the registry's host, as in localhost:5000/team/app:1.0", "image"
        )
    return RegistryReference(host=parse_host(host, field="image"), image=parse_image(rest))


def _parse_layout(text: str) -> LayoutReference:
    path, colon, tag = text.removeprefix("oci:").rpartition(":")
    if not colon or "/" in tag:
        path, tag = text.removeprefix("oci:"), ""
    if not path:
        raise _malformed(text, "after 'oci:' comes a folder", "image")
    return LayoutReference(path=path, tag=parse_tag(tag, field="image") if tag else None)


def _parse_archive(kind: ArchiveKind, text: str) -> ArchiveReference:
    """Splits at the first colon, as the containers transports do: names of archived images hold colons, too."""
    path, colon, name = text.removeprefix(f"{kind.value}:").partition(":")
    if not path:
        raise _malformed(text, f"after '{kind.value}:' comes a file", "image")
    if colon and not _ARCHIVED_NAME.fullmatch(name):
        raise _malformed(text, "after the file's colon comes the name of an image in it", "image")
    return ArchiveReference(kind=kind, path=path, name=name)


def _malformed(text: str, rule: str, field: str) -> Exception:
    return invalid("INVALID_REFERENCE", f"{text[:160]!r} is no image name: {rule}.", field=field)
