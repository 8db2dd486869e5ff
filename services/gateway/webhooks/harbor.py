"""The webhooks of Harbor, read with care.

Format: Harbor, "Configure Webhook Notifications", section "Payload Format", and `src/pkg/notifier/model/event.go`;
read 2026-11. The payload has no id: an event is told from others by what it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from services.gateway.webhooks.language import Language
from services.gateway.webhooks.notice import Action, Claim, Ignored, Notice, check
from services.kernel.errors import invalid
from services.kernel.model.digest import is_digest
from services.rules.api import Instance

_MAX_RESOURCES = 1000
_SCANNER_ROBOT = "+scanner-"
"""In the name of every robot account that Harbor makes for a scanner: `robot$PROJECT+scanner-NAME-ID`."""


class _Resource(msgspec.Struct):
    digest: str = ""
    tag: str = ""


class _Repository(msgspec.Struct):
    repo_full_name: str


class Data(msgspec.Struct):
    """The images that an event is about."""

    repository: _Repository
    resources: list[_Resource] = []


class _Payload(msgspec.Struct):
    type: str
    event_data: msgspec.Raw = msgspec.Raw(b"null")
    occur_at: int = 0
    operator: str = ""


_payloads = msgspec.json.Decoder(_Payload)
_data = msgspec.json.Decoder(Data)
_ACTIONS = {
    "PUSH_ARTIFACT": Action.PUSH,
    "DELETE_ARTIFACT": Action.DELETE,
    "PULL_ARTIFACT": Action.PULL,
}


class Harbor(Language):
    """What Harbor sends in its default format."""

    sends = "application/json"

    def accepts(self, media_type: str, headers: Mapping[str, str]) -> bool:
        """Takes JSON."""
        del headers
        return media_type == "application/json"

    def read(self, instance: Instance, headers: Mapping[str, str], body: bytes) -> Sequence[Notice | Ignored]:
        """Reads a payload."""
        del headers
        try:
            payload = _payloads.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise invalid(
                "WEBHOOK_MALFORMED",
                "The body is no payload of a Harbor webhook.",
                hint='Send a JSON object with "type" and "event_data", as Harbor does in its default format.',
            ) from error
        action = _ACTIONS.get(payload.type)
        if action is None:
            return [Ignored.ACTION]
        return read_artifacts(
            instance,
            action,
            bytes(payload.event_data),
            identity=("harbor", str(payload.occur_at), payload.operator),
            occurred_at=_moment(payload.occur_at),
            operator=payload.operator,
        )


def read_artifacts(
    instance: Instance,
    action: Action,
    data: bytes,
    *,
    identity: tuple[str, ...],
    occurred_at: datetime | None,
    operator: str,
) -> Sequence[Notice | Ignored]:
    """Reads the `event_data` of an event about artifacts, which is the same in Harbor's every format.

    Nothing in it can make this raise.
    """
    try:
        decoded = _data.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [Ignored.MALFORMED]
    if not 1 <= len(decoded.resources) <= _MAX_RESOURCES:
        return [Ignored.MALFORMED]
    if action is Action.PULL and _is_scanner(operator, instance):
        return [Ignored.SCANNER] * len(decoded.resources)
    return [
        Ignored.MALFORMED
        if not (resource.tag or resource.digest)  # it would be a deletion of the whole repository
        else check(
            instance.instance_id,
            Claim(
                identity=identity,
                action=action,
                repository=decoded.repository.repo_full_name,
                tag=_tag(action, resource),
                digest=resource.digest,
                occurred_at=occurred_at,
                actor=operator,
            ),
        )
        for resource in decoded.resources
    ]


def _tag(action: Action, resource: _Resource) -> str:
    """Returns the tag that the event is about; Harbor writes the digest where there is none."""
    if is_digest(resource.tag):
        return ""
    # A deleted artifact takes all its tags along, of which the event names one.
    return "" if action is Action.DELETE and resource.digest else resource.tag


def _is_scanner(operator: str, instance: Instance) -> bool:
    return _SCANNER_ROBOT in operator or operator == instance.username != ""


def _moment(seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (OverflowError, OSError, ValueError):
        return None
