"""Signatures of calls: ACS3-HMAC-SHA256, and the older RPC signature 1.0.

Alibaba Cloud OpenAPI, "V3 request body & signature mechanism" and "RPC mechanism"; read from the official SDKs of
Python (alibabacloud-tea-openapi 0.4.6) and Node (@alicloud/pop-core 1.8.0) on 2026-11-26.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from services.gateway.acr.failures import Code, refusal
from services.kernel.errors import ServiceError

ALGORITHM: Final = "ACS3-HMAC-SHA256"
_SIGNED: Final = (
    *("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"),
)
"""Headers that a signature must cover: what is left out could be changed by whoever passes the call on."""
_CREDENTIALS: Final = re.compile(
    r"ACS3-HMAC-SHA256\s+Credential=([^,\s]{1,128}),\s*SignedHeaders=([a-z0-9;_-]{1,2048}),\s*Signature=([0-9a-f]{64})"
)
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_LONGEST_NONCE: Final = 128


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it came over the wire."""

    method: str
    headers: Sequence[tuple[str, str]]
    """Names in lower case; a name may come more than once."""
    query: Sequence[tuple[str, str]]
    form: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Returns a header's value; empty where there is none."""
        return ",".join(value for key, value in self.headers if key == name)

    def parameter(self, name: str) -> str:
        """Returns a parameter's value; empty where there is none."""
        return next((value for key, value in (*self.query, *self.form) if key == name), "")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a call says of who made it; `text` is what the secret must have signed."""

    access_key_id: str
    signed_at: datetime
    nonce: str
    text: str
    given: str
    version: int
    """3, or 1 for the older one."""

    def is_of(self, secret: str) -> bool:
        """Tells whether the bearer of this secret signed the call."""
        if self.version == 3:
            wanted = hmac.new(secret.encode(), self.text.encode(), hashlib.sha256).hexdigest()
        else:
            mac = hmac.new(f"{secret}&".encode(), self.text.encode(), hashlib.sha1)
            wanted = base64.b64encode(mac.digest()).decode()
        return hmac.compare_digest(wanted.encode(), self.given.encode())


def signs_parameters_alone(call: Call) -> bool:
    """Tells whether the signature of a call, of the form 1.0, leaves its headers open to whoever passes it on."""
    return not call.header("authorization") and bool(call.parameter("Signature"))


def read_signature(call: Call) -> Signature:
    """Reads the signature of a call, in either form.

    Raises:
        ServiceError: MissingParameter, IncompleteSignature, IllegalTimestamp, or SignatureDoesNotMatch of a body
            that is not the one whose hash was signed.
    """
    authorization = call.header("authorization")
    if authorization:
        return _read_v3(call, authorization)
    if call.parameter("Signature"):
        return _read_v1(call)
    raise refusal(
        Code.MISSING_PARAMETER,
        "The call is not signed.",
        hint="Sign it with an access key (`drydock key create NAME --role ROLE --access-key`), as the SDKs do.",
    )


def _read_v3(call: Call, authorization: str) -> Signature:
    parts = _CREDENTIALS.fullmatch(authorization.strip())
    if parts is None:
        raise refusal(
            Code.INCOMPLETE_SIGNATURE,
            "The Authorization header is not that of a signature we know.",
            hint=f"Only {ALGORITHM} and the RPC signature 1.0 are.",
        )
    access_key_id, names, given = parts.groups()
    signed = names.split(";")
    for name in _SIGNED:
        if not call.header(name):
            raise refusal(Code.MISSING_PARAMETER, f"The header {name} is missing.")
        if name not in signed:
            raise refusal(Code.INCOMPLETE_SIGNATURE, f"The header {name} is not signed.")
    digest = hashlib.sha256(call.body).hexdigest()
    if not hmac.compare_digest(digest.encode(), call.header("x-acs-content-sha256").encode()):
        raise refusal(Code.SIGNATURE_DOES_NOT_MATCH, "The body is not the one whose hash was signed.")
    canonical = "\n".join(
        (
            call.method,
            "/",
            _canonical_pairs(call.query),
            "".join(f"{name}:{_canonical_header(call, name)}\n" for name in signed),
            names,
            digest,
        )
    )
    return Signature(
        access_key_id=access_key_id,
        signed_at=_moment(call.header("x-acs-date")),
        nonce=_nonce(call.header("x-acs-signature-nonce")),
        text=f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}",
        given=given,
        version=3,
    )


def _read_v1(call: Call) -> Signature:
    for name in ("AccessKeyId", "Timestamp", "SignatureNonce"):
        if not call.parameter(name):
            raise refusal(Code.MISSING_PARAMETER, f"The parameter {name} is missing.")
    method, version = call.parameter("SignatureMethod"), call.parameter("SignatureVersion")
    if (method, version) != ("HMAC-SHA1", "1.0"):
        raise refusal(
            Code.INCOMPLETE_SIGNATURE,
            f"{method[:40]!r} in version {version[:40]!r} is no signature that we know.",
            hint="Send SignatureMethod=HMAC-SHA1 and SignatureVersion=1.0.",
        )
    given = call.parameter("Signature")
    try:
        base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refusal(Code.INCOMPLETE_SIGNATURE, "The signature is no base64.") from error
    pairs = [pair for pair in (*call.query, *call.form) if pair[0] != "Signature"]
    return Signature(
        access_key_id=call.parameter("AccessKeyId"),
        signed_at=_moment(call.parameter("Timestamp")),
        nonce=_nonce(call.parameter("SignatureNonce")),
        text=f"{call.method}&%2F&{percent_encode(_canonical_pairs(pairs))}",
        given=given,
        version=1,
    )


def percent_encode(text: str) -> str:
    """Encodes as signatures want it: all but letters, digits and `-_.~`."""
    return quote(text, safe="-_.~")


def _canonical_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{percent_encode(name)}={percent_encode(value)}" for name, value in sorted(pairs))


def _canonical_header(call: Call, name: str) -> str:
    return ",".join(sorted(value.strip() for key, value in call.headers if key == name))


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise _illegal_time(text) from error


def _illegal_time(text: str) -> ServiceError:
    return refusal(
        Code.ILLEGAL_TIMESTAMP,
        f"{text[:40]!r} is no time.",
        hint="Send it in UTC, as in 2026-01-02T03:04:05Z.",
    )


def _nonce(text: str) -> str:
    if len(text) > _LONGEST_NONCE:
        raise refusal(Code.PARAMETER_ERROR, f"The nonce has more than {_LONGEST_NONCE} characters.")
    return text
