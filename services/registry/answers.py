"""From HTTP answers and broken connections to reasons (distribution-spec, "Error Codes")."""

from __future__ import annotations

import dataclasses
import enum
import re

import aiohttp
import msgspec

from services.kernel.addresses import AddressRefused
from services.kernel.clock import Clock
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.retry_after import parse_retry_after
from services.registry.retry import FINAL

_ERROR_BYTES = 8 << 10
_CODE = re.compile(r"[A-Z][A-Z_]{0,62}")


class Asked(enum.Enum):
    """What a request was for: it decides what a 404 means."""

    MANIFEST = "image"
    BLOB = "blob"
    TAGS = "repository"
    CATALOG = "catalogue"
    ROOT = "registry"
    PUSHED_BLOB = "blob, to be written,"
    PUSHED_MANIFEST = "manifest, to be written,"
    PUSHED_TAG = "tag, to be written,"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer says of an error."""

    code: str
    """Such as MANIFEST_UNKNOWN; empty when there is none."""
    message: str
    """The registry's to choose: it is looked into, and goes nowhere."""


class _Error(msgspec.Struct):
    code: object = ""
    message: object = ""


class _Errors(msgspec.Struct):
    errors: list[_Error] = []


async def read_error(response: aiohttp.ClientResponse) -> Told:
    """Returns the first error of the body; an empty one when there is none."""
    content = bytearray()
    while len(content) < _ERROR_BYTES:
        chunk = await response.content.read(_ERROR_BYTES - len(content))
        if not chunk:
            break
        content += chunk
    try:
        errors = msgspec.json.decode(bytes(content), type=_Errors).errors
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Told(code="", message=content.decode("utf-8", "replace"))
    first = errors[0] if errors else _Error()
    code, message = str(first.code), str(first.message)
    return Told(code=code if _CODE.fullmatch(code) else "", message=message)


def failure_of(
    response: aiohttp.ClientResponse, *, asked: Asked, what: str, host: str, code: str, clock: Clock
) -> ScanFailure:
    """Turns an answer that is no success, and no 401 that can be answered, into its reason.

    Args:
        response: status and headers.
        asked: what it was for.
        what: the thing's name for the sentence, such as `team/app:1.0`.
        host: who answered.
        code: what `read_error` found.
        clock: for dates in Retry-After.
    """
    status = response.status
    told = f" ({code})" if code else ""
    facts = {"status": str(status), "host": host} | ({"registry_code": code} if code else {})
    if status == 403:
        return ScanFailure(
            Reason.REGISTRY_FORBIDDEN,
            f"{host} does not allow the {asked.value} {what} to be pulled{told}.",
            hint="Grant the user the right to pull.",
            metadata=facts,
        )
    if status == 401:
        return ScanFailure(
            Reason.REGISTRY_UNAUTHORIZED,
            f"{host} asks for credentials for {what}, and has none that it takes from us{told}.",
            hint="If the registry redirects there, check its storage settings; else check the credentials.",
            metadata=facts,
        )
    if status in (404, 410) and asked is Asked.ROOT:
        what = f"answers {status} at /v2/: no registry is there"
        return registry_error(host, what, None, facts | {FINAL: "status"})
    if status in (404, 410):
        return _missing(asked, what, host, told, facts)
    return unwilling(response, what=what, host=host, clock=clock, code=code)


def _missing(asked: Asked, what: str, host: str, told: str, facts: dict[str, str]) -> ScanFailure:
    if asked is Asked.MANIFEST:
        return ScanFailure(
            Reason.IMAGE_NOT_FOUND,
            f"There is no image {what} at {host}{told}.",
            hint="Check repository, tag and digest.",
            metadata=facts,
        )
    if asked is not Asked.BLOB:
        return ScanFailure(
            Reason.IMAGE_NOT_FOUND,
            f"There is no {asked.value} {what} at {host}{told}.",
            hint="Check its name; the registry may have deleted it.",
            metadata=facts,
        )
    return ScanFailure(
        Reason.BLOB_NOT_FOUND,
        f"{host} does not have the blob {what} that its manifest names{told}.",
        hint="The registry is damaged or its garbage collection took it: push the image again.",
        metadata=facts,
    )


def unwilling(
    response: aiohttp.ClientResponse, *, what: str, host: str, clock: Clock, code: str = ""
) -> ScanFailure:
    """Turns an answer that says nothing of what was asked for, but of the server's own state, into its reason."""
    status = response.status
    told = f" ({code})" if code else ""
    facts = {"status": str(status), "host": host} | ({"registry_code": code} if code else {})
    if status == 429:
        return ScanFailure(
            Reason.REGISTRY_RATE_LIMITED,
            f"{host} limits the rate of requests{told}.",
            hint="Use credentials with a higher limit, or scan later.",
            retry_after=parse_retry_after(response.headers.get("Retry-After"), clock),
            metadata=facts,
        )
    if status >= 500:
        retry_after = parse_retry_after(response.headers.get("Retry-After"), clock)
        return registry_error(host, f"answers {status} for {what}{told}", retry_after, facts)
    return registry_error(host, f"answers {status} for {what}{told}", None, facts | {FINAL: "status"})


def registry_error(
    host: str, what: str, retry_after: float | None = None, facts: dict[str, str] | None = None
) -> ScanFailure:
    """An answer that makes no sense, or that admits an error."""
    return ScanFailure(
        Reason.REGISTRY_ERROR, f"{host} {what}.", retry_after=retry_after, metadata={"host": host} | (facts or {})
    )


def cut_off(host: str, what: str) -> ScanFailure:
    """A body that ended too early."""
    return ScanFailure(
        Reason.TRANSFER_CUT_OFF, f"The transfer of {what} from {host} was cut off.", metadata={"host": host}
    )


def failure_of_error(error: Exception, *, what: str, host: str) -> ScanFailure:
    """Turns an aiohttp error, a timeout or an OSError into its reason."""
    refused = isinstance(error, AddressRefused) or isinstance(getattr(error, "os_error", None), AddressRefused)
    if refused or isinstance(error, aiohttp.InvalidURL):
        return ScanFailure(
            Reason.REGISTRY_REDIRECT_REFUSED,
            f"{host} leads, for {what}, to a link-local or metadata address, or to one that is none.",
            hint="Check the registry's address and its storage settings.",
            metadata={"host": host},
        )
    match error:
        case TimeoutError():
            why, message, hint = Reason.REGISTRY_TIMEOUT, f"{host} took too long to deliver {what}.", ""
        case aiohttp.ClientSSLError():
            why = Reason.REGISTRY_UNREACHABLE
            message = (
                f"{host} cannot be reached over TLS: its certificate is not trusted, or it speaks plain HTTP."
            )
            hint = "Trust its certificate authority, or use plain HTTP for this registry if that is meant."
        case aiohttp.ClientPayloadError():
            return cut_off(host, what)
        case aiohttp.ClientResponseError():
            return registry_error(host, f"gave an answer for {what} that is not HTTP as it should be")
        case _:
            why = Reason.REGISTRY_UNREACHABLE
            message = f"{host} could not be reached, or closed the connection, when asked for {what}."
            hint = "Check address, port and network."
    final = {FINAL: "tls"} if isinstance(error, aiohttp.ClientSSLError) else {}
    return ScanFailure(why, message, hint=hint, metadata={"host": host} | final)
