"""The webhook of the distribution registry: `POST /webhooks/distribution/{instance_id}`.

The registry keeps its queue in memory and repeats an envelope until it gets a 2xx, so the answer comes fast, and
only once the bus holds every event.
"""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from services.gateway.api import Role
from services.gateway.editions import Editions
from services.gateway.tokens import TokenChecker
from services.gateway.webhooks.envelope import open_envelope, read_event
from services.gateway.webhooks.publish import EventPublisher
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.rpc.bearer import bearer_of

MAX_BODY_BYTES = 1024 * 1024
_MEDIA_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.events.v1+json",
        "application/vnd.docker.distribution.events.v2+json",
        "application/json",
    }
)
_RETRY_SECONDS = 2.0


class Refusal(ServiceError):
    """A refusal whose HTTP status is narrower than that of its kind."""

    def __init__(self, status: int, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(Kind.INVALID_ARGUMENT, reason, message, hint=hint)
        self.status = status


class DistributionWebhook:
    """Receives envelopes for the instance that the sender's key is bound to."""

    def __init__(
        self, *, checker: TokenChecker, editions: Editions, publisher: EventPublisher, deadline_seconds: float
    ) -> None:
        self._checker = checker
        self._editions = editions
        self._publisher = publisher
        self._deadline_seconds = deadline_seconds

    async def receive(self, request: Request) -> Response:
        """Answers 202 once every event is durable, with counts, and those of what was ignored by reason.

        Raises:
            ServiceError: what is wrong with the call; WEBHOOK_NOT_STORED when the deadline passed.
        """
        deadline = asyncio.timeout(self._deadline_seconds)
        try:
            async with deadline:
                return await self._receive(request)
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

    async def _receive(self, request: Request) -> Response:
        instance_id = str(request.path_params["instance_id"])
        await self._authenticate(request, instance_id)
        # A key outlives its instance; what it brings then is nobody's.
        instance = await self._editions.enterprise(instance_id)
        _check_headers(request)
        events = open_envelope(await _read_body(request))
        read = [read_event(instance_id, event) for event in events]
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


def _check_headers(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _MEDIA_TYPES:
        raise Refusal(
            415,
            "WEBHOOK_MEDIA_TYPE",
            "The body is not of a type that registries send.",
            hint="Send application/vnd.docker.distribution.events.v2+json or application/json.",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "WEBHOOK_ENCODED", "The body must not be compressed.")
    length = request.headers.get("content-length", "0")
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
