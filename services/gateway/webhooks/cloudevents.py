"""CloudEvents over HTTP, in structured and in binary mode, read with care.

Format: CloudEvents 1.0.2, "HTTP Protocol Binding", section 3, and "JSON Event Format", section 3; read 2026-11.
Which types are read, and what their data is: `docs/webhooks.md`. Why no library: decision 0037.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated

import msgspec

from services.gateway.webhooks.harbor import read_artifacts
from services.gateway.webhooks.language import Language
from services.gateway.webhooks.notice import Action, Claim, Ignored, Notice, check, read_time
from services.kernel.errors import ServiceError, invalid
from services.kernel.model.digest import is_digest
from services.rules.api import Instance

_STRUCTURED = "application/cloudevents+json"
_FAMILY = "application/cloudevents"
_VERSION = "ce-specversion"

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class _Event(msgspec.Struct):
    id: _Name
    source: _Name
    type: _Name
    specversion: str
    time: str = ""
    operator: str = ""
    """Harbor's own attribute: who did it."""
    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: bytes = b""


class _ZotImage(msgspec.Struct):
    name: str
    reference: str = ""
    digest: str = ""
    media_type: str = msgspec.field(default="", name="mediaType")


class _Image(msgspec.Struct):
    repository: str
    tag: str = ""
    digest: str = ""
    media_type: str = msgspec.field(default="", name="mediaType")
    actor: str = ""


_events = msgspec.json.Decoder(_Event)
_zot_images = msgspec.json.Decoder(_ZotImage)
_images = msgspec.json.Decoder(_Image)

_Reader = Callable[[Instance, Action, _Event, bytes], Sequence[Notice | Ignored]]


class CloudEvents(Language):
    """What Harbor, zot and others send as CloudEvents."""

    sends = "application/cloudevents+json, or application/json with the headers ce-specversion, ce-id and so on"

    def accepts(self, media_type: str, headers: Mapping[str, str]) -> bool:
        """Takes one event in either mode; the type tells which, whatever other headers say."""
        if media_type.startswith(_FAMILY):
            return media_type == _STRUCTURED
        return _VERSION in headers and (media_type == "application/json" or media_type.endswith("+json"))

    def read(self, instance: Instance, headers: Mapping[str, str], body: bytes) -> Sequence[Notice | Ignored]:
        """Reads one event."""
        try:
            structured = headers.get("content-type", "").lower().startswith(_FAMILY)
            event, data = _structured(body) if structured else (_binary(headers), body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _malformed() from error
        if event.specversion != "1.0":
            raise _malformed()
        known = _TYPES.get(event.type)
        if known is None:
            return [Ignored.ACTION]
        action, reader = known
        try:
            return reader(instance, action, event, data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [Ignored.MALFORMED]


def _structured(body: bytes) -> tuple[_Event, bytes]:
    event = _events.decode(body)
    return event, event.data_base64 or bytes(event.data)


def _binary(headers: Mapping[str, str]) -> _Event:
    names = ("id", "source", "type", "specversion", "time", "operator")
    given = {name: headers[f"ce-{name}"] for name in names if f"ce-{name}" in headers}
    # Section 3.1.3.2: everything beyond printable ASCII is percent-encoded UTF-8.
    return msgspec.convert(
        {name: urllib.parse.unquote(value, errors="strict") for name, value in given.items()}, _Event
    )


def _of_harbor(instance: Instance, action: Action, event: _Event, data: bytes) -> Sequence[Notice | Ignored]:
    return read_artifacts(
        instance,
        action,
        data,
        identity=(event.source, event.id),
        occurred_at=read_time(event.time),
        operator=event.operator,
    )


def _of_zot(instance: Instance, action: Action, event: _Event, data: bytes) -> Sequence[Notice | Ignored]:
    image = _zot_images.decode(data)
    if not image.reference:
        return [Ignored.MALFORMED]
    by_digest = is_digest(image.reference)
    return [
        check(
            instance.instance_id,
            Claim(
                identity=(event.source, event.id),
                action=action,
                repository=image.name,
                tag="" if by_digest else image.reference,
                # A deleted tag leaves its manifest to other tags.
                digest="" if action is Action.DELETE and not by_digest else image.digest,
                media_type=image.media_type,
                occurred_at=read_time(event.time),
                actor="",
            ),
        )
    ]


def _of_others(instance: Instance, action: Action, event: _Event, data: bytes) -> Sequence[Notice | Ignored]:
    image = _images.decode(data)
    return [
        check(
            instance.instance_id,
            Claim(
                identity=(event.source, event.id),
                action=action,
                repository=image.repository,
                tag=image.tag,
                digest=image.digest,
                media_type=image.media_type,
                occurred_at=read_time(event.time),
                actor=image.actor,
            ),
        )
    ]


_TYPES: Mapping[str, tuple[Action, _Reader]] = MappingProxyType(
    {
        "harbor.artifact.pushed": (Action.PUSH, _of_harbor),
        "harbor.artifact.deleted": (Action.DELETE, _of_harbor),
        "harbor.artifact.pulled": (Action.PULL, _of_harbor),
        "zotregistry.image.updated": (Action.PUSH, _of_zot),
        "zotregistry.image.deleted": (Action.DELETE, _of_zot),
        "drydock.image.pushed": (Action.PUSH, _of_others),
        "drydock.image.deleted": (Action.DELETE, _of_others),
        "drydock.image.pulled": (Action.PULL, _of_others),
    }
)
"""What is read of each type; an event of another type starts nothing."""


def _malformed() -> ServiceError:
    return invalid(
        "WEBHOOK_MALFORMED",
        "The request is no CloudEvent of version 1.0.",
        hint="An event has specversion, id, source and type: in the body, or as headers that begin with ce-.",
    )
