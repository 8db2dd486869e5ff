"""Pushing to a registry, with short deadlines and pauses that take no time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import digest_of
from services.registry.interface import Descriptor, RawManifest
from services.registry.limits import RetryPolicy, SourceSettings, Timeouts
from services.registry.push import RegistryPush
from services.registry.retry import Retrier
from services.registry.wire import open_session
from tests.builders.images import REPOSITORY, Waits


@contextlib.asynccontextmanager
async def a_push(
    access: RegistryAccess,
    *,
    repository: str = REPOSITORY,
    chunk_bytes: int = 64 << 20,
    attempts: int = 3,
    waits: Waits | None = None,
) -> AsyncIterator[RegistryPush]:
    """A repository to be written to."""
    policy = RetryPolicy(attempts=attempts)
    settings = SourceSettings(timeouts=Timeouts(idle_seconds=5.0, request_seconds=10.0), retry=policy)
    retrier = Retrier(policy, sleep=waits or Waits(), draw=lambda: 1.0)
    async with open_session() as session:
        yield RegistryPush(session, access, repository, settings, retrier=retrier, chunk_bytes=chunk_bytes)


def a_blob(content: bytes, media_type: str = "application/octet-stream") -> Descriptor:
    """The descriptor of some bytes."""
    return Descriptor(media_type=media_type, digest=digest_of(content), size=len(content))


def a_manifest(media_type: str, content: bytes) -> RawManifest:
    """A manifest of some bytes."""
    return RawManifest(media_type=media_type, digest=digest_of(content), content=content)
