"""Bearer tokens of a registry's token server.

Format: CNCF distribution, "Token Authentication Specification", read 2026-11-26. The token server is asked by GET,
with the credentials as Basic or with none. The OAuth 2 form (POST, identity and refresh tokens) is not spoken:
every token server of the specification answers the GET.
"""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from typing import Final

import aiohttp
import msgspec
from yarl import URL

from services.kernel.clock import Clock
from services.kernel.reasons import Reason, ScanFailure
from services.registry.answers import failure_of_error, registry_error, unwilling
from services.registry.retry import FINAL
from services.registry.wire import Wire

_ANSWER_BYTES: Final = 64 << 10
_SENDABLE: Final = re.compile(r"[!-~]{1,32768}")
_DEFAULT_SECONDS: Final = 60.0
_LEAST_SECONDS: Final = 60.0
"""The specification promises as much; who lives shorter, or whose clock is wrong, costs a 401 now and then."""
_MOST_SECONDS: Final = 3600.0
_MARGIN_SECONDS: Final = 10.0
"""So long before its end a token is not used any more: the request still has to arrive."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token; its text is in no `repr`."""

    header: str = dataclasses.field(repr=False)
    """The value of an Authorization header."""
    good_until: float
    """On the monotonic clock."""


class _Answer(msgspec.Struct):
    token: str = ""
    access_token: str = ""
    expires_in: float | None = None
    issued_at: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class TokenScope:
    """What a token is to allow."""

    text: str
    """As the specification spells it; several with blanks between them."""
    what: str
    """Its name in sentences."""


def pull_of(repository: str) -> TokenScope:
    """The scope of whoever pulls from one repository."""
    return TokenScope(f"repository:{repository}:pull", repository)


def push_to(repository: str, origin: str = "") -> TokenScope:
    """The scope of whoever pushes to one repository, and has blobs mounted there from another one."""
    mounted = f" repository:{origin}:pull" if origin else ""
    return TokenScope(f"repository:{repository}:pull,push{mounted}", repository)


NO_SCOPE: Final = TokenScope("", "its root")
"""Of whoever only wants to be known."""
CATALOG_SCOPE: Final = TokenScope("registry:catalog:*", "the list of repositories")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What is asked of a token server."""

    realm: URL
    """Checked by `check_realm`."""
    service: str
    """As the challenge has it; the token is good for this service only."""
    scope: TokenScope
    """Ours, whatever the challenge says."""
    credentials: str | None = dataclasses.field(repr=False)
    """The value of an Authorization header; None to ask anonymously."""

    @property
    def what(self) -> str:
        """Its name in sentences."""
        return f"a token for {self.scope.what}"

    @property
    def url(self) -> URL:
        """The address with its query."""
        service = [("service", self.service)] if self.service else []
        return self.realm.extend_query(service + [("scope", each) for each in self.scope.text.split()])


async def fetch_token(wire: Wire, clock: Clock, request: TokenRequest) -> Token:
    """Gets a token. No redirect is followed: credentials go where they were meant to go, or nowhere.

    Raises:
        ScanFailure: REGISTRY_UNAUTHORIZED, REGISTRY_FORBIDDEN, REGISTRY_REALM_REFUSED; REGISTRY_UNREACHABLE,
            REGISTRY_TIMEOUT, REGISTRY_RATE_LIMITED and REGISTRY_ERROR, which may pass.
    """
    host = request.realm.host or ""
    headers = {"Accept": "application/json"}
    if request.credentials is not None:
        headers["Authorization"] = request.credentials
    try:
        response = await wire.send("GET", request.url, headers)
        try:
            if response.status != 200:
                raise _refusal(response, request, host, clock)
            content = await _read(response)
        finally:
            response.close()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _translated(failure_of_error(error, what=request.what, host=host)) from error
    return _to_token(content, host, clock)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    while len(content) <= _ANSWER_BYTES and (chunk := await response.content.read(_ANSWER_BYTES)):
        content += chunk
    return bytes(content)


def _to_token(content: bytes, host: str, clock: Clock) -> Token:
    if len(content) > _ANSWER_BYTES:
        raise _malformed(host, f"with more than {_ANSWER_BYTES:,} bytes")
    try:
        answer = msgspec.json.decode(content, type=_Answer, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(host, "with something that is not the JSON of a token") from error
    text = answer.token or answer.access_token
    if not _SENDABLE.fullmatch(text):
        raise _malformed(host, "without a token that could be sent" if text else "without a token")
    usable = _lifetime(answer, clock) - _MARGIN_SECONDS
    return Token(header=f"Bearer {text}", good_until=clock.monotonic() + usable)


def _lifetime(answer: _Answer, clock: Clock) -> float:
    seconds = _DEFAULT_SECONDS if answer.expires_in is None else answer.expires_in
    if (issued := _moment(answer.issued_at)) is not None:
        # A date in the future tells of a wrong clock, not of a longer life.
        seconds -= max((clock.now() - issued).total_seconds(), 0.0)
    return min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS)


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refusal(response: aiohttp.ClientResponse, request: TokenRequest, host: str, clock: Clock) -> ScanFailure:
    status = response.status
    facts = {"status": str(status), "host": host}
    if status == 401 and request.credentials is None:
        return ScanFailure(
            Reason.REGISTRY_UNAUTHORIZED,
            f"The token server {host} asks for credentials for {request.scope.what}, and there are none.",
            hint="Give the instance a user name and a password that may pull.",
            metadata=facts,
        )
    if status == 401:
        return ScanFailure(
            Reason.REGISTRY_UNAUTHORIZED,
            f"The token server {host} refused the user name and password.",
            hint="Check the instance's credentials.",
            metadata=facts,
        )
    if status == 403:
        return ScanFailure(
            Reason.REGISTRY_FORBIDDEN,
            f"The token server {host} gives no token for {request.scope.what}.",
            hint="Grant the user the right to pull.",
            metadata=facts,
        )
    if 300 <= status < 400:
        return ScanFailure(
            Reason.REGISTRY_REALM_REFUSED,
            f"The token server {host} redirects; that is not followed, because credentials are at stake.",
            hint="Let the registry's realm name the address itself.",
            metadata=facts,
        )
    return unwilling(response, what=request.what, host=host, clock=clock)


def _translated(failure: ScanFailure) -> ScanFailure:
    """Calls an address that is never connected to by its own reason."""
    if failure.why is not Reason.REGISTRY_REDIRECT_REFUSED:
        return failure
    hint = "Check the token settings of the registry."
    return ScanFailure(Reason.REGISTRY_REALM_REFUSED, failure.message, hint=hint, metadata=failure.metadata)


def _malformed(host: str, how: str) -> ScanFailure:
    return registry_error(host, f"answers the request for a token {how}", None, {FINAL: "token"})
