"""The door for webhooks: `POST /webhooks/LANGUAGE/{instance_id}`, the same for every sender's language.

Registries keep their queue in memory, and repeat what was not answered with 2xx: so the answer comes fast, and
only once the bus holds every event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from services.gateway.api import Role
from services.gateway.editions import Editions
from services.gateway.problem import Refusal
from services.gateway.tokens import TokenChecker
from services.gateway.webhooks.language import Language
from services.gateway.webhooks.publish import EventPublisher
from services.gateway.webhooks.rate import InstanceRates
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.model.media import bare
from services.kernel.rpc.bearer import bearer_of

MAX_BODY_BYTES = 1024 * 1024
_RETRY_SECONDS = 2.0


class WebhookDoor:
    """Receives deliveries for the instance that the sender's key is bound to."""

    def __init__(
        self,
        *,
        checker: TokenChecker,
        editions: Editions,
        rates: InstanceRates,
        publisher: EventPublisher,
        deadline_seconds: float,
    ) -> None:
        self._checker = checker
        self._editions = editions
        self._rates = rates
        self._publisher = publisher
        self._deadline_seconds = deadline_seconds

    async def receive(self, language: Language, request: Request) -> Response:
        """Answers 202 once every event is durable, with counts, and those of what was ignored by reason.

        Raises:
            ServiceError: what is wrong with the call; WEBHOOK_NOT_STORED when the deadline passed.
        """
        deadline = asyncio.timeout(self._deadline_seconds)
        try:
            async with deadline:
                return await self._receive(language, request)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise ServiceError(
                Kind.UNAVAILABLE,
                "WEBHOOK_NOT_STORED",
                f"The events could not be stored within {self._deadline_seconds:g} seconds.",
                hint="Send them again.",
                retry_after=_RETRY_SECONDS,
            ) from error

    async def _receive(self, language: Language, request: Request) -> Response:
        instance_id = str(request.path_params["instance_id"])
        await self._authenticate(request, instance_id)
        self._rates.enter(instance_id)
        # A key outlives its instance; what it brings then is nobody's.
        instance = await self._editions.enterprise(instance_id)
        _check_headers(language, request.headers)
        read = language.read(instance, request.headers, await _read_body(request))
        self._rates.count(instance_id, len(read) - 1)
        receipt = await self._publisher.take(instance_id, read, sync=instance.sync)
        ignored = sum(receipt.ignored.values())
        body = {"accepted": receipt.accepted, "ignored": ignored, "ignored_by_reason": receipt.ignored}
        return Response(msgspec.json.encode(body), 202, media_type="application/json")

    async def _authenticate(self, request: Request, instance_id: str) -> None:
        key = await self._checker.check(bearer_of(request.headers.get("authorization", "")))
        if key.role is not Role.WEBHOOK or key.instance_id != instance_id:
            raise ServiceError(
                Kind.PERMISSION_DENIED,
                "WEBHOOK_NOT_ALLOWED",
                f"The key {key.name!r} may not deliver webhooks of this instance.",
                hint="Use a webhook key that was made for this instance.",
            )


def _check_headers(language: Language, headers: Mapping[str, str]) -> None:
    if not language.accepts(bare(headers.get("content-type", "")), headers):
        raise Refusal(
            415,
            "WEBHOOK_MEDIA_TYPE",
            "The body is not of a type that senders of this webhook use.",
            hint=f"Send {language.sends}.",
        )
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "WEBHOOK_ENCODED", "The body must not be compressed.")
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
        raise _too_large()


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise _too_large()
    except ClientDisconnect as error:
        raise invalid("WEBHOOK_CUT_OFF", "The sender hung up in the middle of the body.") from error
    return bytes(body)


def _too_large() -> Refusal:
    return Refusal(413, "WEBHOOK_TOO_LARGE", f"A body may have {MAX_BODY_BYTES} bytes.")
