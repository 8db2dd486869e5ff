"""Telling by POST of JSON over HTTP or HTTPS (RFC 9110, section 15 "Status Codes")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from services.kernel.clock import Clock
from services.kernel.egress import Egress, EgressRefused
from services.kernel.retry_after import parse_retry_after
from services.notifier.channels.excerpt import excerpt_of
from services.notifier.channels.interface import Channel, Outcome, Parcel, Verdict

DELIVERY_HEADER = "Drydock-Delivery"
EVENT_HEADER = "Drydock-Event"

_READ_BYTES = 4096
_BODY_SECONDS = 1.0
_REPEATABLE = frozenset({408, 425, 429})
_HEADERS = {
    "Content-Type": "application/json",
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


class HttpChannel(Channel):
    """POSTs. Redirects are not followed, proxies of the environment are not used, cookies are not kept."""

    def __init__(
        self, session: aiohttp.ClientSession, egress: Egress, clock: Clock, *, attempt_seconds: float
    ) -> None:
        self._session = session
        self._egress = egress
        self._clock = clock
        self._attempt_seconds = attempt_seconds

    async def send(self, parcel: Parcel) -> Outcome:
        """Makes one attempt. Any 2xx is a delivery; 408, 425, 429, 5xx and silence may pass; the rest is final."""
        url = URL(parcel.url, encoded=True)
        headers = {DELIVERY_HEADER: parcel.delivery_id, EVENT_HEADER: parcel.event_type}
        try:
            self._egress.check_port(url.port or 0)
            self._egress.check_address(url.host or "")  # aiohttp asks no resolver about addresses
            async with asyncio.timeout(self._attempt_seconds):
                request = self._session.post(url, data=parcel.body, headers=headers, allow_redirects=False)
                async with request as response:
                    excerpt = excerpt_of(await _beginning(response), url)
                    return self._judge(response, excerpt)
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            return _failure(error)

    def _judge(self, response: aiohttp.ClientResponse, excerpt: str) -> Outcome:
        status = response.status
        if 200 <= status < 300:
            return Outcome(verdict=Verdict.DELIVERED, http_status=status, excerpt=excerpt)
        if 300 <= status < 400:
            verdict, reason = Verdict.GIVE_UP, "TARGET_REDIRECTS"
            message = f"The target answers {status}; redirects are not followed."
        elif status in _REPEATABLE or status >= 500:
            verdict, reason = Verdict.TRY_AGAIN, "TARGET_ERROR"
            message = f"The target answers {status}."
        else:
            verdict, reason = Verdict.GIVE_UP, "TARGET_REFUSES"
            message = f"The target refuses the notification with {status}."
        return Outcome(
            verdict=verdict,
            reason=reason,
            message=message,
            http_status=status,
            excerpt=excerpt,
            retry_after=parse_retry_after(response.headers.get("Retry-After"), self._clock),
        )


@asynccontextmanager
async def open_http_channel(egress: Egress, clock: Clock, *, attempt_seconds: float) -> AsyncIterator[HttpChannel]:
    """Opens a channel with connections of its own."""
    connector = aiohttp.TCPConnector(resolver=egress.resolver, use_dns_cache=False, limit=0)
    async with aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),  # the attempt as a whole has its deadline
    ) as session:
        yield HttpChannel(session, egress, clock, attempt_seconds=attempt_seconds)


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
