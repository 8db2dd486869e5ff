"""Asking a registry: which digest it has under a name, or which part of the name it does not know."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from services.kernel.errors import Kind, ServiceError, not_found
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.reference import RepositoryName
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import ImageSource

OpenSource = Callable[[RegistryAccess, RepositoryName], AbstractAsyncContextManager[ImageSource]]
"""Opens a repository of an instance's registry."""
_UNKNOWN = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN"})
"""What the distribution-spec has registries say of a manifest that they do not have."""


async def find_digest(source: ImageSource, name: RepositoryName, tag: str, digest: Digest | None) -> Digest:
    """Returns what the registry has under the tag, or the digest itself where no tag is named.

    Raises:
        ServiceError: REPO_NOT_EXIST, TAG_NOT_EXIST, DIGEST_NOT_EXIST (NOT_FOUND); TAG_MOVED when the tag has not
            the named digest; a registry reason such as REGISTRY_UNAUTHORIZED.
    """
    try:
        found = await source.head(tag or digest or "")
    except ScanFailure as failure:
        if failure.why is not Reason.IMAGE_NOT_FOUND:
            raise
        raise await _what_is_missing(source, name, tag, digest) from failure
    if digest and found.digest != digest:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "TAG_MOVED",
            f"{name.path}:{tag} is {found.digest} now, not {digest}.",
            hint="Name the tag or the digest alone, or the digest that the tag has.",
        )
    return found.digest


async def digest_if_there(source: ImageSource, reference: str) -> Digest | None:
    """Returns what the registry has under a tag or digest; None only where it says itself that it has nothing.

    An answer to HEAD has no body: whether a 404 is the registry's own, or that of something before it, only one to
    GET tells.

    Raises:
        ScanFailure: it does not tell, IMAGE_NOT_FOUND without the word for it among the rest.
    """
    try:
        return (await source.head(reference)).digest
    except ScanFailure as failure:
        if failure.why is not Reason.IMAGE_NOT_FOUND:
            raise
    try:
        return (await source.manifest(reference)).digest
    except ScanFailure as failure:
        if failure.metadata.get("registry_code") in _UNKNOWN:
            return None
        raise


async def _what_is_missing(
    source: ImageSource, name: RepositoryName, tag: str, digest: Digest | None
) -> ServiceError:
    if not await _may_be_there(source):
        return not_found(
            "REPO_NOT_EXIST",
            f"The registry has no repository {name.path}.",
            hint="Push an image to it first, or mend the name.",
        )
    if tag:
        return not_found(
            "TAG_NOT_EXIST",
            f"The registry has no tag {name.path}:{tag}.",
            hint="Push the image first, or mend the name.",
        )
    return not_found(
        "DIGEST_NOT_EXIST",
        f"The registry has no image {name.path}@{digest}.",
        hint="Push the image first, or mend the digest; the registry may have deleted it.",
    )


async def _may_be_there(source: ImageSource) -> bool:
    try:
        return await source.knows_repository()
    except ScanFailure:
        return True
