"""The ACR door over HTTP, and calls that are signed as the reference describes it, by nothing of ours."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import io
import uuid
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from services.gateway.acr.caller import Callers
from services.gateway.acr.door import AcrDoor, Behaviour
from services.gateway.acr.nonces import Nonces
from tests.builders.gateway import KeyRing


def acr_door(ring: KeyRing, behaviours: dict[str, Behaviour] | None = None) -> AcrDoor:
    """The door before some actions, or none."""
    nonces = Nonces(ring.pool, ring.store, ring.clock)
    callers = Callers(access_keys=ring.access_keys, checker=ring.checker, nonces=nonces)
    return AcrDoor(behaviours or {}, callers, deadline_seconds=5.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Signs calls with an access key, at a moment of the test's choice."""

    address: str
    access_key_id: str
    secret: str
    now: datetime

    def signed(
        self, action: str, query: dict[str, str], body: bytes = b"", *, method: str = "POST", **changes: str
    ) -> dict[str, str]:
        """The headers of a call, as the V3 signature has them."""
        headers = {
            "host": self.address,
            "x-acs-action": action,
            "x-acs-version": "2018-12-01",
            "x-acs-date": f"{self.now:%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": uuid.uuid4().hex,
            "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        if body:
            headers["content-type"] = "application/x-www-form-urlencoded"
        names = sorted(headers)
        pairs = "&".join(f"{quote(name, safe='~')}={quote(query[name], safe='~')}" for name in sorted(query))
        canonical = "\n".join(
            (
                method,
                "/",
                pairs,
                "".join(f"{name}:{headers[name]}\n" for name in names),
                ";".join(names),
                hashlib.sha256(body).hexdigest(),
            )
        )
        text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={self.access_key_id},SignedHeaders={';'.join(names)},Signature={signature}"
        return {**headers, "authorization": f"ACS3-HMAC-SHA256 {credential}"}

    async def call(
        self,
        action: str,
        query: dict[str, str] | None = None,
        *,
        form: dict[str, str] | None = None,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        **changes: str,
    ) -> Answer:
        """Makes a call, with the headers given or signed for it."""
        body = urlencode(form).encode() if form else b""
        sent = headers or self.signed(action, query or {}, body, method=method, **changes)
        url = f"http://{self.address}/" + (f"?{urlencode(query)}" if query else "")
        async with (
            aiohttp.ClientSession(skip_auto_headers=["content-type", "user-agent"]) as session,
            session.request(method, url, data=io.BytesIO(body) if body else None, headers=sent) as response,
        ):
            return Answer(
                status=response.status,
                body=await response.json(),
                headers={name.lower(): value for name, value in response.headers.items()},
            )
