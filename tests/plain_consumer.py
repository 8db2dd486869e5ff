"""A consumer as a SIEM has one: another client library, no word of ours but the documented ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from services.kernel.bus.kafka_settings import KafkaSettings

_SECONDS = 20.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """A message as the library gives it."""

    partition: int
    offset: int
    key: str
    headers: Mapping[str, str]
    value: bytes | None

    @property
    def event(self) -> Any:
        assert self.value is not None
        return json.loads(self.value)


def read_topic(servers: str, settings: KafkaSettings, topic: str) -> list[Got]:
    """Reads a topic from offset 0 of every partition to its end. Blocking."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "a-plain-consumer",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            **_security(settings),
        }
    )
    try:
        described = consumer.list_topics(topic, timeout=_SECONDS).topics[topic]
        places = [TopicPartition(topic, number, 0) for number in described.partitions]
        assert places, topic
        consumer.assign(places)
        got: list[Got] = []
        ended: set[int] = set()
        while len(ended) < len(places):
            message: Any = consumer.poll(_SECONDS)
            assert message is not None, f"{topic} does not end"
            if message.error() is None:
                got.append(_got(message))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                raise KafkaException(message.error())
        return got
    finally:
        consumer.close()


WORDS = ("instance_id", "repository", "digest", "platform", "engine", "kind", "id", "purl", "path")
"""What the uid of a finding follows from."""


def words_of(event: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns what an event says of these."""
    return tuple(event["unmapped"][word] for word in WORDS)


def rebuilt(got: Iterable[Got]) -> dict[str, Any]:
    """Deduplicates by the event's id, and plays the events: what is open then, by uid."""
    seen: set[str] = set()
    state: dict[str, Any] = {}
    for one in got:
        if one.headers["ce_id"] in seen:
            continue
        seen.add(one.headers["ce_id"])
        uid = one.headers["ce_subject"]
        if one.headers["ce_type"] == "drydock.finding.closed":
            del state[uid]
        else:
            state[uid] = one.event
    return state


def disorder(got: Iterable[Got]) -> list[str]:
    """Says which events cannot follow on those before them, and which share an id and are not the same."""
    seen: dict[str, Got] = {}
    open_uids: set[str] = set()
    wrong: list[str] = []
    for one in got:
        event_id, uid, type_ = (one.headers[name] for name in ("ce_id", "ce_subject", "ce_type"))
        known = seen.get(event_id)
        if known is not None:
            if (known.key, known.headers, known.value) != (one.key, one.headers, one.value):
                wrong.append(f"{event_id} came twice, and differs")
            continue
        seen[event_id] = one
        if (uid in open_uids) != (type_ != "drydock.finding.created"):
            wrong.append(f"{type_} of {uid}, which is {'open' if uid in open_uids else 'not open'}")
        (open_uids.discard if type_ == "drydock.finding.closed" else open_uids.add)(uid)
    return wrong


def compacted(got: Iterable[Got]) -> dict[str, Any]:
    """What a compacted topic holds: the last value of each key, but for tombstones."""
    last = {one.key: one for one in got}
    return {key: one.event for key, one in last.items() if one.value is not None}


def _got(message: Any) -> Got:
    return Got(
        partition=message.partition(),
        offset=message.offset(),
        key=message.key().decode(),
        headers={name: value.decode() for name, value in message.headers() or ()},
        value=message.value(),
    )


def _security(settings: KafkaSettings) -> dict[str, str]:
    chosen: dict[str, str] = {"security.protocol": settings.security}
    if settings.username:
        chosen["sasl.mechanism"] = settings.sasl_mechanism
        chosen["sasl.username"] = settings.username
        chosen["sasl.password"] = settings.password.get_secret_value()
    return chosen
