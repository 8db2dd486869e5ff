"""A notification as a CloudEvent 1.0 (CloudEvents, "HTTP Protocol Binding", 3.1 Binary and 3.2 Structured)."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from services.kernel.model.reference import RepositoryName
from services.notifier.api import Format
from services.notifier.payload import Notification, read

_JSON = "application/json"
_SCHEMA = "urn:drydock:notification:v1"
"""`$id` of docs/notification.schema.json."""
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")


def wrap(body: bytes, form: Format) -> tuple[bytes, dict[str, str]]:
    """Returns what is posted of a notification in this format, and its headers."""
    if form is Format.JSON:
        return body, {"Content-Type": _JSON}
    attributes = _attributes(read(body))
    if form is Format.CLOUDEVENTS_BINARY:
        coded = {f"ce-{name}": quote(value, safe=_PRINTABLE) for name, value in attributes.items()}
        return body, {"Content-Type": _JSON, **coded}
    event = {**attributes, "datacontenttype": _JSON, "data": msgspec.Raw(body)}
    return msgspec.json.encode(event), {"Content-Type": "application/cloudevents+json; charset=UTF-8"}


def _attributes(said: Notification) -> dict[str, str]:
    """Source and id name the event: the same for every target, and for every attempt."""
    repository = RepositoryName(namespace=said.repository.namespace, name=said.repository.name).path
    return {
        "specversion": "1.0",
        "id": said.event_id,
        "source": f"/drydock/instances/{said.instance_id}",
        "type": f"drydock.{said.event}",
        "time": said.time,
        "subject": f"{repository}:{said.tag}" if said.tag else f"{repository}@{said.digest}",
        "dataschema": _SCHEMA,
    }
