"""Telling by POST of JSON or of a CloudEvent, signed where the target has a secret."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from yarl import URL

from services.kernel import trace
from services.kernel.clock import Clock
from services.notifier.channels.cloudevents import wrap
from services.notifier.channels.interface import Channel, Outcome, Parcel
from services.notifier.channels.post import Post, judge

DELIVERY_HEADER = "Drydock-Delivery"
EVENT_HEADER = "Drydock-Event"
SIGNATURE_HEADER = "Drydock-Signature"


class HttpChannel(Channel):
    """POSTs what a program reads."""

    def __init__(self, post: Post, clock: Clock) -> None:
        self._post = post
        self._clock = clock

    async def send(self, parcel: Parcel) -> Outcome:
        """Makes one attempt; what the status means, `judge` says."""
        body, headers = wrap(parcel.body, parcel.format)
        headers |= {DELIVERY_HEADER: parcel.delivery_id, EVENT_HEADER: parcel.event_type}
        if traceparent := trace.current():
            headers[trace.HEADER] = traceparent
        if parcel.secrets:
            headers[SIGNATURE_HEADER] = sign(body, parcel.secrets, int(self._clock.now().timestamp()))
        answer = await self._post.send(
            URL(parcel.url, encoded=True), body, headers, ca_certificates=parcel.ca_certificates
        )
        return answer if isinstance(answer, Outcome) else judge(answer)


def sign(body: bytes, secrets: Sequence[str], seconds: int) -> str:
    """Returns `t=SECONDS,v1=HEX`, a `v1` for each secret: HMAC-SHA256 over the seconds, a dot and the raw body."""
    signed = b"%d.%s" % (seconds, body)
    signatures = (hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join((f"t={seconds}", *(f"v1={signature}" for signature in signatures)))
