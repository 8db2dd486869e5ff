"""One exchange with a registry: request, redirects followed by hand, and an answer that is a success."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from services.kernel.addresses import GuardedResolver, check_literal
from services.kernel.clock import Clock
from services.kernel.model.access import RegistryAccess
from services.scanner.images import redirects
from services.scanner.images.answers import Asked, failure_of, failure_of_error, read_code
from services.scanner.images.auth import Authorization
from services.scanner.images.limits import SourceSettings

_CHALLENGES = 2
"""401 answers taken in one exchange: a registry may find a cached token too old, but not for ever."""


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
        headers={"User-Agent": "drydock", "Accept-Encoding": "identity"},
        read_bufsize=1 << 18,
    )
    try:
        yield session
    finally:
        await session.close()
        await resolver.close()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to the registry."""

    method: str
    """GET or HEAD."""
    path: str
    """Below `/v2/`, already safe: repository, tag and digest have been checked against their grammar."""
    asked: Asked
    what: str
    """The thing's name in sentences."""
    headers: Mapping[str, str]
    body_bytes: int = 0
    """Expected size of the answer; it lengthens the deadline."""


class Exchange:
    """Sends requests to one registry. Credentials go to the registry's own host and nowhere else."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        access: RegistryAccess,
        authorization: Authorization,
        settings: SourceSettings,
        clock: Clock,
    ) -> None:
        self._session = session
        self._authorization = authorization
        self._settings = settings
        self._clock = clock
        self.host = access.address
        self._root = URL(f"{'http' if access.plain_http else 'https'}://{access.address}/v2/")

    @contextlib.asynccontextmanager
    async def ask(self, question: Question) -> AsyncIterator[aiohttp.ClientResponse]:
        """Sends one request and yields the answer, status 200 or 206, for the time of the block.

        What is read inside the block may fail with the errors that `failure_of_error` knows; they come out
        translated. Whatever ends the block before the body ended closes the connection.
        """
        host = self.host
        try:
            response = await self._send(question)
            host = self._name(response.url)
            try:
                yield response
            finally:
                # A response with its body read has given the connection back already; any other one is shut.
                response.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failure_of_error(error, what=question.what, host=host) from error

    async def _send(self, question: Question) -> aiohttp.ClientResponse:
        """Returns the first answer that is neither a redirect nor a challenge that can be met."""
        url = self._root.join(URL(question.path))
        hops = challenges = 0
        while True:
            response = await self._request(question, url)
            try:
                if response.status in (200, 206):
                    return response
                if response.status in redirects.STATUSES:
                    hops += 1
                    url = self._next(url, response, hops)
                else:
                    challenges += 1
                    await self._meet_challenge(question, response, challenges)
            except BaseException:
                response.close()
                raise
            response.close()

    async def _request(self, question: Question, url: URL) -> aiohttp.ClientResponse:
        check_literal(url.host or "")
        headers = dict(question.headers)
        if redirects.same_registry(self._root, url):
            authorization = await self._authorization.header()
            if authorization is not None:
                headers["Authorization"] = authorization
        times = self._settings.timeouts
        return await self._session.request(
            question.method,
            url,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=times.request_seconds + question.body_bytes / times.slowest_bytes_per_second,
                sock_connect=times.connect_seconds,
                sock_read=times.idle_seconds,
            ),
        )

    def _next(self, url: URL, response: aiohttp.ClientResponse, hops: int) -> URL:
        if hops > self._settings.redirects:
            raise redirects.refused(url, f"for the {hops}th time in a row")
        return redirects.next_hop(url, response.headers.get("Location", ""))

    async def _meet_challenge(self, question: Question, response: aiohttp.ClientResponse, challenges: int) -> None:
        """Returns when the request is worth repeating; raises for any other answer."""
        own = redirects.same_registry(self._root, response.url)
        if response.status != 401 or not own or challenges > _CHALLENGES:
            raise failure_of(
                response,
                asked=question.asked,
                what=question.what,
                host=self._name(response.url),
                code=await read_code(response),
                clock=self._clock,
            )
        await self._authorization.challenged(self.host, response.headers.get("WWW-Authenticate", ""))

    def _name(self, url: URL) -> str:
        """Returns how a host is called in sentences; the rest of a foreign address may be secret."""
        own = redirects.same_registry(self._root, url)
        return self.host if own else url.host or "an unnamed host"
