"""Harbor's scan request: read, bounded, and checked before anybody is asked for anything."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from collections.abc import Sequence

import msgspec
from pydantic import SecretStr
from starlette.requests import ClientDisconnect, Request

from services.gateway.harbor import media
from services.gateway.harbor.registries import Registry
from services.gateway.problem import Refusal
from services.kernel.errors import invalid
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest, parse_digest
from services.kernel.model.reference import RepositoryName, parse_repository

MAX_BODY_BYTES = 256 * 1024
_TOKEN = re.compile(r"[!-~]{1,32768}")
_REPORTS = {"vulnerability": media.VULNERABILITIES, "sbom": media.SBOM}


class _Registry(msgspec.Struct):
    url: str = ""
    authorization: str | None = None


class _Artifact(msgspec.Struct):
    repository: str = ""
    digest: str = ""
    tag: str | None = None
    mime_type: str | None = None


class _Parameters(msgspec.Struct):
    sbom_media_types: list[str] | None = None


class _Capability(msgspec.Struct):
    type: str = ""
    produces_mime_types: list[str] | None = None
    parameters: _Parameters | None = None


class _Body(msgspec.Struct):
    registry: _Registry
    artifact: _Artifact
    enabled_capabilities: list[_Capability] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What Harbor wants scanned, and how it lets the image be pulled."""

    registry_url: str
    name: RepositoryName
    digest: Digest
    authorization: str = dataclasses.field(repr=False)
    """The value of an Authorization header; empty for none."""


async def read_scan_request(request: Request) -> Wanted:
    """Reads the body.

    Raises:
        ServiceError: BODY_* and INVALID_JSON for what cannot be read; INVALID_* for a field;
            CAPABILITY_NOT_SUPPORTED and ARTIFACT_NOT_SUPPORTED for what is not scanned here.
    """
    if media.squeezed(request.headers.get("content-type", "")) not in media.SCAN_REQUESTS:
        raise Refusal(
            415,
            "BODY_MEDIA_TYPE",
            "The body is not of the type of a scan request.",
            hint="Send application/vnd.scanner.adapter.scan.request+json; version=1.1.",
        )
    body = _decode(await _read_body(request))
    _check_capabilities(body.enabled_capabilities or ())
    artifact = body.artifact
    if artifact.mime_type and artifact.mime_type not in media.MANIFESTS:
        raise invalid(
            "ARTIFACT_NOT_SUPPORTED",
            f"Artifacts of the type {artifact.mime_type[:120]!r} are not scanned.",
            field="artifact.mime_type",
            hint="Images are; of an index, each of its images.",
        )
    return Wanted(
        registry_url=body.registry.url,
        name=parse_repository(artifact.repository, field="artifact.repository"),
        digest=parse_digest(artifact.digest, field="artifact.digest"),
        authorization=body.registry.authorization or "",
    )


def access_by(registry: Registry, authorization: str) -> RegistryAccess:
    """Returns the access that a registry and a header of Harbor's give.

    Raises:
        ServiceError: INVALID_AUTHORIZATION, which never shows any of it.
    """
    access = RegistryAccess(address=registry.address, plain_http=registry.plain_http)
    if not authorization:
        return access
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and _TOKEN.fullmatch(value):
        return dataclasses.replace(access, token=SecretStr(value))
    username, password = basic_pair(value) if scheme.lower() == "basic" else ("", "")
    if not username:
        raise invalid(
            "INVALID_AUTHORIZATION",
            "The registry's authorization is neither Basic nor Bearer.",
            field="registry.authorization",
        )
    return dataclasses.replace(access, username=username, password=SecretStr(password))


def basic_pair(value: str) -> tuple[str, str]:
    """Returns user name and password of the credentials of `Basic` (RFC 7617); both empty where these are none."""
    try:
        username, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return (username, password) if colon else ("", "")


def _decode(content: bytes) -> _Body:
    try:
        return msgspec.json.decode(content, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # A path and types, or a position: never a value.
        where = str(error)[:200] if isinstance(error, msgspec.DecodeError) else "it is no UTF-8"
        raise invalid("INVALID_JSON", f"The scan request cannot be read: {where}") from error


def _check_capabilities(wanted: Sequence[_Capability]) -> None:
    """One scan serves all of them: what is named must be there, and nothing else follows from it."""
    for each in wanted:
        report = _REPORTS.get(each.type)
        if report is None:
            raise invalid(
                "INVALID_CAPABILITY",
                f"{each.type[:60]!r} is no capability.",
                field="enabled_capabilities.type",
                hint=f"It is one of {', '.join(_REPORTS)}.",
            )
        named = each.produces_mime_types or ()
        if others := [kind for kind in named if media.squeezed(kind) != media.squeezed(report)]:
            raise invalid(
                "CAPABILITY_NOT_SUPPORTED",
                f"{each.type} gives no report of the type {others[0][:120]!r}.",
                field="enabled_capabilities.produces_mime_types",
                hint=f"It gives {report}.",
            )
        forms: Sequence[str] = (each.parameters and each.parameters.sbom_media_types) or ()
        for form in forms:
            if form not in media.SBOM_FORMS:
                raise invalid(
                    "INVALID_SBOM_FORM",
                    f"{form[:120]!r} is no form of an SBOM here.",
                    field="enabled_capabilities.parameters.sbom_media_types",
                    hint=f"It is one of {', '.join(media.SBOM_FORMS)}.",
                )


async def _read_body(request: Request) -> bytes:
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                raise Refusal(413, "BODY_TOO_LARGE", f"A scan request may have {MAX_BODY_BYTES} bytes.")
    except ClientDisconnect as error:
        raise invalid("BODY_CUT_OFF", "The sender hung up in the middle of the body.") from error
    return bytes(content)
