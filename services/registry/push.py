"""Writes to one repository of a registry (distribution-spec 1.1, "Push").

Nothing is ever deleted here: deleting a manifest by its digest takes every tag with it that leads there (seen with
distribution 2.8.2), and a tag is replaced by writing it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

import aiohttp

from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest, is_digest
from services.kernel.reasons import Reason, ScanFailure
from services.registry.answers import Asked
from services.registry.exchange import Question, connect
from services.registry.interface import Descriptor, RawManifest
from services.registry.limits import SourceSettings
from services.registry.refusals import PushRefused, Refused
from services.registry.retry import Retrier
from services.registry.source import RegistrySource
from services.registry.tokens import push_to
from services.registry.upload import Content, Upload
from services.registry.wire import open_session

T = TypeVar("T")
_CHUNK_BYTES: Final = 64 << 20
"""What is larger goes up in pieces: proxies before registries have bounds of about a hundred."""
_NOT_OURS: Final = frozenset({Reason.REGISTRY_UNAUTHORIZED, Reason.REGISTRY_FORBIDDEN})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the registry says of a manifest that it took."""

    digest: Digest
    lists_referrers: bool
    """Whether it saw the manifest's subject, and will tell of it itself."""


class RegistryPush:
    """One repository, written to. The session is the caller's, who closes it.

    Credentials go to the registry's own host; tokens with the right to push are this object's own.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        access: RegistryAccess,
        repository: str,
        settings: SourceSettings,
        *,
        retrier: Retrier | None = None,
        chunk_bytes: int = _CHUNK_BYTES,
    ) -> None:
        """Takes what it talks through.

        Args:
            session: from `open_session`.
            access: where the registry is, and the credentials for it.
            repository: its path in the registry, checked by `parse_repository`.
            settings: bounds and deadlines.
            retrier: for tests with their own time.
            chunk_bytes: blobs that are larger go up in pieces of this size.
        """
        self._session = session
        self._access = access
        self._settings = settings
        self._retrier = retrier or Retrier(settings.retry)
        self._exchange = connect(session, access, push_to(repository), settings, self._retrier.clock)
        self._chunk_bytes = chunk_bytes
        self.repository = repository
        self.source = RegistrySource(session, access, repository, settings, retrier=self._retrier)
        """The same repository, read."""

    async def has_blob(self, digest: Digest) -> bool:
        """Tells whether the repository has a blob."""
        question = Question(
            method="HEAD",
            path=f"{self.repository}/blobs/{digest}",
            asked=Asked.BLOB,
            what=digest,
            headers={},
        )

        async def ask() -> bool:
            try:
                async with self._exchange.ask(question):
                    return True
            except ScanFailure as failure:
                if failure.why is Reason.BLOB_NOT_FOUND:
                    return False
                raise

        return await self._call(ask, digest)

    async def mount(self, digest: Digest, origin: str) -> bool:
        """Has the registry show a blob of another of its repositories here, too.

        Returns False where it would rather be sent the bytes; what it prepared for that, it drops by itself.
        """
        scope = push_to(self.repository, origin)
        exchange = connect(self._session, self._access, scope, self._settings, self._retrier.clock)
        question = Question(
            method="POST",
            path=f"{self.repository}/blobs/uploads/?mount={digest}&from={origin}",
            asked=Asked.PUSHED_BLOB,
            what=f"the blob {digest}",
            headers={"Content-Length": "0"},
            accepted=(201, 202),
        )

        async def ask() -> bool:
            async with exchange.ask(question) as response:
                return response.status == 201

        try:
            return await self._call(ask, digest)
        except PushRefused as refusal:
            if refusal.why is Refused.PUSH_REFUSED:
                return False  # perhaps we may not pull there; whether we may push here, the upload tells
            raise

    async def upload(self, descriptor: Descriptor, content: Content) -> None:
        """Uploads a blob unless it is there; from its start again when something passing comes between.

        Raises:
            PushRefused; ScanFailure: a registry reason.
        """
        if await self.has_blob(descriptor.digest):
            return
        upload = Upload(self._exchange, self.repository, descriptor, content, chunk_bytes=self._chunk_bytes)
        await self._call(upload.run, descriptor.digest)

    async def put_manifest(self, raw: RawManifest, reference: str) -> Written:
        """Writes a manifest or an index, by its digest or to a tag.

        Raises:
            PushRefused; ScanFailure: a registry reason; DIGEST_MISMATCH where it says that it took something else.
        """
        by_digest = is_digest(reference)
        name = f"{self.repository}{'@' if by_digest else ':'}{reference}"
        question = Question(
            method="PUT",
            path=f"{self.repository}/manifests/{reference}",
            asked=Asked.PUSHED_MANIFEST if by_digest else Asked.PUSHED_TAG,
            what=name,
            headers={"Content-Type": raw.media_type, "Content-Length": str(len(raw.content))},
            body_bytes=len(raw.content),
            body=lambda: _once(raw.content),
            accepted=(200, 201, 202),
        )

        async def ask() -> Written:
            async with self._exchange.ask(question) as response:
                headers = response.headers
            took = headers.get("Docker-Content-Digest", raw.digest)
            if took != raw.digest:
                message = (
                    f"{self._exchange.host} says that it took {took[:80]!r} for {name}, sent was {raw.digest}."
                )
                raise ScanFailure(Reason.DIGEST_MISMATCH, message)
            return Written(digest=raw.digest, lists_referrers="OCI-Subject" in headers)

        return await self._call(ask, name)

    async def _call(self, attempt: Callable[[], Awaitable[T]], what: str) -> T:
        try:
            return await self._retrier.call(attempt)
        except ScanFailure as failure:
            if failure.why not in _NOT_OURS:
                raise
            host = self._exchange.host
            raise PushRefused(
                Refused.PUSH_REFUSED,
                f"{host} does not let us write {what}: {failure.message}",
                hint="Give the instance a user who may push to the repository.",
                metadata=dict(failure.metadata) | {"host": host},
            ) from failure


@contextlib.asynccontextmanager
async def open_push(
    settings: SourceSettings, access: RegistryAccess, repository: str
) -> AsyncIterator[RegistryPush]:
    """Opens a repository to be written to, for the time of the block; nothing is asked before the object is."""
    async with open_session() as session:
        yield RegistryPush(session, access, repository, settings)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
