"""Who we are to a registry: what its challenge offers decides how we prove it (RFC 7617, RFC 6750)."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from yarl import URL

from services.kernel.clock import Clock
from services.kernel.model.access import RegistryAccess
from services.kernel.reasons import Reason, ScanFailure
from services.registry.answers import registry_error, unwilling
from services.registry.challenge import Challenge, parse_challenges
from services.registry.realm import check_realm
from services.registry.retry import FINAL
from services.registry.tokens import Token, TokenRequest, TokenScope, fetch_token
from services.registry.wire import Wire


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A 401 of the registry's own."""

    challenges: Sequence[str]
    """The WWW-Authenticate headers; they come from outside."""
    sent: str | None = dataclasses.field(repr=False)
    """The Authorization header that was refused."""
    repeated: bool
    """True when what followed from a former challenge of the same request was refused."""
    what: str
    """What was asked for, for the sentence."""


class Authorization(ABC):
    """Gives requests to the registry's own host their header; other hosts never see it."""

    @abstractmethod
    async def header(self) -> str | None:
        """Returns the value of the Authorization header, or None to send none."""

    @abstractmethod
    async def challenged(self, refusal: Refusal) -> None:
        """Answers a 401; returns when `header` has something new and the request is worth repeating.

        Raises:
            ScanFailure: REGISTRY_UNAUTHORIZED or REGISTRY_FORBIDDEN, when there is nothing left to try;
                whatever the token server's refusal is.
        """


class Presented(Authorization):
    """Shows a token that somebody else got; when the registry does not take it, there is no other to be had."""

    def __init__(self, access: RegistryAccess) -> None:
        self._host = access.address
        self._token = access.token

    async def header(self) -> str | None:
        """Returns the token."""
        return f"Bearer {self._token.get_secret_value()}"

    async def challenged(self, refusal: Refusal) -> None:
        """Gives up."""
        raise ScanFailure(
            Reason.REGISTRY_UNAUTHORIZED,
            f"The registry {self._host} does not take the token that it was to be asked with for {refusal.what}.",
            hint="It may have run out, or allow something else: ask again with a new one.",
        )


class Negotiated(Authorization):
    """Proves who we are in the way that the registry asks for: with tokens, or with user name and password.

    One for each repository, and one for the catalogue. Requests share its token; whoever finds it stale renews it,
    the others wait for that.
    """

    def __init__(
        self,
        wire: Wire,
        clock: Clock,
        root: URL,
        access: RegistryAccess,
        scope: TokenScope,
        *,
        token_hosts: Collection[str],
    ) -> None:
        """Takes what it talks through.

        Args:
            wire: sends the requests to the token server.
            clock: by which tokens grow old.
            root: the registry's `/v2/`.
            access: has the credentials.
            scope: what is to be allowed, where tokens are asked for.
            token_hosts: hosts that may see the credentials, besides the registry's own.
        """
        self._wire = wire
        self._clock = clock
        self._root = root
        self._host = access.address
        self._scope = scope
        self._token_hosts = token_hosts
        self._basic = _basic(access)
        self._asked = False
        self._with_basic = False
        self._request: TokenRequest | None = None
        self._token: Token | None = None
        self._turn = asyncio.Lock()

    async def header(self) -> str | None:
        """Returns what the registry has asked for so far; a token close to its end is renewed first."""
        async with self._turn:
            if self._basic is not None and not self._asked:
                await self._ask_how()
            return await self._present()

    async def challenged(self, refusal: Refusal) -> None:
        """Follows the challenge, unless another request has done so meanwhile."""
        async with self._turn:
            challenges = self._read(refusal.challenges)
            if refusal.repeated:
                raise self._given_up(refusal, challenges)
            newest = self._token.header if self._token else None
            if newest is not None and newest != refusal.sent:
                return
            self._token = None
            self._choose(challenges)
            if await self._present() == refusal.sent:
                raise self._given_up(refusal, challenges)

    async def _ask_how(self) -> None:
        """Asks the registry's root how it wants to be asked.

        Without that, a registry that lets anybody in but hides private repositories from strangers would deny
        that an image exists instead of asking who we are.
        """
        response = await self._wire.send("GET", self._root, {})
        response.close()
        if response.status == 401:
            self._choose(self._read(response.headers.getall("WWW-Authenticate", [])))
        elif response.status >= 429:
            raise unwilling(response, what="how it wants to be asked", host=self._host, clock=self._clock)
        self._asked = True

    async def _present(self) -> str | None:
        if self._request is None:
            return self._basic if self._with_basic else None
        if self._token is None or self._clock.monotonic() >= self._token.good_until:
            self._token = await fetch_token(self._wire, self._clock, self._request)
        return self._token.header

    def _choose(self, challenges: Sequence[Challenge]) -> None:
        """Prefers tokens: they are short-lived and good for one repository."""
        offers_basic = self._basic is not None and any(one.scheme == "basic" for one in challenges)
        bearer = next((one for one in challenges if one.scheme == "bearer"), None)
        self._request, self._with_basic = None, offers_basic
        if bearer is None:
            return
        try:
            realm = check_realm(
                self._root,
                bearer.parameters.get("realm", ""),
                credentials=self._basic is not None,
                token_hosts=self._token_hosts,
            )
        except ScanFailure:
            if offers_basic:
                return
            raise
        service = bearer.parameters.get("service", "")
        self._request = TokenRequest(realm=realm, service=service, scope=self._scope, credentials=self._basic)

    def _read(self, headers: Sequence[str]) -> tuple[Challenge, ...]:
        try:
            return parse_challenges(headers)
        except ValueError as error:
            what = "asks for credentials in a way that cannot be read"
            raise registry_error(self._host, what, None, {FINAL: "challenge"}) from error

    def _given_up(self, refusal: Refusal, challenges: Sequence[Challenge]) -> ScanFailure:
        errors = {one.parameters.get("error", "") for one in challenges if one.scheme == "bearer"}
        if self._basic is None and (self._request is None or "insufficient_scope" in errors):
            message = f"The registry {self._host} asks for credentials, and there are none."
            hint = "Give the instance a user name and a password that may pull."
        elif self._request is None and self._with_basic:
            message = f"The registry {self._host} refused the user name and password."
            hint = "Check the instance's credentials."
        elif self._request is None:
            message = f"The registry {self._host} offers neither Basic nor token authentication."
            hint = "Only these two are known."
        elif "insufficient_scope" in errors:
            return ScanFailure(
                Reason.REGISTRY_FORBIDDEN,
                f"The token server of {self._host} does not grant the user {refusal.what}.",
                hint="Grant the user the right to pull, or check the name.",
            )
        else:
            message = f"The registry {self._host} does not take the token that its own token server gave."
            hint = "Check its token settings: service, issuer, certificates, and the clocks of both."
        return ScanFailure(Reason.REGISTRY_UNAUTHORIZED, message, hint=hint)


def _basic(access: RegistryAccess) -> str | None:
    if not access.username:
        return None
    pair = f"{access.username}:{access.password.get_secret_value()}"
    return f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
