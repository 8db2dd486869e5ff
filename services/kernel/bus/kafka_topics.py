"""The topics of the Kafka bus: made where missing, looked at where they exist."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from services.kernel.bus.interface import (
    DEAD_SUFFIX,
    FINDINGS,
    FINDINGS_STATE,
    MAX_MESSAGE_BYTES,
    PARTITIONS,
    TOPICS,
)
from services.kernel.bus.kafka_settings import KafkaSettings, client_arguments
from services.kernel.errors import Kind, ServiceError

log = structlog.get_logger()

_CALL_SECONDS = 20.0
_RETRY_SECONDS = 0.5
_LOOK_SECONDS = 0.1
_DAY_MS = 24 * 3600 * 1000
_FRAME_BYTES = 64 * 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a topic of ours must be like."""

    name: str
    compacted: bool = False
    """Keeps the newest message of each key for ever, instead of every message for some days."""


def with_graves(names: Sequence[str] = TOPICS) -> tuple[Topic, ...]:
    """Returns the topics and, beside each, the one for its dead letters."""
    return tuple(Topic(name=name + suffix) for name in names for suffix in ("", DEAD_SUFFIX))


def our_topics() -> tuple[Topic, ...]:
    """Returns all topics that Drydock uses; nobody of ours consumes findings, so that none of them dies."""
    return (*with_graves(), Topic(name=FINDINGS), Topic(name=FINDINGS_STATE, compacted=True))


async def ensure_topics(
    arguments: Mapping[str, Any], topics: Sequence[Topic], settings: KafkaSettings, *, keep_days: int
) -> None:
    """Waits for the brokers, makes what is missing, and checks what is there. Idempotent; safe in many processes.

    A topic that exists stays as its operator made it, with as many partitions as it has.

    Raises:
        ServiceError: KAFKA_UNREACHABLE after `patience_seconds`; TOPIC_NOT_MADE; TOPIC_MISCONFIGURED for one in
            which messages would be lost.
    """
    admin = await _reach(arguments, settings.patience_seconds)
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            existing = set(await admin.list_topics())
            missing = [topic for topic in topics if topic.name not in existing]
            made = await _make(admin, missing, settings, keep_days) if missing else frozenset()
            while not {topic.name for topic in topics} <= existing:  # until every broker knows them
                await asyncio.sleep(_LOOK_SECONDS)
                existing = set(await admin.list_topics())
            await _check(admin, [topic for topic in topics if topic.name not in made])
    except (KafkaError, TimeoutError, OSError) as error:
        raise _unreachable(type(error).__name__) from error
    finally:
        await admin.close()


async def lacking_topics(servers: str, topics: Sequence[Topic], settings: KafkaSettings) -> tuple[str, ...]:
    """Returns what would have to be made, and makes nothing; checks what is there.

    Raises:
        ServiceError: KAFKA_UNREACHABLE after `patience_seconds`; TOPIC_MISCONFIGURED.
    """
    admin = await _reach(client_arguments(servers, settings), settings.patience_seconds)
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            existing = set(await admin.list_topics())
            await _check(admin, [topic for topic in topics if topic.name in existing])
    except (KafkaError, TimeoutError, OSError) as error:
        raise _unreachable(type(error).__name__) from error
    finally:
        await admin.close()
    return tuple(topic.name for topic in topics if topic.name not in existing)


async def count_partitions(arguments: Mapping[str, Any], topic: str) -> int:
    """Asks how many partitions a topic has; 0 when there is none of the name."""
    admin = AIOKafkaAdminClient(**arguments)
    try:
        await admin.start()
        if topic not in await admin.list_topics():  # to describe one that is missing can make it
            return 0
        described = await admin.describe_topics([topic])
        return len(described[0]["partitions"])
    finally:
        await admin.close()


async def _reach(arguments: Mapping[str, Any], patience_seconds: float) -> AIOKafkaAdminClient:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_seconds
    while True:
        admin = AIOKafkaAdminClient(**arguments)
        try:
            async with asyncio.timeout_at(give_up):
                await admin.start()
        except (KafkaError, TimeoutError, OSError) as error:
            await admin.close()
            if loop.time() + _RETRY_SECONDS >= give_up:
                raise _unreachable(type(error).__name__) from error
            log.info("kafka.awaited", error=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)
        except BaseException:
            await admin.close()
            raise
        else:
            return admin


async def _make(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], settings: KafkaSettings, keep_days: int
) -> frozenset[str]:
    """Returns the names of those that it made: another process may have been faster."""
    answer = await admin.create_topics(
        [
            NewTopic(
                topic.name,
                PARTITIONS,
                settings.replication_factor,
                # The library takes a factor of -1, the cluster's own, only together with a list of replicas.
                replica_assignments={} if settings.replication_factor == -1 else None,
                topic_configs=_configuration(topic, settings, keep_days),
            )
            for topic in topics
        ]
    )
    made = set()
    for name, code, *_ in answer.topic_errors:
        error = for_code(code)
        if error is NoError:
            made.add(name)
        elif error is not TopicAlreadyExistsError:
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "TOPIC_NOT_MADE",
                f"Kafka does not make the topic {name}: {error.__name__}.",
                hint="Make it yourself, allow Drydock to, or set DRYDOCK_KAFKA_REPLICATION_FACTOR to what the "
                "cluster can hold.",
            )
    log.info("topics.made", topics=sorted(made))
    return frozenset(made)


def _configuration(topic: Topic, settings: KafkaSettings, keep_days: int) -> dict[str, str]:
    wanted = {"max.message.bytes": str(MAX_MESSAGE_BYTES + _FRAME_BYTES)}
    if topic.compacted:
        wanted["cleanup.policy"] = "compact"
    else:
        wanted["cleanup.policy"] = "delete"
        wanted["retention.ms"] = str(keep_days * _DAY_MS)
    if settings.min_insync_replicas:
        wanted["min.insync.replicas"] = str(settings.min_insync_replicas)
    return wanted


async def _check(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    if not topics:
        return
    names = [topic.name for topic in topics]
    described = {each["topic"]: each["partitions"] for each in await admin.describe_topics(names)}
    configured = await _configured(admin, names)
    for topic in topics:
        partitions = described.get(topic.name, ())
        if len(partitions) < PARTITIONS:
            log.warning("topic.narrow", topic=topic.name, partitions=len(partitions), wanted=PARTITIONS)
        found = configured.get(topic.name)
        if found is None:  # we may not ask: its operator answers for it
            continue
        if ("compact" in found.get("cleanup.policy", "")) is not topic.compacted:
            wanted = "compact" if topic.compacted else "delete"
            raise _misconfigured(topic.name, f"messages would be lost: its cleanup.policy must be {wanted}")
        replicas = min((len(each["replicas"]) for each in partitions), default=0)
        if replicas < int(found.get("min.insync.replicas", "1")):
            raise _misconfigured(topic.name, "it has fewer replicas than its min.insync.replicas")


async def _configured(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Returns the configuration of the topics that we may ask about."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configured: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(asked):
        for code, _, _, name, entries in answer.resources:
            if code == 0:
                configured[name] = {entry[0]: entry[1] or "" for entry in entries}
    return configured


def _misconfigured(name: str, why: str) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "TOPIC_MISCONFIGURED",
        f"The topic {name} cannot be used: {why}.",
        hint="Change it with Kafka's own tools, then start again.",
    )


def _unreachable(error: str) -> ServiceError:
    return ServiceError(
        Kind.UNAVAILABLE,
        "KAFKA_UNREACHABLE",
        f"The Kafka brokers cannot be used: {error}.",
        hint="Look at DRYDOCK_KAFKA, at the DRYDOCK_KAFKA_… settings for its security, and whether a broker runs.",
    )
