"""One exchange with a registry: request, redirects followed by hand, and an answer that is a success."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Collection, Mapping

import aiohttp
from yarl import URL

from services.kernel.clock import Clock
from services.kernel.model.access import RegistryAccess
from services.registry import redirects
from services.registry.answers import Asked, failure_of, failure_of_error, read_error
from services.registry.auth import Authorization, Negotiated, Presented, Refusal
from services.registry.limits import SourceSettings
from services.registry.refusals import PUSHED, push_failure
from services.registry.tokens import TokenScope
from services.registry.wire import Body, Wire


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to the registry."""

    method: str
    path: str
    """Below `/v2/`, already safe: repository, tag and digest have been checked against their grammar. Or the whole
    address that the registry itself named for it, checked by `next_hop`."""
    asked: Asked
    what: str
    """The thing's name in sentences."""
    headers: Mapping[str, str]
    body_bytes: int = 0
    """Expected size of the answer, or the size of `body`; it lengthens the deadline."""
    body: Body | None = None
    """What is sent, from its start as often as need be."""
    accepted: Collection[int] = (200, 206)
    """Answers that are a success."""


class Exchange:
    """Sends requests to one registry. Credentials go to the registry's own host and nowhere else."""

    def __init__(
        self, wire: Wire, root: URL, host: str, authorization: Authorization, clock: Clock, *, hops: int
    ) -> None:
        """Takes what it talks through.

        Args:
            wire: sends the requests.
            root: the registry's `/v2/`.
            host: the registry's address, for sentences.
            authorization: who we are to it.
            clock: for dates in Retry-After.
            hops: redirects followed for one request.
        """
        self._wire = wire
        self._root = root
        self._authorization = authorization
        self._clock = clock
        self._hops = hops
        self.host = host

    @contextlib.asynccontextmanager
    async def ask(self, question: Question) -> AsyncIterator[aiohttp.ClientResponse]:
        """Sends one request and yields the answer, one of those accepted, for the time of the block.

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
        url = self._root.join(URL(question.path, encoded="://" in question.path))
        hops = challenges = 0
        while True:
            own = redirects.same_registry(self._root, url)
            sent = await self._authorization.header() if own else None
            headers = dict(question.headers) | ({"Authorization": sent} if sent else {})
            response = await self._wire.send(
                question.method, url, headers, body_bytes=question.body_bytes, body=question.body
            )
            if response.status in question.accepted:
                return response
            try:
                if response.status in redirects.followed(question.method):
                    hops += 1
                    url = self._next(url, response, hops)
                    continue
                if response.status != 401 or not own:
                    raise await self._failure(question, response)
                asked_for = response.headers.getall("WWW-Authenticate", [])
            finally:
                response.close()
            challenges += 1
            await self._authorization.challenged(
                Refusal(challenges=asked_for, sent=sent, repeated=challenges > 1, what=question.what)
            )

    def _next(self, url: URL, response: aiohttp.ClientResponse, hops: int) -> URL:
        if hops > self._hops:
            raise redirects.refused(url, f"for the {hops}th time in a row")
        return redirects.next_hop(url, response.headers.get("Location", ""))

    async def _failure(self, question: Question, response: aiohttp.ClientResponse) -> Exception:
        host, what, told = self._name(response.url), question.what, await read_error(response)
        if question.asked in PUSHED:
            return push_failure(response, question.asked, what=what, host=host, told=told, clock=self._clock)
        asked, clock = question.asked, self._clock
        return failure_of(response, asked=asked, what=what, host=host, code=told.code, clock=clock)

    def _name(self, url: URL) -> str:
        """Returns how a host is called in sentences; the rest of a foreign address may be secret."""
        own = redirects.same_registry(self._root, url)
        return self.host if own else url.host or "an unnamed host"


def connect(
    session: aiohttp.ClientSession,
    access: RegistryAccess,
    scope: TokenScope,
    settings: SourceSettings,
    clock: Clock,
) -> Exchange:
    """Returns the way to one repository of a registry, or to its catalogue; nothing is sent yet."""
    root = URL(f"{'http' if access.plain_http else 'https'}://{access.address}/v2/")
    wire = Wire(session, settings.timeouts)
    who: Authorization
    if access.token.get_secret_value():
        who = Presented(access)
    else:
        who = Negotiated(wire, clock, root, access, scope, token_hosts=settings.token_hosts)
    return Exchange(wire, root, access.address, who, clock, hops=settings.redirects)
