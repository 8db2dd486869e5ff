"""Events of the stream as messages: CloudEvents 1.0, in binary mode on a bus, structured for lines of text.

CloudEvents, Kafka protocol binding 1.0.2, read 2026-11-26: an attribute is a header `ce_NAME`, the content's type
is `content-type`; a message without a value is a tombstone where a topic is compacted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.kernel.bus.interface import FINDINGS, FINDINGS_STATE, Message
from services.scanner.stream.happenings import Happening
from services.scanner.stream.ocsf import OCSF_VERSION, class_of, ocsf_of
from services.scanner.stream.records import Activity

_PREFIX: Final = "ce_"
_CONTENT_TYPE: Final = "content-type"
_JSON: Final = "application/json"
_TYPES: Final = {
    Activity.CREATE: "drydock.finding.created",
    Activity.UPDATE: "drydock.finding.updated",
    Activity.CLOSE: "drydock.finding.closed",
}
_ENCODER = msgspec.json.Encoder()


def messages_of(happening: Happening, *, state: bool) -> tuple[Message, ...]:
    """Writes the event; with `state`, also what the compacted topic holds of the finding from now on."""
    value = _ENCODER.encode(ocsf_of(happening))
    event = Message(
        topic=FINDINGS,
        key=happening.image.digest.encode(),
        value=value,
        headers=_headers(happening, happening.image.digest),
    )
    if not state:
        return (event,)
    uid = str(happening.uid)
    kept = Message(
        topic=FINDINGS_STATE,
        key=uid.encode(),
        value=b"" if happening.activity is Activity.CLOSE else value,
        headers=_headers(happening, uid),
    )
    return event, kept


def line_of(headers: Mapping[str, str], value: bytes) -> bytes:
    """Returns an event in structured mode, as one line of JSON."""
    attributes: dict[str, object] = {
        name.removeprefix(_PREFIX): said for name, said in headers.items() if name.startswith(_PREFIX)
    }
    attributes["datacontenttype"] = headers.get(_CONTENT_TYPE, _JSON)
    attributes["data"] = msgspec.Raw(value)
    return _ENCODER.encode(attributes)


def _headers(happening: Happening, key: str) -> Mapping[str, str]:
    of = class_of(happening.findings[0].kind)
    return {
        _CONTENT_TYPE: _JSON,
        "ce_specversion": "1.0",
        "ce_id": happening.event_id,
        "ce_source": f"urn:drydock:instance:{happening.image.instance_id}",
        "ce_type": _TYPES[happening.activity],
        "ce_subject": str(happening.uid),
        "ce_time": _written(happening.at),
        "ce_dataschema": f"https://schema.ocsf.io/{OCSF_VERSION}/classes/{of.name}",
        "ce_partitionkey": key,
    }


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
