"""Images of a registry (distribution-spec 1.1, "Pull")."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing

import aiohttp

from services.kernel.model import media
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest, digest_of, hasher_for, is_digest
from services.kernel.model.reference import is_tag
from services.kernel.reasons import Reason, ScanFailure
from services.registry.answers import Asked, cut_off
from services.registry.download import Download
from services.registry.exchange import Question, connect
from services.registry.interface import Descriptor, ImageSource, RawManifest
from services.registry.limits import SourceSettings
from services.registry.manifest import too_large
from services.registry.pages import NamePage, PageRequest, read_page
from services.registry.retry import Retrier
from services.registry.tokens import pull_of

_ACCEPT = {"Accept": media.ACCEPT}
_NO_REFERRERS = frozenset({"400", "404", "405", "501"})
"""What registries answer that have no list of what is attached."""


class RegistrySource(ImageSource):
    """One repository of a registry. The session is the caller's, who closes it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        access: RegistryAccess,
        repository: str,
        settings: SourceSettings,
        *,
        retrier: Retrier | None = None,
    ) -> None:
        """Takes what it talks through.

        Args:
            session: from `open_session`.
            access: where the registry is, and the credentials for it.
            repository: its path in the registry, checked by `parse_repository`.
            settings: bounds and deadlines.
            retrier: for tests with their own time; its clock is also the one by which tokens grow old.
        """
        self._repository = repository
        self._settings = settings
        self.limits = settings.limits
        """How much of a description is read."""
        self._retrier = retrier or Retrier(settings.retry)
        self._exchange = connect(session, access, pull_of(repository), settings, self._retrier.clock)

    async def head(self, reference: str) -> Descriptor:
        """Resolves a tag or digest; asks for the whole manifest where the registry's HEAD says too little."""
        described = await self._retrier.call(lambda: self._head(reference))
        if described is not None:
            return described
        raw = await self.manifest(reference)
        return Descriptor(media_type=raw.media_type, digest=raw.digest, size=len(raw.content))

    async def knows_repository(self) -> bool:
        """Asks for the repository's tags: registries tell an unknown name apart there, if anywhere."""
        question = Question(
            method="GET",
            path=f"{self._repository}/tags/list?n=1",
            asked=Asked.TAGS,
            what=self._repository,
            headers={"Accept": "application/json"},
        )

        async def ask() -> None:
            async with self._exchange.ask(question):
                pass

        try:
            await self._retrier.call(ask)
        except ScanFailure as failure:
            if failure.metadata.get("registry_code") == "NAME_UNKNOWN":
                return False
            raise
        return True

    async def tags(self, cursor: str = "") -> NamePage:
        """Reads a page of the repository's tags, in the registry's own order.

        Args:
            cursor: `next_cursor` of the page before; empty for the first one.

        Raises:
            ScanFailure: IMAGE_NOT_FOUND when the registry does not know the repository.
        """
        asked, path = Asked.TAGS, f"{self._repository}/tags/list"
        ask = PageRequest(asked=asked, path=path, what=self._repository, cursor=cursor, valid=is_tag)
        return await self._retrier.call(lambda: read_page(self._exchange, ask, self._settings.limits))

    async def manifest(self, reference: str) -> RawManifest:
        """Fetches a manifest, verified against the digest it was asked by, or else the one the registry names."""
        return await self._retrier.call(lambda: self._manifest(reference))

    async def referrers(self, subject: Digest) -> bytes | None:
        """Fetches the registry's own list of what is attached to a manifest; None where it keeps none.

        Only its first page: nobody attaches more than fits into it.
        """
        question = Question(
            method="GET",
            path=f"{self._repository}/referrers/{subject}",
            asked=Asked.TAGS,
            what=f"{self._repository}@{subject}",
            headers={"Accept": media.OCI_INDEX},
        )

        async def ask() -> bytes | None:
            try:
                async with self._exchange.ask(question) as response:
                    content = await _read(response, self.limits.manifest_bytes + 1)
            except ScanFailure as failure:
                if failure.metadata.get("status") in _NO_REFERRERS or failure.why is Reason.IMAGE_NOT_FOUND:
                    return None
                raise
            if len(content) > self.limits.manifest_bytes:
                raise too_large(f"{self._repository}@{subject}", self.limits)
            return content

        return await self._retrier.call(ask)

    def blob(self, descriptor: Descriptor) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Streams a blob; a cut transfer goes on where it stopped, and the digest is that of the whole."""
        download = Download(self._exchange, self._retrier, self._settings.timeouts, self._repository, descriptor)
        return aclosing(download.chunks())

    async def _head(self, reference: str) -> Descriptor | None:
        async with self._ask("HEAD", reference) as response:
            headers = response.headers
        digest = headers.get("Docker-Content-Digest", "")
        length = headers.get("Content-Length", "")
        media_type = media.bare(headers.get("Content-Type", ""))
        if not is_digest(digest) or not length.isdigit() or not media_type:
            return None
        if is_digest(reference) and digest != reference:
            # The header is a hint, the bytes are the truth: fetching them settles who is wrong.
            return None
        return Descriptor(media_type=media_type, digest=Digest(digest), size=int(length))

    async def _manifest(self, reference: str) -> RawManifest:
        name, limits = self._name(reference), self._settings.limits
        async with self._ask("GET", reference) as response:
            declared = response.content_length
            if declared is not None and declared > limits.manifest_bytes:
                raise too_large(name, limits)
            content = await _read(response, limits.manifest_bytes + 1)
        if len(content) > limits.manifest_bytes:
            raise too_large(name, limits)
        if declared is not None and len(content) < declared:
            raise cut_off(self._exchange.host, name)
        hint = response.headers.get("Docker-Content-Digest", "")
        expected = reference if is_digest(reference) else hint
        return RawManifest(
            media_type=media.bare(response.headers.get("Content-Type", "")),
            digest=_verified(content, expected, name) if is_digest(expected) else digest_of(content),
            content=content,
        )

    def _ask(self, method: str, reference: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._exchange.ask(
            Question(
                method=method,
                path=f"{self._repository}/manifests/{reference}",
                asked=Asked.MANIFEST,
                what=self._name(reference),
                headers=_ACCEPT,
            )
        )

    def _name(self, reference: str) -> str:
        return f"{self._repository}{'@' if is_digest(reference) else ':'}{reference}"


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    content = bytearray()
    while len(content) < limit:
        chunk = await response.content.read(min(limit - len(content), 1 << 18))
        if not chunk:
            break
        content += chunk
    return bytes(content)


def _verified(content: bytes, expected: str, name: str) -> Digest:
    digest = Digest(expected)
    hasher = hasher_for(digest)
    hasher.update(content)
    found = f"{hasher.name}:{hasher.hexdigest()}"
    if found != digest:
        raise ScanFailure(
            Reason.DIGEST_MISMATCH,
            f"The manifest {name} should have the digest {digest} but has {found}.",
            hint="The registry, or something between it and us, altered it.",
            metadata={"expected": digest, "found": found},
        )
    return digest
