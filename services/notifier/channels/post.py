"""Single POSTs to places that somebody else named: guarded, bounded, without redirects, proxies and cookies."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from services.kernel.clock import Clock
from services.kernel.egress import Egress, EgressRefused
from services.kernel.retry_after import parse_retry_after
from services.notifier.channels.excerpt import excerpt_of
from services.notifier.channels.interface import Outcome, Verdict

_READ_BYTES = 4096
_BODY_SECONDS = 1.0
_REPEATABLE = frozenset({408, 425, 429})
_TRUSTED_SETS = 64
_HEADERS = {
    "User-Agent": "drydock-notifier/1",
    # A compressed answer could grow without end, and nobody needs it.
    "Accept-Encoding": "identity",
}


_FAILURES: tuple[tuple[type[Exception], str, str], ...] = (
    (TimeoutError, "TARGET_TIMEOUT", "The target did not answer in time."),
    (
        aiohttp.ClientConnectorCertificateError,
        "TARGET_CERTIFICATE",
        "The certificate of the target cannot be verified.",
    ),
    (aiohttp.ClientSSLError, "TARGET_TLS", "No TLS connection to the target could be made."),
    (
        aiohttp.ClientConnectorDNSError,
        "TARGET_UNKNOWN_HOST",
        "The name of the target's host cannot be looked up.",
    ),
    (aiohttp.ClientConnectorError, "TARGET_UNREACHABLE", "No connection to the target could be made."),
)
"""From special to general."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the other side said."""

    status: int
    beginning: bytes = dataclasses.field(repr=False)
    """Of its body, a few kilobytes at most; it may repeat secrets."""
    excerpt: str
    """The same as text, shorter, without what it repeats of the URL."""
    retry_after: float | None

    def outcome(self, verdict: Verdict, reason: str = "", message: str = "") -> Outcome:
        """Returns what such an answer means."""
        return Outcome(
            verdict=verdict,
            reason=reason,
            message=message,
            http_status=self.status,
            excerpt=self.excerpt,
            retry_after=self.retry_after if verdict is not Verdict.DELIVERED else None,
        )


class Post:
    """POSTs over connections that somebody else closes."""

    def __init__(
        self, session: aiohttp.ClientSession, egress: Egress, clock: Clock, *, attempt_seconds: float
    ) -> None:
        self._session = session
        self._egress = egress
        self._clock = clock
        self._attempt_seconds = attempt_seconds
        self._trusting = functools.lru_cache(_TRUSTED_SETS)(trusting)

    async def send(
        self, url: URL, body: bytes, headers: Mapping[str, str], *, ca_certificates: str = ""
    ) -> Answer | Outcome:
        """Posts once; an outcome is what there was in place of an answer."""
        try:
            self._egress.check_port(url.port or 0)
            self._egress.check_address(url.host or "")  # aiohttp asks no resolver about addresses
            async with asyncio.timeout(self._attempt_seconds):
                request = self._session.post(
                    url,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    ssl=self._trusting(ca_certificates) if ca_certificates else True,
                )
                async with request as response:
                    beginning = await _beginning(response)
                    return Answer(
                        status=response.status,
                        beginning=beginning,
                        excerpt=excerpt_of(beginning, url),
                        retry_after=parse_retry_after(response.headers.get("Retry-After"), self._clock),
                    )
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            return _failure(error)


def judge(answer: Answer) -> Outcome:
    """Says what a status means (RFC 9110, section 15 "Status Codes").

    Any 2xx is a delivery; 408, 425, 429, 5xx may pass; the rest is final.
    """
    status = answer.status
    if 200 <= status < 300:
        return answer.outcome(Verdict.DELIVERED)
    if 300 <= status < 400:
        return answer.outcome(
            Verdict.GIVE_UP, "TARGET_REDIRECTS", f"The target answers {status}; redirects are not followed."
        )
    if status in _REPEATABLE or status >= 500:
        return answer.outcome(Verdict.TRY_AGAIN, "TARGET_ERROR", f"The target answers {status}.")
    return answer.outcome(Verdict.GIVE_UP, "TARGET_REFUSES", f"The target refuses the notification with {status}.")


def trusting(ca_certificates: str) -> ssl.SSLContext:
    """Returns what trusts these certificates, and no others.

    Raises:
        ValueError: they are none.
    """
    context = ssl.create_default_context(cadata=ca_certificates)
    if not context.cert_store_stats()["x509"]:
        raise ValueError("no certificates")
    return context


@asynccontextmanager
async def open_post(egress: Egress, clock: Clock, *, attempt_seconds: float) -> AsyncIterator[Post]:
    """Opens connections of its own."""
    connector = aiohttp.TCPConnector(resolver=egress.resolver, use_dns_cache=False, limit=0)
    async with aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),  # the attempt as a whole has its deadline
    ) as session:
        yield Post(session, egress, clock, attempt_seconds=attempt_seconds)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Reads the beginning of an answer's body; what of it does not come soon is not worth a second delivery."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await response.content.read(_READ_BYTES)
    except (aiohttp.ClientError, OSError):
        return b""
    finally:
        if not response.content.at_eof():
            response.close()  # the rest may be endless


def _failure(error: Exception) -> Outcome:
    cause = getattr(error, "os_error", error)
    if isinstance(cause, EgressRefused):
        return Outcome(verdict=Verdict.GIVE_UP, reason=cause.reason, message=f"{cause.message} {cause.hint}")
    for kind, reason, message in _FAILURES:
        if isinstance(error, kind):
            return Outcome(verdict=Verdict.TRY_AGAIN, reason=reason, message=message)
    return Outcome(
        verdict=Verdict.TRY_AGAIN,
        reason="TARGET_BROKE_OFF",
        message="The target closed the connection, or answered with something that is no HTTP.",
    )
