"""Single HTTP requests: guarded addresses, deadlines, and no redirect followed behind our back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from services.kernel.addresses import GuardedResolver, check_literal
from services.kernel.model.access import USER_AGENT
from services.registry.limits import Timeouts

Body = Callable[[], AsyncIterator[bytes]]
"""Gives what is sent, from its first byte each time it is called."""


@contextlib.asynccontextmanager
async def open_session(names: AbstractResolver | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """Opens the HTTP session of an image source: no cookies, no decoding behind our back, guarded names.

    Args:
        names: resolves host names; the system does by default.
    """
    resolver = GuardedResolver(names or aiohttp.ThreadedResolver())
    connector = aiohttp.TCPConnector(resolver=resolver, limit=16, use_dns_cache=False)
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        read_bufsize=1 << 18,
    )
    try:
        yield session
    finally:
        await session.close()
        await resolver.close()


class Wire:
    """Sends requests over a session that somebody else closes."""

    def __init__(self, session: aiohttp.ClientSession, timeouts: Timeouts) -> None:
        self._session = session
        self._timeouts = timeouts

    async def send(
        self, method: str, url: URL, headers: Mapping[str, str], *, body_bytes: int = 0, body: Body | None = None
    ) -> aiohttp.ClientResponse:
        """Returns whatever is answered, a redirect too; the caller closes it.

        Args:
            method: of HTTP.
            url: where to.
            headers: besides those of the session; with a body the length of it.
            body_bytes: expected size of the answer, or the size of what is sent; it lengthens the deadline.
            body: what is sent.

        Raises:
            aiohttp.ClientError, TimeoutError, OSError: as `failure_of_error` knows them.
        """
        check_literal(url.host or "")
        times = self._timeouts
        total = times.request_seconds + body_bytes / times.slowest_bytes_per_second
        # Who was sent much is silent while it puts it away.
        silence = times.idle_seconds if body is None else total
        return await self._session.request(
            method,
            url,
            headers=headers,
            data=None if body is None else _Anew(body),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=total, sock_connect=times.connect_seconds, sock_read=max(silence, times.idle_seconds)
            ),
        )


class _Anew:
    """A body that begins anew for whoever sends it: aiohttp sends once more when a kept connection was closed."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body()
