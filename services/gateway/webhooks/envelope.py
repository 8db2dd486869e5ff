"""The envelopes of the distribution registry, read with care.

Format: CNCF Distribution, "Work with notifications", sections "Envelope" and "Event format". Version 1 is what
distribution 2 sends, version 2 what distribution 3 sends; what is read here is the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from services.gateway.webhooks.language import Language
from services.gateway.webhooks.notice import Action, Claim, Ignored, Notice, check, read_time
from services.kernel.errors import invalid
from services.kernel.model.access import USER_AGENT
from services.rules.api import Instance

MAX_EVENTS = 1000
_MEDIA_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.events.v1+json",
        "application/vnd.docker.distribution.events.v2+json",
        "application/json",
    }
)
_SCANNERS = (USER_AGENT, "trivy/")
"""How the names begin by which we and the Trivy engine pull; whoever lies here is a pull short."""


class _Target(msgspec.Struct):
    repository: str
    media_type: str = msgspec.field(default="", name="mediaType")
    digest: str = ""
    tag: str = ""


class _Request(msgspec.Struct):
    method: str = ""
    useragent: str = ""


class _Actor(msgspec.Struct):
    name: str = ""


class _Event(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    action: str
    target: _Target
    timestamp: str = ""
    actor: _Actor = msgspec.field(default_factory=_Actor)
    request: _Request = msgspec.field(default_factory=_Request)


class _Envelope(msgspec.Struct):
    events: list[msgspec.Raw]


_envelopes = msgspec.json.Decoder(_Envelope)
_events = msgspec.json.Decoder(_Event)
_ACTIONS = {action.value: action for action in Action}


class Distribution(Language):
    """What the distribution registry sends."""

    sends = "application/vnd.docker.distribution.events.v2+json or application/json"

    def accepts(self, media_type: str, headers: Mapping[str, str]) -> bool:
        """Takes both versions of the envelope, by their own name or as plain JSON."""
        del headers
        return media_type in _MEDIA_TYPES

    def read(self, instance: Instance, headers: Mapping[str, str], body: bytes) -> Sequence[Notice | Ignored]:
        """Reads an envelope, each event by itself."""
        del headers
        return [read_event(instance.instance_id, event) for event in open_envelope(body)]


def open_envelope(body: bytes) -> tuple[bytes, ...]:
    """Splits an envelope into its events, each still JSON: one broken event does not spoil the others.

    Raises:
        ServiceError: WEBHOOK_MALFORMED, WEBHOOK_TOO_MANY_EVENTS.
    """
    try:
        events = _envelopes.decode(body).events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(
            "WEBHOOK_MALFORMED",
            "The body is no envelope of registry events.",
            hint='Send a JSON object with a list "events", as the distribution registry does.',
        ) from error
    if len(events) > MAX_EVENTS:
        raise invalid(
            "WEBHOOK_TOO_MANY_EVENTS", f"An envelope may hold {MAX_EVENTS} events, this has {len(events)}."
        )
    return tuple(bytes(event) for event in events)


def read_event(instance_id: str, event: bytes) -> Notice | Ignored:
    """Checks one event. Nothing in it can make this raise."""
    try:
        decoded = _events.decode(event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Ignored.MALFORMED
    action = _ACTIONS.get(decoded.action)
    if action is None:
        return Ignored.ACTION
    target = decoded.target
    # A deletion names no media type; of a layer it does no harm, since no scan knows such a digest.
    if not target.media_type and action is not Action.DELETE:
        return Ignored.MEDIA_TYPE
    checked = check(
        instance_id,
        Claim(
            identity=(decoded.id,),
            action=action,
            repository=target.repository,
            tag=target.tag,
            digest=target.digest,
            media_type=target.media_type,
            occurred_at=read_time(decoded.timestamp),
            actor=decoded.actor.name,
        ),
    )
    if action is Action.PULL and isinstance(checked, Notice):
        return _why_no_use(decoded.request) or checked
    return checked


def _why_no_use(request: _Request) -> Ignored | None:
    if request.method == "HEAD":
        return Ignored.LOOK
    return Ignored.SCANNER if request.useragent.startswith(_SCANNERS) else None
