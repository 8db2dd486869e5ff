"""Dead letters: messages that a group refused, with what is known of the refusal in their headers."""

from __future__ import annotations

import dataclasses

from services.kernel.bus.interface import DEAD_SUFFIX, Message, Place, Record

_TOPIC = "drydock-topic"
_PARTITION = "drydock-partition"
_POSITION = "drydock-position"
_GROUP = "drydock-group"
_REASON = "drydock-reason"
_ERROR = "drydock-error"
_REFUSAL = frozenset({_TOPIC, _PARTITION, _POSITION, _GROUP, _REASON, _ERROR})
REPLAYED = "drydock-replayed-from"
"""Header of a message that was a dead letter once: where that lay."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Who refused a message, and why."""

    group: str
    reason: str
    error: str


def bury(record: Record, *, group: str, reason: str, error: str) -> Message:
    """Makes the dead letter of a record."""
    message = record.message
    headers = {
        **message.headers,
        _TOPIC: message.topic,
        _PARTITION: str(record.partition),
        _POSITION: record.position,
        _GROUP: group,
        _REASON: reason,
        _ERROR: error,
    }
    return Message(topic=message.topic + DEAD_SUFFIX, key=message.key, value=message.value, headers=headers)


def refusal_of(letter: Message) -> Refusal:
    """Reads why a letter was buried; empty where it does not say."""
    headers = letter.headers
    return Refusal(group=headers.get(_GROUP, ""), reason=headers.get(_REASON, ""), error=headers.get(_ERROR, ""))


def revive(letter: Message, place: Place) -> Message:
    """Makes the message that a letter was, marked with the place that it comes from."""
    headers = {name: value for name, value in letter.headers.items() if name not in _REFUSAL}
    headers[REPLAYED] = f"{letter.topic}:{place.partition}:{place.position}"
    topic = letter.topic.removesuffix(DEAD_SUFFIX)
    return Message(topic=topic, key=letter.key, value=letter.value, headers=headers)
