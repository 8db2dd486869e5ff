"""The one door through which repositories are asked: guarded addresses, deadlines, bounds, checked redirects."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

import aiohttp
from yarl import URL

from services.fixer.failure import FixFailure, FixReason
from services.kernel.addresses import AddressRefused
from services.kernel.clock import Clock
from services.kernel.egress import Egress, EgressRefused
from services.registry.limits import Timeouts
from services.registry.pace import Pace
from services.registry.wire import Wire, open_session

_CHUNK: Final = 1 << 18
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_GONE: Final = frozenset({404, 410})
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_PAUSES: Final = (0.5, 2.0)
"""Seconds before the second and the third try."""


class Missing(Exception):
    """The repository says that it has no such file."""


class RepositoryDoor:
    """Fetches over plain HTTP or HTTPS. No credentials are sent to anybody."""

    def __init__(
        self, session: aiohttp.ClientSession, egress: Egress, timeouts: Timeouts, clock: Clock, *, hops: int = 5
    ) -> None:
        self._wire = Wire(session, timeouts)
        self._egress = egress
        self._timeouts = timeouts
        self._clock = clock
        self._hops = hops

    async def chunks(self, url: str, *, at_most: int) -> AsyncGenerator[bytes, None]:
        """Yields the bytes at an address, in order. Close it when you stop early.

        Raises:
            Missing: 404 or 410.
            FixFailure: REPOSITORY_REFUSED, REPOSITORY_UNREACHABLE, REPOSITORY_INVALID (more than `at_most` bytes).
        """
        try:
            response = await self._open(URL(url), at_most)
            try:
                received = 0
                pace = Pace(self._clock, self._timeouts)
                while chunk := await pace.of(response.content.read(_CHUNK)):
                    received += len(chunk)
                    if received > at_most:
                        raise too_large(url, at_most)
                    yield chunk
            finally:
                response.close()
        except EgressRefused as refused:
            raise _refused(url, refused.reason) from refused
        except AddressRefused as refused:
            raise _refused(url, "ADDRESS_REFUSED") from refused
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            guarded = _guarded(error)
            if guarded is not None:
                raise _refused(url, guarded) from error
            what = "it did not answer in time" if isinstance(error, TimeoutError) else "the connection failed"
            raise unreachable(url, what) from error

    async def _open(self, url: URL, at_most: int) -> aiohttp.ClientResponse:
        asked = url
        for _ in range(self._hops + 1):
            self._check(asked, url)
            response = await self._wire.send("GET", asked, {}, body_bytes=at_most)
            if response.status == 200:
                return response
            response.close()
            if response.status in _GONE:
                raise Missing(str(url))
            if response.status not in _REDIRECTS:
                raise unreachable(str(url), f"the server answered {response.status}", response.status)
            onward = asked.join(URL(response.headers.get("Location", "")))
            if asked.scheme == "https" and onward.scheme != "https":
                raise _refused(str(url), "REDIRECT_TO_PLAIN_HTTP")
            asked = onward
        raise unreachable(str(url), "it sends us from one address to the next")

    def _check(self, url: URL, first: URL) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise _refused(str(first), "SCHEME_REFUSED")
        if url.user or url.password:
            raise _refused(str(first), "CREDENTIALS_IN_ADDRESS")
        self._egress.check_port(url.port or 0)
        self._egress.check_address(url.host)


async def patiently(attempt: int, failure: FixFailure) -> None:
    """Waits before the next try of something that may pass, or raises what it failed with."""
    status = int(failure.metadata.get("status", "0"))
    passing = failure.why is FixReason.REPOSITORY_UNREACHABLE and (not status or status in _PASSING)
    if not passing or attempt >= len(_PAUSES):
        raise failure
    await asyncio.sleep(_PAUSES[attempt])


@contextlib.asynccontextmanager
async def open_door(egress: Egress, clock: Clock, timeouts: Timeouts) -> AsyncIterator[RepositoryDoor]:
    """Opens the door, with connections of its own."""
    async with open_session(egress.resolver) as session:
        yield RepositoryDoor(session, egress, timeouts, clock)


async def whole(door: RepositoryDoor, url: str, *, at_most: int) -> bytes:
    """Returns all the bytes at an address: of something small."""
    content = bytearray()
    async with aclosing(door.chunks(url, at_most=at_most)) as chunks:
        async for chunk in chunks:
            content += chunk
    return bytes(content)


def public(url: str) -> str:
    """Returns an address as sentences may show it: without what may be secret."""
    try:
        parts = URL(url)
    except ValueError:  # the image wrote it
        return "an address"
    return str(parts.with_user(None).with_query(None).with_fragment(None)) if parts.host else "an address"


def unreachable(url: str, what: str, status: int = 0) -> FixFailure:
    """Returns REPOSITORY_UNREACHABLE."""
    return FixFailure(
        FixReason.REPOSITORY_UNREACHABLE,
        f"{public(url)} could not be fetched: {what}.",
        hint="Check that the fixer can reach it, or name a mirror in the file of DRYDOCK_FIXER_REPOSITORIES_FILE.",
        metadata={"status": str(status)} if status else {},
    )


def too_large(url: str, at_most: int) -> FixFailure:
    """Returns REPOSITORY_INVALID for what has more bytes than it may have."""
    return FixFailure(
        FixReason.REPOSITORY_INVALID,
        f"{public(url)} has more than {at_most:,} bytes, which is more than it may have.",
        hint="The repository or its mirror is damaged: ask another mirror.",
    )


def _refused(url: str, why: str) -> FixFailure:
    return FixFailure(
        FixReason.REPOSITORY_REFUSED,
        f"{public(url)} is not an address that repositories may have: {_SENTENCES.get(why, why)}.",
        hint="Name a mirror in the file of DRYDOCK_FIXER_REPOSITORIES_FILE, or allow its network or port with "
        "DRYDOCK_FIXER_ALLOWED_NETWORKS or DRYDOCK_FIXER_ALLOWED_PORTS.",
        metadata={"why": why},
    )


_SENTENCES: Final = {
    "ADDRESS_REFUSED": "it is, or leads to, a link-local, metadata or multicast address",
    "ADDRESS_NOT_ALLOWED": "it is, or leads to, a private address, and no allowed network holds that",
    "PORT_REFUSED": "its port is that of another sort of service",
    "SCHEME_REFUSED": "it is neither http nor https",
    "CREDENTIALS_IN_ADDRESS": "it holds a user name or a password",
    "REDIRECT_TO_PLAIN_HTTP": "it sends us from https to plain http",
}


def _guarded(error: BaseException) -> str | None:
    """Returns why a connection was refused by us, where that lies beneath what the library says."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EgressRefused):
            return cause.reason
        if isinstance(cause, AddressRefused):
            return "ADDRESS_REFUSED"
        cause = cause.__cause__ or cause.__context__
    return None
