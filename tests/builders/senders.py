"""Deliveries of webhooks, as their senders write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from services.kernel.model.engine import Engine
from services.rules.api import Edition, Instance
from tests.builders.gateway import INSTANCE_ID
from tests.fakes.clock import ManualClock

EVENTS = Path(__file__).parents[1] / "fixtures" / "events"
DIGEST = "sha256:" + "a" * 64


def an_instance(*, username: str = "", sync: bool = True) -> Instance:
    """The instance that deliveries are for."""
    now = ManualClock().now()
    return Instance(
        instance_id=INSTANCE_ID,
        name="lab",
        edition=Edition.ENTERPRISE,
        region="",
        address="registry.example.com",
        private_address="",
        plain_http=False,
        username=username,
        engine=Engine.SECURITY_CENTER,
        created_at=now,
        updated_at=now,
        sync=sync,
    )


def harbor_push(**changes: Any) -> dict[str, Any]:
    """Harbor's payload of a push; `resources` and `repository` go where they belong."""
    payload: dict[str, Any] = json.loads((EVENTS / "harbor_push_artifact.json").read_bytes())
    for name in ("resources", "repository"):
        if name in changes:
            payload["event_data"][name] = changes.pop(name)
    return payload | changes


def cloud_event(kind: str, data: object, **attributes: Any) -> CloudEvent:
    """An event as the CloudEvents SDK makes it."""
    given = {"specversion": "1.0", "id": "e-1", "source": "/lab", "type": kind, **attributes}
    return CloudEvent(attributes={"datacontenttype": "application/json", **given}, data=data)  # type: ignore[arg-type] # it takes any JSON


def sent(event: CloudEvent, *, binary: bool) -> HTTPMessage:
    """The request that the SDK makes of an event."""
    return to_binary_event(event) if binary else to_structured_event(event)
